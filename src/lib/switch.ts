/**
 * A switch for programs, the daemon among them: `createSwitch` and what it answers. It is a thin layer over the
 * datapath (src/host); handles, names, defaults, files and frames of the program itself are what it adds.
 */
import type { PortSpec, PortStats, XskSpec } from "../host/types.js";
import type { CapturedFrame } from "../pcap/format.js";
import { CaptureWriter } from "../pcap/write.js";
import { close } from "../sys/libc.js";
import { checkTags, specOf } from "./checks.js";
import { openRawDevice, openTapDevice } from "./device.js";
import { MemoryPort, type Owner, Port, Segment } from "./handles.js";
import { LiveMover, type Mover, OfflineMover, type Sink } from "./movers.js";
import type { MemoryPortOptions, PortOptions, SegmentOptions, SwitchOptions } from "./options.js";
import { Traces } from "./trace.js";

/** Frames of capture files that are read before they are forwarded together. */
const RUN_FRAMES = 64;

/**
 * Makes a switch without ports.
 * @throws SysError when `ring` asks for io_uring and the kernel has none; RangeError when `workers` is out of bounds
 */
export async function createSwitch(options: SwitchOptions = {}): Promise<Switch> {
	return new Switch(options.offline ? new OfflineMover() : await LiveMover.start(options), options);
}

/** Ports, segments between them, and frames that move. */
export class Switch {
	readonly #mover: Mover;
	readonly #offline: boolean;
	readonly #ports = new Map<number, Port>();
	/** Segments with their uplinks. */
	readonly #segments = new Map<Segment, Port | undefined>();
	readonly #traces = new Traces<Port>();
	readonly #writers = new Map<Port, CaptureWriter>();
	/** The first failure to write a capture file, for the next call that can throw it. */
	#writeError: unknown;
	#closed = false;
	readonly #owner: Owner = {
		removePort: (port) => this.#removePort(port),
		removeSegment: (segment) => this.#removeSegment(segment),
		allowSource: ({ number }, network, mac) => this.#mover.datapath.allowSource(number, network, mac),
		disallowSource: ({ number }, mac) => this.#mover.datapath.disallowSource(number, mac),
		setMtu: ({ number }, mtuBytes) => this.#mover.datapath.setMtu(number, mtuBytes),
		statsOf: (port) => this.#statsOf(port),
		send: (port, frames) => this.#send(port, frames),
	};

	/** Made by `createSwitch`. */
	constructor(mover: Mover, options: SwitchOptions) {
		this.#mover = mover;
		this.#offline = options.offline ?? false;
		mover.datapath.onPortError((number, errnoName) => {
			const port = this.#ports.get(number);
			if (port) options.onPortError?.(port, errnoName);
		});
	}

	/** What moves the frames of a live switch: io_uring, or poll(2) with plain reads and writes. Offline: `none`. */
	get ring(): "io_uring" | "poll" | "none" {
		return this.#mover.ring;
	}

	/**
	 * Adds a segment: by itself it connects nothing, its ports are added to it.
	 * @throws RangeError for tags that 802.1Q does not have; TypeError for an uplink that is none of this switch, and for
	 * learning in a live switch; Error when the uplink has another segment with these tags
	 */
	async addSegment(options: SegmentOptions = {}): Promise<Segment> {
		const { uplink, tags, learning = false } = options;
		const checked = checkTags(tags);
		if (uplink && this.#ports.get(uplink.number) !== uplink)
			throw new TypeError(`port "${uplink.name}" is not a port of this switch`);
		if (uplink && uplink.kind !== "uplink")
			throw new TypeError(`port "${uplink.name}" is in a segment: it can not be an uplink`);
		if (!uplink && checked.length > 0) throw new TypeError("a segment without uplink has no tags");
		const number = await this.#mover.addSegment({ uplink: uplink?.number ?? null, tags: checked }, learning);
		const segment = new Segment(this.#owner, number, learning);
		this.#segments.set(segment, uplink);
		return segment;
	}

	/**
	 * Adds a port: to the segment that it names, or as an uplink.
	 * @throws RangeError, TypeError for what no port can have; SysError from the kernel; CaptureError for a file that is
	 * no capture; Error when the MAC is in use in the segment
	 */
	addPort(options: MemoryPortOptions): Promise<MemoryPort>;
	addPort(options: PortOptions): Promise<Port>;
	async addPort(options: PortOptions): Promise<Port> {
		const spec = specOf(options);
		const segment = "segment" in options ? options.segment : undefined;
		if (segment && options.type === "raw") throw new TypeError(`port "${spec.name}": a raw port is always an uplink`);
		if (segment && !this.#segments.has(segment))
			throw new TypeError(`port "${spec.name}": its segment is not one of this switch`);
		if (options.type === "memory") return this.#add(MemoryPort, spec, options.onFrame ?? (() => {}));
		if (options.type === "pcap") {
			const writer = options.write === undefined ? undefined : new CaptureWriter(options.write, options);
			const port = await this.#add(Port, spec, (frame) => this.#write(writer, frame)).catch((error) => {
				writer?.close();
				throw error;
			});
			if (writer) this.#writers.set(port, writer);
			try {
				if (options.read !== undefined) this.#traces.add(port, options.read);
			} catch (error) {
				await port.remove();
				throw error;
			}
			return port;
		}
		if (this.#offline) throw new TypeError(`port "${spec.name}": an offline switch has no ${options.type} ports`);
		if (options.type === "fd") return this.#add(Port, spec, () => {});
		const device = options.type === "tap" ? openTapDevice(options, spec.mac, spec.mtuBytes) : openRawDevice(options);
		return this.#add(Port, { ...spec, ...device }, () => {}).catch((error) => {
			close(device.fd);
			throw error;
		});
	}

	/**
	 * Lets an uplink receive through an AF_XDP socket, too, which counts for the uplink and ends before it; live only.
	 * Answers what takes it away again. When its thread dies, it is gone, and the uplink reports EOWNERDEAD.
	 * @throws Error; the socket stays the caller's
	 */
	addXsk(uplink: Port, options: Omit<XskSpec, "uplink">): Promise<() => Promise<void>> {
		return this.#mover.addXsk({ ...options, uplink: uplink.number });
	}

	/**
	 * Sends the frames of the capture files of all pcap ports into the switch, in the order of their times and as fast as
	 * they are taken, up to the files' ends. Answers how many.
	 * @throws CaptureError for a damaged file, after what came before it was forwarded, and when a file can not be written
	 */
	async run(): Promise<number> {
		let count = 0;
		for (let isAtEnd = false; !isAtEnd; ) {
			const arrivals = [];
			try {
				while (arrivals.length < RUN_FRAMES && !isAtEnd) {
					const next = this.#traces.next();
					if (next) arrivals.push({ port: next.key.number, frame: next.frame });
					else isAtEnd = true;
				}
			} finally {
				await this.#mover.inject(arrivals);
				count += arrivals.length;
			}
			this.#throwWriteError();
		}
		return count;
	}

	/** Counters of all ports since they were added, in the order in which they were. */
	stats(): PortStats[] {
		return this.#mover.datapath.stats();
	}

	/**
	 * Stops forwarding, removes all ports with their devices, and closes files. Nothing but `close` can be called
	 * afterwards.
	 * @throws CaptureError when a file can not be written to its end
	 */
	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		await this.#mover.close();
		for (const port of this.#ports.values()) this.#traces.remove(port);
		for (const writer of this.#writers.values()) this.#closeWriter(writer);
		this.#ports.clear();
		this.#throwWriteError();
	}

	async #add<P extends Port>(
		make: new (owner: Owner, number: number, name: string, mac: string, kind: PortSpec["kind"]) => P,
		spec: PortSpec,
		sink: Sink,
	): Promise<P> {
		const number = await this.#mover.addPort(spec, sink);
		const port = new make(this.#owner, number, spec.name, spec.mac, spec.kind);
		this.#ports.set(number, port);
		return port;
	}

	async #removePort(port: Port): Promise<void> {
		for (const uplink of this.#segments.values()) {
			if (uplink === port) throw new Error(`port "${port.name}" is the uplink of a segment`);
		}
		await this.#mover.removePort(port.number);
		this.#ports.delete(port.number);
		this.#traces.remove(port);
		const writer = this.#writers.get(port);
		this.#writers.delete(port);
		if (writer) this.#closeWriter(writer);
		this.#throwWriteError();
	}

	async #removeSegment(segment: Segment): Promise<void> {
		await this.#mover.removeSegment(segment.number);
		this.#segments.delete(segment);
	}

	#statsOf(port: Port): PortStats {
		const found = this.stats().find(({ port: number }) => number === port.number);
		if (!found || this.#ports.get(port.number) !== port) throw new Error(`port "${port.name}" has been removed`);
		return found;
	}

	async #send(port: Port, frames: CapturedFrame[]): Promise<void> {
		if (this.#ports.get(port.number) !== port) throw new Error(`port "${port.name}" has been removed`);
		await this.#mover.inject(frames.map((frame) => ({ port: port.number, frame })));
	}

	#write(writer: CaptureWriter | undefined, frame: CapturedFrame): void {
		try {
			writer?.write(frame);
		} catch (error) {
			this.#writeError ??= error;
		}
	}

	#closeWriter(writer: CaptureWriter): void {
		try {
			writer.close();
		} catch (error) {
			this.#writeError ??= error;
		}
	}

	#throwWriteError(): void {
		const error = this.#writeError;
		this.#writeError = undefined;
		if (error !== undefined) throw error;
	}
}
