/** Reading counters out of the core's memory, from any thread, without disturbing the datapath. */
import * as abi from "../../assembly/abi.js";

/** Names of the DROP_* reasons, in the order of their numbers. */
export const DROP_NAMES = [
	"port_down",
	"runt",
	"offload",
	"source",
	"vlan",
	"hairpin",
	"unknown",
	"rx_truncated",
	"rx_error",
	"giant",
	"tx_full",
	"tx_down",
	"tx_too_big",
	"tx_error",
	"spoofed",
] as const;

export interface PortCounters {
	rxFrames: number;
	rxBytes: number;
	txFrames: number;
	txBytes: number;
	/** Non-zero reasons only. */
	drops: Record<string, number>;
}

export class Counters {
	readonly #view: DataView;

	constructor(memory: WebAssembly.Memory) {
		this.#view = new DataView(memory.buffer);
	}

	/** Counters are exact up to 2^53. */
	port(port: number): PortCounters {
		const at = this.#view.getUint32(abi.HEADER + abi.HEADER_PORTS, true) + port * abi.PORT_BYTES;
		const u64 = (field: number) => Number(this.#view.getBigUint64(at + field, true));
		const drops: Record<string, number> = {};
		DROP_NAMES.forEach((name, reason) => {
			const count = u64(abi.PORT_DROPS + reason * 8);
			if (count > 0) drops[name] = count;
		});
		return {
			rxFrames: u64(abi.PORT_RX_FRAMES),
			rxBytes: u64(abi.PORT_RX_BYTES),
			txFrames: u64(abi.PORT_TX_FRAMES),
			txBytes: u64(abi.PORT_TX_BYTES),
			drops,
		};
	}

	/** Batches forwarded since the start. */
	batches(): number {
		return Number(this.#view.getBigUint64(abi.HEADER + abi.HEADER_BATCHES, true));
	}
}
