/** `vlane network ls`. */
import type { ApiNetwork } from "../../control/types.js";
import { Client } from "../client.js";
import { cutPair } from "../flags.js";
import { applyFilters, type ListLayout, type ListRow, printList, shortId } from "../list.js";
import { compareNatural } from "../natural.js";
import type { Invocation } from "../table/spec.js";
import { goTime } from "../time.js";

const LAYOUT: ListLayout = {
	headers: {
		CreatedAt: "CREATED AT",
		Driver: "DRIVER",
		ID: "NETWORK ID",
		IPv4: "IPV4",
		IPv6: "IPV6",
		Internal: "INTERNAL",
		Label: (name) => (String(name).split(".").at(-1) ?? "").replaceAll(/[-_]/g, " "),
		Labels: "LABELS",
		Name: "NAME",
		Scope: "SCOPE",
	},
	table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
	raw: {
		full: "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
		quiet: "network_id: {{.ID}}",
	},
};

/** Lists the networks in natural order of their names. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const all = await new Client(host).get<ApiNetwork[]>("/networks");
	const networks = applyFilters(all, flags.list("filter"), {
		dangling: (network, value) =>
			(Object.keys(network.Containers).length === 0) === (value === "true" || value === "1"),
		driver: (network, value) => network.Driver === value,
		id: (network, value) => network.Id.includes(value),
		label: (network, value) => hasLabel(network.Labels, value),
		name: (network, value) => network.Name.includes(value),
		scope: (network, value) => network.Scope === value,
		type: (_network, value) => value === "custom",
	});
	networks.sort((left, right) => compareNatural(left.Name, right.Name));
	printList(
		LAYOUT,
		networks.map((network) => rowOf(network, flags.bool("no-trunc") ?? false)),
		flags,
	);
	return 0;
}

function rowOf(network: ApiNetwork, full: boolean): ListRow {
	return {
		CreatedAt: goTime(network.Created),
		Driver: network.Driver,
		ID: shortId(network.Id, full),
		IPv4: String(network.EnableIPv4),
		IPv6: String(network.EnableIPv6),
		Internal: String(network.Internal),
		Label: (name) => network.Labels[String(name)] ?? "",
		Labels: Object.entries(network.Labels)
			.map(([key, value]) => `${key}=${value}`)
			.join(","),
		Name: network.Name,
		Scope: network.Scope,
	};
}

/** `key` or `key=value`. */
function hasLabel(labels: Record<string, string>, filter: string): boolean {
	const [key, value] = cutPair(filter);
	return Object.hasOwn(labels, key) && (value === undefined || labels[key] === value);
}
