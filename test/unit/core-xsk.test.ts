/**
 * What AF_XDP brings into the core (assembly/xsk.ts), with this test as the kernel behind the rings: random frames
 * reach their endpoints as they were, without their outer tag, in order, and every chunk goes back; ring entries that
 * no kernel writes lead nowhere.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as abi from "../../assembly/abi.js";
import { compileCore, createMemory, DEFAULT_LIMITS, Engine, macNumbers } from "../../src/core/engine.js";
import { SOFT_RING } from "../../src/core/softring.js";
import { type Chance, chanceOf } from "../model/kernel.js";

const tests = suite("core xsk");

const OP_POLL_ADD = 6;
const OP_WRITE = 23;
const HEADROOM_BYTES = 256;
const LIMITS = { ...DEFAULT_LIMITS, portsMax: 16, segmentsMax: 16, tablesMax: 4, fdbCapacity: 64, xsksMax: 1 };
const MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02"] as const;
const UMEM_BYTES = abi.XSK_CHUNKS * abi.XSK_CHUNK_BYTES;
const MTU_BYTES = 1500;

interface Sent {
	port: number;
	bytes: Uint8Array;
}

/** An uplink with a socket, and an endpoint on its untagged segment and on VLAN 50. */
class Rig {
	readonly engine: Engine;
	readonly #view: DataView;
	readonly #bytes: Uint8Array;
	readonly #xsk: number;
	readonly endpoints: number[];
	/** Chunks that the kernel has: 1 where it has one. */
	readonly free = new Uint8Array(abi.XSK_CHUNKS);
	#filled = 0;
	#produced = 0;

	constructor(module: WebAssembly.Module) {
		const memory = createMemory(module, LIMITS);
		this.engine = new Engine(module, memory, LIMITS);
		this.#view = new DataView(memory.buffer);
		this.#bytes = new Uint8Array(memory.buffer);
		const { core } = this.engine;
		const { sqHead, sqTail, sqArray, cqHead, cqTail, cqes } = SOFT_RING;
		// This memory begins at address 0: what requests point to is found in it.
		core.ringInit(0, 0, sqHead, sqTail, sqArray, cqHead, cqTail, cqes);
		const uplink = core.portAdd(abi.KIND_UPLINK, 0, 0, 0, 0, 0, MTU_BYTES);
		this.endpoints = MACS.map((mac, index) => {
			const segment = core.segmentAdd(uplink, index === 0 ? 0 : ((0x8100 << 16) | 50) >>> 0, 0);
			const { low, high } = macNumbers(mac);
			return core.portAdd(abi.KIND_ENDPOINT, abi.MODE_BRIDGE, segment, 1, low, high, MTU_BYTES);
		});
		const at = this.engine.xsk(0)!;
		this.#xsk = at;
		const [rx, fill] = [at + abi.XSK_RX_RING, at + abi.XSK_FILL_RING];
		core.portStart(core.xskAdd(at, uplink, 1, rx, rx + 64, rx + 128, fill, fill + 128));
		this.#takeFilled();
	}

	/** Writes a frame where the kernel would, if it has a chunk. */
	receive(frame: Uint8Array): boolean {
		const chunk = this.free.indexOf(1);
		if (chunk < 0) return false;
		this.free[chunk] = 0;
		const address = chunk * abi.XSK_CHUNK_BYTES + HEADROOM_BYTES;
		this.#bytes.set(frame, this.#xsk + abi.XSK_UMEM + address);
		this.post(BigInt(address), frame.length);
		return true;
	}

	/** Writes an entry of the RX ring (struct xdp_desc). */
	post(address: bigint, length: number): void {
		const ring = this.#xsk + abi.XSK_RX_RING;
		const entry = ring + 128 + (this.#produced & (abi.XSK_CHUNKS - 1)) * 16;
		this.#view.setBigUint64(entry, address, true);
		this.#view.setUint32(entry + 8, length, true);
		this.#view.setUint32(ring, ++this.#produced, true);
	}

	/** Batches until nothing is left to be done; answers what was written to ports. */
	run(): Sent[] {
		const sent: Sent[] = [];
		const get = (offset: number) => this.#view.getUint32(this.engine.header(abi.HEADER_RING) + offset, true);
		const set = (offset: number, value: number) =>
			this.#view.setUint32(this.engine.header(abi.HEADER_RING) + offset, value, true);
		for (let idle = 0; idle < 2; ) {
			this.engine.core.pump();
			let isIdle = true;
			for (; get(SOFT_RING.sqHead) !== get(SOFT_RING.sqTail); set(SOFT_RING.sqHead, get(SOFT_RING.sqHead) + 1)) {
				const sqe = this.engine.header(abi.HEADER_SQES) + (get(SOFT_RING.sqHead) & (abi.SQ_ENTRIES - 1)) * 64;
				const [op, port] = [this.#view.getUint8(sqe), this.#view.getUint32(sqe + 4, true)];
				const length = this.#view.getUint32(sqe + 24, true);
				if (op === OP_WRITE) {
					const start = this.#view.getUint32(sqe + 16, true);
					sent.push({ port, bytes: this.#bytes.slice(start + abi.VNET_BYTES, start + length) });
					isIdle = false;
				} else assert.is(op, OP_POLL_ADD);
				const tail = get(SOFT_RING.cqTail);
				const cqe = this.engine.header(abi.HEADER_RING) + SOFT_RING.cqes + (tail & (abi.CQ_ENTRIES - 1)) * 16;
				this.#view.setBigUint64(cqe, this.#view.getBigUint64(sqe + 32, true), true);
				this.#view.setInt32(cqe + 8, op === OP_WRITE ? length : 1, true);
				set(SOFT_RING.cqTail, tail + 1);
			}
			const consumed = this.#view.getUint32(this.#xsk + abi.XSK_RX_RING + 64, true);
			idle = isIdle && consumed === this.#produced ? idle + 1 : 0;
		}
		this.#takeFilled();
		return sent;
	}

	/** Takes the chunks that the core has given back. */
	#takeFilled(): void {
		const ring = this.#xsk + abi.XSK_FILL_RING;
		for (const end = this.#view.getUint32(ring, true); this.#filled !== end; this.#filled++) {
			const entry = ring + 128 + (this.#filled & (abi.XSK_CHUNKS - 1)) * 8;
			const address = Number(this.#view.getBigUint64(entry, true));
			assert.is(address % abi.XSK_CHUNK_BYTES, 0);
			assert.ok(address < UMEM_BYTES, `chunk at ${address}`);
			this.free[address / abi.XSK_CHUNK_BYTES] = 1;
		}
	}
}

const module = compileCore();

/** Random bytes, now and then with headers that look like something; tagged for the second endpoint. */
function frameTo(endpoint: number, chance: Chance): { wire: Uint8Array; plain: Uint8Array } {
	const length = 14 + Math.floor(chance() * (MTU_BYTES + 1));
	const plain = Uint8Array.from({ length }, () => Math.floor(chance() * 256));
	plain.set(MACS[endpoint]!.split(":").map((part) => Number.parseInt(part, 16)));
	plain[6] = 0x02;
	const types = [0x0800, 0x86dd, 0x88b5, 0x0806];
	new DataView(plain.buffer).setUint16(12, types[Math.floor(chance() * types.length)]!);
	if (length > 34 && chance() < 0.8) {
		plain[14] = plain[12] === 8 ? 0x45 : 0x60;
		plain[plain[12] === 8 ? 23 : 20] = chance() < 0.5 ? 6 : 17;
	}
	if (endpoint === 0) return { wire: plain, plain };
	return { wire: Uint8Array.of(...plain.subarray(0, 12), 0x81, 0, 0, 50, ...plain.subarray(12)), plain };
}

tests("frames arrive as they were, in order and without their tag, and chunks go back", () => {
	const rig = new Rig(module);
	const chance = chanceOf(7);
	let count = 0;
	for (let round = 0; round < 100; round++) {
		const expected: Sent[] = [];
		for (let left = Math.floor(chance() * 40); left > 0; left--) {
			const endpoint = chance() < 0.5 ? 0 : 1;
			const { wire, plain } = frameTo(endpoint, chance);
			assert.ok(rig.receive(wire));
			expected.push({ port: rig.endpoints[endpoint]!, bytes: plain });
		}
		const sent = rig.run();
		for (const [index, port] of rig.endpoints.entries()) {
			const of = (all: Sent[]) => all.filter((one) => one.port === port).map(({ bytes }) => Buffer.from(bytes));
			const [got, wanted] = [of(sent), of(expected)];
			assert.is(got.length, wanted.length, `frames of endpoint ${index}`);
			for (const [at, bytes] of got.entries()) assert.ok(bytes.equals(wanted[at]!), `frame ${at} of ${index}`);
			count += got.length;
		}
		assert.ok(
			rig.free.every((has) => has === 1),
			"the kernel has all chunks",
		);
	}
	assert.ok(count > 1000);
});

tests("entries that point out of the socket's memory or are too long lead nowhere", () => {
	const rig = new Rig(module);
	const chance = chanceOf(8);
	for (let round = 0; round < 200; round++) {
		for (let left = 20; left > 0; left--) {
			const wide = () => BigInt(Math.floor(chance() * 2 ** 32));
			const address = chance() < 0.5 ? (wide() << 32n) | wide() : BigInt(UMEM_BYTES - Math.floor(chance() * 4096));
			rig.post(address, Math.floor(chance() * (chance() < 0.5 ? 2 ** 32 : 4096)));
		}
		for (const { bytes } of rig.run()) assert.ok(bytes.length <= abi.XSK_FRAME_BYTES_MAX);
	}
	assert.is(rig.engine.core.slotsFree(), LIMITS.slotsMax, "no slot is lost");
	const { wire, plain } = frameTo(0, chance);
	rig.free[0] = 1;
	assert.ok(rig.receive(wire));
	assert.equal(
		rig.run().map(({ bytes }) => Buffer.from(bytes).equals(Buffer.from(plain))),
		[true],
		"it goes on",
	);
});

tests.run();
