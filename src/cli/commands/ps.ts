/** `vlane ps`. */
import type { ApiContainer } from "../../control/types.js";
import { Client } from "../client.js";
import { applyFilters, type ListLayout, type ListRow, printList, shortId } from "../list.js";
import type { Invocation } from "../table/spec.js";
import { goTime, humanDuration } from "../time.js";

const LAYOUT: ListLayout = {
	headers: {
		Command: "COMMAND",
		CreatedAt: "CREATED AT",
		ID: "CONTAINER ID",
		IPAddress: "IP ADDRESS",
		Names: "NAMES",
		Networks: "NETWORKS",
		Pid: "PID",
		RunningFor: "CREATED",
		State: "STATE",
		Status: "STATUS",
	},
	table: "{{.ID}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Networks}}\t{{.IPAddress}}\t{{.Names}}",
};

/** Widest command in a table, in characters, as docker has it. */
const COMMAND_LENGTH_MAX = 20;

/** Lists the containers, newest first. */
export async function run(invocation: Invocation): Promise<number> {
	const { flags, host } = invocation;
	if (flags.bool("all-hosts")) return (await import("./psallhosts.js")).runAllHosts(invocation);
	const filters = flags.list("filter");
	const all = flags.bool("all") || filters.some((filter) => filter.startsWith("status="));
	const found = await new Client(host).get<ApiContainer[]>(all ? "/containers?all=1" : "/containers");
	const containers = applyFilters(found, filters, {
		id: (container, value) => container.Id.startsWith(value),
		name: (container, value) => container.Name.includes(value),
		network: (container, value) =>
			Object.entries(container.Networks).some(([name, { NetworkID }]) => name === value || NetworkID.startsWith(value)),
		status: (container, value) => container.State === value,
	});
	containers.sort((left, right) => Date.parse(right.Created) - Date.parse(left.Created));
	printList(
		LAYOUT,
		containers.map((container) => rowOf(container, flags.bool("no-trunc") ?? false)),
		flags,
	);
	return 0;
}

function rowOf(container: ApiContainer, full: boolean): ListRow {
	const age = humanDuration(Date.now() - Date.parse(container.Created));
	const networks = Object.entries(container.Networks);
	const addresses = networks.flatMap(([, { IPAddress, GlobalIPv6Address }]) => [IPAddress, GlobalIPv6Address]);
	return {
		Command: JSON.stringify(shorten(container.Command.join(" "), full)),
		CreatedAt: goTime(container.Created),
		ID: shortId(container.Id, full),
		IPAddress: addresses.filter(Boolean).join(","),
		Names: container.Name,
		Networks: networks.map(([name]) => name).join(","),
		Pid: String(container.Pid),
		RunningFor: `${age} ago`,
		State: container.State,
		Status: container.State === "running" ? `Up ${age}` : "Exited",
	};
}

function shorten(command: string, full: boolean): string {
	const letters = [...command];
	if (full || letters.length <= COMMAND_LENGTH_MAX) return command;
	return `${letters.slice(0, COMMAND_LENGTH_MAX - 1).join("")}…`;
}
