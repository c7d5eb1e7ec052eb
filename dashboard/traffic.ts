/** Throughput and drops of a port over the last minutes, and the ports to choose from. */
import uPlot from "uplot";
import { h } from "./dom.js";
import { bitRate, count, scaled } from "./format.js";
import { dropsOf, type Model } from "./model.js";
import type { View } from "./view.js";

const PLOT_PX = 220;
const DROPS_PX = 120;
const WINDOW_SECONDS = 120;

export function trafficView(model: Model): View {
	let chosen: string | undefined;
	let plots: uPlot[] = [];
	const heading = h("h2");
	const legend = h("p", { class: "legend" });
	const figures = h("div", { class: "figures" });
	const list = h("ul", { class: "ports" });
	const choose = (name: string) => () => {
		chosen = name;
		make();
	};
	const dark = matchMedia("(prefers-color-scheme: dark)");

	const make = (): void => {
		for (const plot of plots) plot.destroy();
		figures.replaceChildren();
		const width = Math.max(240, figures.clientWidth);
		const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
		const throughput = options("Throughput", width, PLOT_PX, `b/s`, color, [
			["in", color("--in")],
			["out", color("--out")],
		]);
		const drops = options("Drops", width, DROPS_PX, "/s", color, [["drops", color("--drops")]]);
		const section = (title: string): HTMLElement => {
			const body = h("div");
			figures.append(h("h3", {}, title), body);
			return body;
		};
		plots = [
			new uPlot(throughput, [[], [], []], section("Throughput: into the switch, and out of it")),
			new uPlot(drops, [[], []], section("Frames dropped")),
		];
		update();
	};

	const update = (): void => {
		const ports = [...model.ports].sort(
			(left, right) => kindOrder(left.kind) - kindOrder(right.kind) || left.port - right.port,
		);
		if (!ports.some(({ name }) => name === chosen)) chosen = ports[0]?.name;
		const history = model.history(chosen ?? "");
		const rate = model.rate(chosen ?? "");
		heading.textContent = chosen ?? "No ports";
		legend.replaceChildren(
			h("span", { class: "in" }, `in ${bitRate(rate?.inBits)}`),
			h("span", { class: "out" }, `out ${bitRate(rate?.outBits)}`),
			h("span", { class: "drops" }, `drops ${rate ? scaled(rate.drops).trim() : "–"}/s`),
		);
		plots[0]?.setData([history.times, history.inBits, history.outBits]);
		plots[1]?.setData([history.times, history.drops]);
		const rows = ports.map((port) => {
			const now = model.rate(port.name);
			const dropped = dropsOf(port);
			return h(
				"li",
				{ class: port.name === chosen ? "chosen" : undefined },
				h(
					"button",
					{ type: "button", click: choose(port.name), "aria-pressed": port.name === chosen ? "true" : "false" },
					h("span", { class: "name" }, port.name),
					h("span", { class: "kind" }, port.kind),
					h("span", { class: "amount in" }, bitRate(now?.inBits)),
					h("span", { class: "amount out" }, bitRate(now?.outBits)),
					h("span", { class: dropped > 0 ? "drops some" : "drops" }, dropped > 0 ? `${count(dropped)} dropped` : ""),
				),
			);
		});
		const focused = list.contains(document.activeElement)
			? [...list.querySelectorAll("button")].indexOf(document.activeElement as HTMLButtonElement)
			: -1;
		list.replaceChildren(...rows);
		if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
	};

	const observer = new ResizeObserver(() => {
		for (const plot of plots) plot.setSize({ width: Math.max(240, figures.clientWidth), height: plot.height });
	});
	return {
		mount(main) {
			const chart = h("section", { class: "chart" }, heading, legend, figures);
			main.append(h("div", { class: "traffic" }, chart, list));
			make();
			observer.observe(figures);
			dark.addEventListener("change", make);
		},
		update,
		unmount() {
			observer.disconnect();
			dark.removeEventListener("change", make);
			for (const plot of plots.splice(0)) plot.destroy();
		},
	};
}

/** What connects to the wire first. */
function kindOrder(kind: string): number {
	return ["uplink", "host", "endpoint"].indexOf(kind);
}

function options(
	title: string,
	width: number,
	height: number,
	unit: string,
	color: (name: string) => string,
	lines: [label: string, stroke: string][],
): uPlot.Options {
	const axis = {
		stroke: color("--soft"),
		font: `12px ${getComputedStyle(document.body).fontFamily}`,
		grid: { stroke: color("--line"), width: 1 },
		ticks: { show: false },
	};
	return {
		width,
		height,
		class: `plot-${title.toLowerCase()}`,
		legend: { show: false },
		cursor: { y: false, points: { size: 6 } },
		scales: {
			x: { range: (_, __, newest) => [(newest ?? 0) - WINDOW_SECONDS, newest ?? 0] },
			y: { range: (_, __, most) => [0, Math.max(1, most ?? 0) * 1.1] },
		},
		series: [
			{},
			...lines.map(([label, stroke]) => ({
				label,
				stroke,
				width: 1.5,
				fill: `${stroke}1a`,
				points: { show: false },
				paths: uPlot.paths.stepped?.({ align: -1 }),
			})),
		],
		axes: [
			{
				...axis,
				space: 70,
				values: [
					[60, "{HH}:{mm}", null, null, null, null, null, null, 0],
					[1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 0],
				],
			},
			{ ...axis, size: 66, space: 36, values: (_, ticks) => ticks.map((tick) => `${scaled(tick)}${unit}`) },
		],
	};
}
