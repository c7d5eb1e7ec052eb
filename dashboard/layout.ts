/**
 * Where everything of the picture stands: parents, their VLANs, networks, endpoints, from the left to the right. On a
 * narrow screen the same tree stands indented, a row for each.
 */
import type { ApiEndpoint, ApiNetwork } from "./api.js";

export type NodeKind = "parent" | "vlan" | "network" | "endpoint" | "more";

export interface TreeNode {
	/** Unique, and the same as long as the thing is. */
	id: string;
	kind: NodeKind;
	/** First and second line. */
	title: string;
	subtitle: string;
	isDown: boolean;
	/** Port whose rates it shows. */
	port?: string;
	network?: ApiNetwork;
	endpoint?: ApiEndpoint;
	children: TreeNode[];
}

export interface Placed {
	node: TreeNode;
	x: number;
	y: number;
	parent?: Placed;
}

export interface Layout {
	nodes: Placed[];
	width: number;
	height: number;
	isNarrow: boolean;
}

/** Below this width in pixels columns would not have enough room. */
export const NARROW_PX = 760;
const ROW_PX = 46;
const INDENT_PX = 18;
/** Between networks, in rows. */
const GROUP_GAP = 0.5;
/** Of a network's endpoints the picture shows so many; all of them are among the addresses. */
const ENDPOINTS_MAX = 24;
/** Left edges of the columns, as parts of the width. */
const COLUMNS: Record<NodeKind, number> = { parent: 0, vlan: 0.22, network: 0.38, endpoint: 0.68, more: 0.68 };

/** The networks as a tree; those without a parent stand below a root of their own. */
export function treeOf(networks: ApiNetwork[], endpoints: ApiEndpoint[]): TreeNode[] {
	const roots = new Map<string, TreeNode>();
	const carried = networks.filter(({ ConfigOnly }) => !ConfigOnly);
	for (const network of carried.sort((left, right) => compare(left.Name, right.Name))) {
		const { Link, Vlans, HostInterface, State } = network.Status;
		const root = child(roots, Link, () => ({
			id: `parent ${Link}`,
			kind: "parent",
			title: Link || "this host",
			subtitle: Link ? "parent" : "no parent",
			isDown: State === "degraded",
			port: Link || undefined,
			children: [],
		}));
		if (Link === "") {
			root.children.push(networkNode(network, endpoints));
			continue;
		}
		const tags = Vlans.join(" › ");
		let segment = root.children.find(({ id }) => id === `vlan ${Link} ${tags}`);
		if (!segment) {
			segment = {
				id: `vlan ${Link} ${tags}`,
				kind: "vlan",
				title: tags === "" ? "untagged" : `VLAN ${tags}`,
				subtitle: HostInterface,
				isDown: false,
				port: HostInterface || undefined,
				children: [],
			};
			root.children.push(segment);
		}
		segment.children.push(networkNode(network, endpoints));
	}
	const byTag = (left: TreeNode, right: TreeNode) => compare(left.title, right.title);
	for (const root of roots.values()) root.children.sort(byTag);
	// What never leaves the host comes last.
	return [...roots.values()].sort((left, right) => compare(left.port ?? "\uffff", right.port ?? "\uffff"));
}

/** Places for a picture of this width, in pixels. */
export function layOut(roots: TreeNode[], width: number): Layout {
	return width < NARROW_PX ? indented(roots, width) : inColumns(roots, width);
}

function inColumns(roots: TreeNode[], width: number): Layout {
	const nodes: Placed[] = [];
	let row = 0;
	const place = (node: TreeNode, parent?: Placed): Placed => {
		const placed: Placed = { node, x: Math.round(COLUMNS[node.kind] * width), y: 0, parent };
		nodes.push(placed);
		const children = node.children.map((inner) => place(inner, placed));
		if (children.length === 0) placed.y = (row++ + 0.5) * ROW_PX;
		else placed.y = (children[0]!.y + children.at(-1)!.y) / 2;
		if (node.kind === "network") row += GROUP_GAP;
		return placed;
	};
	for (const root of roots) place(root);
	return { nodes, width, height: Math.max(1, row) * ROW_PX, isNarrow: false };
}

function indented(roots: TreeNode[], width: number): Layout {
	const nodes: Placed[] = [];
	const place = (node: TreeNode, depth: number, parent?: Placed): void => {
		const placed = { node, x: depth * INDENT_PX, y: (nodes.length + 0.5) * ROW_PX, parent };
		nodes.push(placed);
		for (const inner of node.children) place(inner, depth + 1, placed);
	};
	for (const root of roots) place(root, 0);
	return { nodes, width, height: Math.max(1, nodes.length) * ROW_PX, isNarrow: true };
}

function networkNode(network: ApiNetwork, endpoints: ApiEndpoint[]): TreeNode {
	const own = endpoints.filter(({ NetworkID }) => NetworkID === network.Id);
	const shown = own.length > ENDPOINTS_MAX ? own.slice(0, ENDPOINTS_MAX - 1) : own;
	const children = shown.map(
		(endpoint): TreeNode => ({
			id: `endpoint ${endpoint.EndpointID}`,
			kind: "endpoint",
			title: endpoint.Name,
			subtitle: endpoint.IPAddress || endpoint.GlobalIPv6Address || endpoint.MacAddress,
			isDown: network.Status.State === "degraded",
			port: `${network.Name}/${endpoint.Name}`,
			network,
			endpoint,
			children: [],
		}),
	);
	if (shown.length < own.length) {
		const title = `${own.length - shown.length} more`;
		children.push({
			id: `more ${network.Id}`,
			kind: "more",
			title,
			subtitle: "",
			isDown: false,
			network,
			children: [],
		});
	}
	return {
		id: `network ${network.Id}`,
		kind: "network",
		title: network.Name,
		subtitle: network.IPAM.Config.map(({ Subnet }) => Subnet).join(", ") || network.Driver,
		isDown: network.Status.State === "degraded",
		network,
		children,
	};
}

function child(roots: Map<string, TreeNode>, key: string, make: () => TreeNode): TreeNode {
	const found = roots.get(key) ?? make();
	roots.set(key, found);
	return found;
}

function compare(left: string, right: string): number {
	return left.localeCompare(right, "en", { numeric: true });
}
