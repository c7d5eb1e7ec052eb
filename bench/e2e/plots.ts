/** The diagrams of docs/performance.md, made of samples. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { columnsOf } from "./columns.js";
import type { Results } from "./samples.js";
import { type Panel, panelsSvg } from "./svg.js";

const OURS = "vlane";

interface PanelOf {
	case: string;
	key: string;
	title: string;
}

/** Diagrams by file name. */
const PLOTS: Record<string, PanelOf[]> = {
	"containers.svg": [
		{ case: "frames", key: "pairFps", title: "64-byte frames between containers, thousands a second" },
		{ case: "tcp", key: "tcpGbps", title: "One TCP stream between containers, Gb/s" },
		{ case: "udp", key: "datagramsPerSecond", title: "UDP datagrams of 18 bytes, thousands a second" },
		{ case: "ping", key: "pingP50Us", title: "Round trip, median, microseconds (less is better)" },
	],
	"lan.svg": [
		{ case: "lan", key: "upFps", title: "64-byte frames to the LAN, thousands a second" },
		{ case: "lan", key: "downFps", title: "64-byte frames from the LAN, thousands a second" },
		{ case: "tagged", key: "tcpUpGbps", title: "TCP to a LAN host on VLAN 50, Gb/s" },
		{ case: "tagged", key: "tcpDownGbps", title: "TCP from a LAN host on VLAN 50, Gb/s" },
	],
	"loss.svg": [64, 512, 1500].map((bytes) => ({
		case: "loss",
		key: `zeroLoss${bytes}Fps`,
		title: `Highest rate without a lost frame, ${bytes} bytes, thousands a second`,
	})),
	"ports.svg": [2, 16, 100, 1000].map((ports) => ({
		case: `ports-${ports}`,
		key: "pairFps",
		title: `64-byte frames between two of ${ports} containers, thousands a second`,
	})),
};

function panelOf(results: Results, { case: name, key, title }: PanelOf): Panel[] {
	const { digits = 0, scale = 1 } = columnsOf(name).find((column) => column.key === key) ?? {};
	const bars = results.peers(name).flatMap((peer) => {
		const summary = results.summary(name, peer, key);
		if (!summary) return [];
		const [value, lowest, highest] = [summary.median, summary.lowest, summary.highest].map((of) => of / scale);
		return [{ label: peer, value: value!, lowest: lowest!, highest: highest!, isOurs: peer === OURS }];
	});
	return bars.length === 0 ? [] : [{ title, bars, digits }];
}

/** Writes the diagrams that something was measured for; answers their paths. */
export function writePlots(results: Results, directory: string): string[] {
	mkdirSync(directory, { recursive: true });
	const { samples } = results;
	const last = samples.at(-1);
	const footer = last
		? `${last.cpu}, Linux ${last.kernel}, Node ${last.node}, vlane ${last.commit}, ${last.run.slice(0, 10)}`
		: "";
	return Object.entries(PLOTS).flatMap(([name, of]) => {
		const panels = of.flatMap((panel) => panelOf(results, panel));
		if (panels.length === 0) return [];
		const file = join(directory, name);
		writeFileSync(file, panelsSvg(panels, footer));
		return [file];
	});
}
