/** Hosts that share networks and addresses. */
import { type CommandSpec, LIST_FORMAT, NO_TRUNC } from "./spec.js";

export const HOST_COMMANDS: CommandSpec[] = [
	{
		path: "host ls",
		aliases: ["list"],
		summary: "List the hosts of the group",
		operands: "",
		args: { min: 0, max: 0 },
		flags: [LIST_FORMAT, NO_TRUNC, { name: "quiet", short: "q", type: "bool", help: "Only display host IDs" }],
		load: () => import("../commands/hostls.js"),
	},
	{
		path: "host rm",
		aliases: ["remove"],
		summary: "Give back the addresses of one or more hosts that will not come back",
		operands: "HOST [HOST...]",
		args: { min: 1 },
		flags: [{ name: "force", short: "f", type: "bool", help: "Also when the host is alive" }],
		load: () => import("../commands/hostrm.js"),
	},
];
