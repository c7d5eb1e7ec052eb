/**
 * A new core becomes what an earlier one was: the same ports and segments under the same numbers, with the counters
 * that they had.
 *
 * The core gives each newcomer the lowest free number. So all numbers up to the highest are filled first, with ports
 * and segments that reach nobody; then each is given up for the one that belongs there, in the order in which they were
 * made.
 */
import * as abi from "../../assembly/abi.js";
import type { Engine } from "../core/engine.js";
import type { Fixture } from "./protocol.js";
import type { Tables } from "./tables.js";

/**
 * Adds what there was, without descriptors.
 * @param previous memory that the counters are taken over from
 * @throws Error when the core refuses something that it had taken before
 */
export function revive(engine: Engine, tables: Tables, fixtures: Fixture[], previous: WebAssembly.Memory): void {
	const fill = new Fill(engine, fixtures);
	for (const fixture of fixtures) {
		if (fixture.op === "allowSource") tables.allowSource(fixture.segment, fixture.network, fixture.mac);
		else if (fixture.op === "addSegment") {
			fill.giveUpSegment(fixture.number);
			expect(tables.addSegment(fixture.spec), fixture.number);
		} else {
			fill.giveUpPort(fixture.number);
			expect(tables.addPort(fixture.spec), fixture.number);
			engine.takeCounters(fixture.number, previous);
		}
	}
	fill.giveUp();
	engine.takeCounters(0, previous);
}

function expect(number: number, wanted: number): void {
	if (number !== wanted) throw new Error(`number ${wanted} of the datapath is now ${number}`);
}

/** Ports and segments that only hold numbers. */
class Fill {
	readonly #ports = new Set<number>();
	readonly #segments = new Set<number>();

	constructor(
		readonly engine: Engine,
		fixtures: Fixture[],
	) {
		const last = (op: Fixture["op"]) =>
			Math.max(0, ...fixtures.flatMap((fixture) => (fixture.op === op && "number" in fixture ? fixture.number : [])));
		const { core } = engine;
		// One more segment than there were, for the ports to be on.
		for (let count = last("addSegment"); count >= 0; count--) this.#segments.add(core.segmentAdd(0, 0, 0));
		const own = Math.max(...this.#segments);
		for (let number = last("addPort"); number > 0; number--) {
			this.#ports.add(core.portAdd(abi.KIND_HOST, abi.MODE_BRIDGE, own, 0, number, 0, 0));
		}
	}

	giveUpPort(number: number): void {
		if (!this.#ports.delete(number)) throw new Error(`port ${number} of the datapath is there already`);
		this.engine.core.portClose(number);
		this.engine.core.portFree(number);
	}

	giveUpSegment(number: number): void {
		if (!this.#segments.delete(number)) throw new Error(`segment ${number} of the datapath is there already`);
		this.engine.core.segmentRemove(number);
	}

	giveUp(): void {
		for (const number of [...this.#ports]) this.giveUpPort(number);
		for (const number of [...this.#segments]) this.giveUpSegment(number);
	}
}
