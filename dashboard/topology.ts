/** The picture: parents, VLANs, networks and endpoints, with what flows between them. */
import type { ApiPort } from "./api.js";
import { h, s } from "./dom.js";
import { bitRate } from "./format.js";
import { type Layout, layOut, type Placed, type TreeNode, treeOf } from "./layout.js";
import type { Model } from "./model.js";
import { showSheet } from "./sheet.js";
import type { View } from "./view.js";

/** Where a node's text begins, in pixels from its left edge, and the room behind it. */
const TEXT_X = 16;
const TEXT_GAP = 10;
const DOT_R = 4;
/** Lines are this wide at rest, and at 10 Gb/s. */
const STROKE_MIN = 1;
const STROKE_MAX = 7;
const FASTEST_BITS = 1e10;

export function topologyView(model: Model): View {
	const picture = h("div", { class: "picture" });
	let shape = "";
	let live: (() => void)[] = [];
	/** What can be said only of texts that are there. */
	const measures: (() => void)[] = [];

	const draw = (): void => {
		const roots = treeOf(model.networks, model.endpoints);
		const layout = layOut(roots, picture.clientWidth);
		const names = layout.nodes.map(({ node }) => [node.id, node.title, node.subtitle, node.isDown]);
		const next = `${layout.width} ${JSON.stringify(names)}`;
		if (next !== shape) {
			shape = next;
			live = [];
			picture.replaceChildren(roots.length === 0 ? empty() : drawing(model, layout, live, measures));
			for (const measure of measures.splice(0)) measure();
		}
		for (const update of live) update();
	};
	const observer = new ResizeObserver(draw);
	return {
		mount(main) {
			main.append(picture);
			observer.observe(picture);
			draw();
		},
		update: draw,
		unmount: () => observer.disconnect(),
	};
}

function empty(): HTMLElement {
	const command = "vlane network create --subnet=172.16.86.0/24 -o parent=eth0 pub_net";
	return h("div", { class: "empty" }, h("p", {}, "There are no networks yet. Make one:"), h("pre", {}, command));
}

function drawing(model: Model, layout: Layout, live: (() => void)[], measures: (() => void)[]): SVGSVGElement {
	const { width, height, nodes } = layout;
	const picture = s("svg", {
		viewBox: `0 0 ${width} ${height}`,
		width,
		height,
		role: "tree",
		"aria-label": "Topology",
	});
	const groups = new Map(nodes.map((placed) => [placed, nodeGroup(model, placed, layout, live)]));
	for (const placed of nodes) {
		const { parent } = placed;
		if (!parent) continue;
		const path = edge(model, placed, live);
		picture.append(path);
		measures.push(() => {
			const texts = [...(groups.get(parent)?.querySelectorAll<SVGTextElement>(".title, .subtitle") ?? [])];
			const textPx = Math.max(...texts.map((text) => text.getComputedTextLength()));
			path.setAttribute(
				"d",
				layout.isNarrow ? elbow(parent, placed) : curve(parent, TEXT_X + textPx + TEXT_GAP, placed),
			);
		});
	}
	picture.append(...groups.values());
	return picture;
}

/** Down the left side, and in. */
function elbow(from: Placed, to: Placed): string {
	return `M${from.x + DOT_R} ${from.y + DOT_R + 2}V${to.y - 6}q0 6 6 6H${to.x}`;
}

/** From behind the text to the dot. */
function curve(from: Placed, textPx: number, to: Placed): string {
	const start = from.x + textPx;
	const middle = (start + to.x) / 2;
	return `M${start} ${from.y}C${middle} ${from.y} ${middle} ${to.y} ${to.x - 2} ${to.y}`;
}

function edge(model: Model, to: Placed, live: (() => void)[]): SVGPathElement {
	const path = s("path", { class: "edge" });
	live.push(() => {
		const bits = flow(model, to.node);
		const share = Math.min(1, Math.log10(1 + bits) / Math.log10(FASTEST_BITS));
		path.style.strokeWidth = String(STROKE_MIN + (STROKE_MAX - STROKE_MIN) * share ** 3);
		path.classList.toggle("busy", bits > 0);
	});
	return path;
}

function nodeGroup(model: Model, placed: Placed, layout: Layout, live: (() => void)[]): SVGGElement {
	const { node, x, y } = placed;
	const rate = s("text", { class: "rate", "text-anchor": "end" });
	const right = layout.isNarrow || node.kind === "endpoint" ? layout.width : undefined;
	const group = s(
		"g",
		{
			transform: `translate(${x} ${y})`,
			class: `node ${node.kind}${node.isDown ? " down" : ""}`,
			tabindex: "0",
			role: "treeitem",
			"aria-label": `${node.title} ${node.subtitle}`,
			"data-id": node.id,
			click: () => showSheet(model, node),
			keydown: (event) => (event as KeyboardEvent).key === "Enter" && showSheet(model, node),
		},
		s("rect", { class: "touch", x: -6, y: -21, width: (right ?? x + 240) - x + 6, height: 42, rx: 6 }),
		s("circle", { r: DOT_R, cx: DOT_R }),
		s("text", { class: "title", x: TEXT_X, y: node.subtitle === "" ? 4 : -3 }, node.title),
		node.subtitle !== "" && s("text", { class: "subtitle", x: TEXT_X, y: 13 }, node.subtitle),
		right !== undefined && rate,
	);
	rate.setAttribute("x", String((right ?? 0) - x));
	rate.setAttribute("y", "4");
	live.push(() => {
		const bits = flow(model, node);
		rate.textContent = node.kind === "more" ? "" : bits === 0 ? "·" : bitRate(bits);
		group.classList.toggle("busy", bits > 0);
	});
	return group;
}

/** Bits per second in both directions: of a node's port, or of all ports below it. */
function flow(model: Model, node: TreeNode): number {
	if (node.port !== undefined) {
		const rate = model.rate(node.port);
		return rate ? rate.inBits + rate.outBits : 0;
	}
	const isBelow = ({ name, kind }: ApiPort): boolean =>
		kind === "endpoint" && node.network !== undefined && name.startsWith(`${node.network.Name}/`);
	if (node.kind !== "network") return node.children.reduce((sum, inner) => sum + flow(model, inner), 0);
	return model.ports.filter(isBelow).reduce((sum, { name }) => {
		const rate = model.rate(name);
		return sum + (rate ? rate.inBits + rate.outBits : 0);
	}, 0);
}
