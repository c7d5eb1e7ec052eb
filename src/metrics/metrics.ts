/**
 * The switch for Prometheus: counters are read when they are asked for and kept nowhere else. Names follow
 * Prometheus' conventions: a prefix, base units, `_total` for what only grows.
 */
import { Counter, Gauge, type Metric, Registry } from "prom-client";
import type { View } from "../control/fabric/view.js";
import type { ApiPort } from "../control/types.js";

/** What is not in the view. */
export interface MetricSources {
	view: View;
	version: string;
	networks(): number;
	/** Running ones. */
	containers(): number;
}

const LABELS = ["port", "kind", "parent", "networks"] as const;

/** Counters of a port without further labels: name, help, value. */
const PORT_COUNTERS: [name: string, help: string, value: (port: ApiPort) => number][] = [
	["receive_frames", "Frames that came into the switch through the port.", ({ rxFrames }) => rxFrames],
	["receive_bytes", "Bytes of the frames that came into the switch through the port.", ({ rxBytes }) => rxBytes],
	["receive_offload_frames", "Frames received that have yet to be cut into segments.", ({ rxOffloads }) => rxOffloads],
	["transmit_frames", "Frames that left the switch through the port.", ({ txFrames }) => txFrames],
	["transmit_bytes", "Bytes of the frames that left the switch through the port.", ({ txBytes }) => txBytes],
];

/** Answers what a scrape reads. */
export class Metrics {
	readonly #registry = new Registry();

	constructor(readonly sources: MetricSources) {
		const registers = [this.#registry];
		const { view, version, networks, containers } = sources;
		const gauge = (name: string, help: string, value: () => number) =>
			new Gauge({
				name: `vlane_${name}`,
				help,
				registers,
				collect() {
					this.set(value());
				},
			});
		const info = { name: "vlane_build_info", help: "Version, and what moves the frames.", registers };
		const build = new Gauge({ ...info, labelNames: ["version", "datapath"] });
		build.set({ version, datapath: view.viewed.ring }, 1);
		gauge("start_time_seconds", "When the daemon was started, since 1970.", () => Date.now() / 1000 - process.uptime());
		gauge("workers", "Threads that move frames.", () => view.viewed.workers);
		gauge("networks", "Networks.", networks);
		gauge("containers", "Running containers.", containers);
		gauge("fdb_entries", "Stations in the forwarding database.", () => view.viewed.counters.fdb().length);
		gauge("buffers", "Frame buffers.", () => view.viewed.counters.buffers().total);
		const used = "Frame buffers that hold a frame or wait for one.";
		gauge("buffers_used", used, () => view.viewed.counters.buffers().used);
		for (const [name, help, value] of PORT_COUNTERS) {
			this.#ofPorts(`${name}_total`, help, (port, add) => add({}, value(port)));
		}
		this.#ofPorts("dropped_frames_total", "Frames dropped, by reason.", (port, add) => addReasons(port.drops, add));
		const filtered = "Frames of the wire that are for nobody here, by reason.";
		this.#ofPorts("filtered_frames_total", filtered, (port, add) => addReasons(port.filtered, add));
		const carrier = { name: "vlane_port_carrier", help: "Whether frames can pass the port.", registers };
		new Gauge({
			...{ ...carrier, labelNames: LABELS },
			collect() {
				this.reset();
				for (const port of view.ports()) this.set(labelsOf(port), port.carrier ? 1 : 0);
			},
		});
		this.#registry.registerMetric(batchFrames(view) as unknown as Metric);
	}

	get contentType(): string {
		return this.#registry.contentType;
	}

	/** The exposition format's text. */
	text(): Promise<string> {
		return this.#registry.metrics();
	}

	#ofPorts(name: string, help: string, each: (port: ApiPort, add: Add) => void): void {
		const { view } = this.sources;
		new Counter({
			...{ name: `vlane_port_${name}`, help, registers: [this.#registry] },
			labelNames: [...LABELS, "reason"],
			collect() {
				this.reset();
				for (const port of view.ports()) {
					each(port, (labels, count) => this.inc({ ...labelsOf(port), ...labels }, count));
				}
			},
		});
	}
}

type Add = (labels: { reason?: string }, count: number) => void;

function addReasons(reasons: Record<string, number>, add: Add): void {
	for (const [reason, count] of Object.entries(reasons)) add({ reason }, count);
}

function labelsOf({ name, kind, parent, networks }: ApiPort): Record<(typeof LABELS)[number], string> {
	return { port: name, kind, parent, networks: networks.join(",") };
}

/** A histogram that the core has filled already; prom-client's own can only be filled one value at a time. */
function batchFrames(view: View): object {
	const name = "vlane_batch_frames";
	const help = "Frames that were forwarded together.";
	const get = async () => {
		const { batchSizes, batches, ports } = view.stats();
		let below = 0;
		const values: object[] = batchSizes.map(({ max, batches: count }) => {
			below += count;
			return { metricName: `${name}_bucket`, labels: { le: max }, value: below };
		});
		values.push({ metricName: `${name}_bucket`, labels: { le: "+Inf" }, value: batches });
		// Frames of ports that are gone are not in it.
		const sum = ports.reduce((total, { rxFrames }) => total + rxFrames, 0);
		values.push({ metricName: `${name}_sum`, labels: {}, value: sum });
		values.push({ metricName: `${name}_count`, labels: {}, value: batches });
		return { name, help, type: "histogram", aggregator: "sum", values };
	};
	return { name, help, type: "histogram", aggregator: "sum", get, reset: () => undefined };
}
