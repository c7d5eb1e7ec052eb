/** What is known of one thing of the picture, beside it or on top of it. */
import { byId, h } from "./dom.js";
import { count } from "./format.js";
import type { TreeNode } from "./layout.js";
import type { Model } from "./model.js";

/** Shows it, until it is closed or another one is chosen. */
export function showSheet(model: Model, node: TreeNode): void {
	const sheet = byId("sheet");
	const facts = h("dl");
	for (const [term, text] of factsOf(model, node)) {
		if (text !== "") facts.append(h("dt", {}, term), h("dd", {}, text));
	}
	const close = h("button", { type: "button", class: "close", "aria-label": "Close", click: hideSheet }, "×");
	sheet.replaceChildren(close, h("h2", {}, node.title), facts);
	sheet.hidden = false;
	document.body.classList.add("with-sheet");
}

export function hideSheet(): void {
	byId("sheet").hidden = true;
	document.body.classList.remove("with-sheet");
}

function factsOf(
	model: Model,
	{ kind, title, network, endpoint, port: name }: TreeNode,
): [term: string, text: string][] {
	const facts: [string, string][] = [];
	if (endpoint) {
		const { IPAddress, IPPrefixLen, GlobalIPv6Address, GlobalIPv6PrefixLen } = endpoint;
		facts.push(
			["Network", endpoint.Network],
			["IPv4", IPAddress && `${IPAddress}/${IPPrefixLen}`],
			["IPv6", GlobalIPv6Address && `${GlobalIPv6Address}/${GlobalIPv6PrefixLen}`],
			["Gateway", [endpoint.Gateway, endpoint.IPv6Gateway].filter(Boolean).join(", ")],
			["MAC", endpoint.MacAddress],
			["Interface", endpoint.Interface],
			["Namespace", endpoint.Target],
		);
	} else if (network && kind === "network") {
		const { Driver, Internal, Options, Status, Id } = network;
		facts.push(
			["Driver", Driver + (Internal ? ", internal" : "")],
			["State", [Status.State, Status.Detail].filter(Boolean).join(": ")],
			["Parent", Status.Parent],
			...Object.entries(Options).filter(([option]) => option !== "parent"),
			...Object.entries(Status.IPAM?.Subnets ?? {}).map(([subnet, { IPsInUse, Size }]): [string, string] => [
				subnet,
				`${count(IPsInUse)} of ${count(Size)} in use`,
			]),
			["Id", Id.slice(0, 12)],
		);
	} else {
		facts.push([kind === "vlan" ? "Segment" : "Parent", title]);
	}
	const port = model.ports.find((candidate) => candidate.name === name);
	if (!port) return facts;
	const frames = (number: number, bytes: number) => `${count(number)} frames, ${count(bytes)} bytes`;
	facts.push(["From it", frames(port.rxFrames, port.rxBytes)], ["To it", frames(port.txFrames, port.txBytes)]);
	for (const [reason, dropped] of Object.entries(port.drops)) facts.push([`Dropped: ${reason}`, count(dropped)]);
	for (const [reason, others] of Object.entries(port.filtered)) facts.push([`For others: ${reason}`, count(others)]);
	return facts;
}
