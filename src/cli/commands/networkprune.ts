/** `vlane network prune`. */
import type { PruneBody } from "../../control/request/schema.js";
import { Client } from "../client.js";
import { CliError } from "../errors.js";
import { cutPair, type Flags } from "../flags.js";
import { print, printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Removes the networks that nothing is connected to, after asking. */
export async function run({ flags, host }: Invocation): Promise<number> {
	const body = requestOf(flags);
	const client = new Client(host);
	if (!flags.bool("force")) {
		printLine("WARNING! This will remove all custom networks not used by at least one container.");
		print("Are you sure you want to continue? [y/N] ");
		if (!/^\s*y(es)?\s*$/i.test(await readAnswer())) return 0;
	}
	const { NetworksDeleted } = await client.post<{ NetworksDeleted: string[] }>("/networks/prune", body);
	if (NetworksDeleted.length > 0) printLine(`Deleted Networks:\n${NetworksDeleted.join("\n")}\n`);
	return 0;
}

function requestOf(flags: Flags): PruneBody {
	const labels = flags.list("filter").map((filter) => {
		const [name, value = ""] = cutPair(filter);
		if (name !== "label") throw new CliError(`invalid filter '${name}'; there are: label`);
		return value;
	});
	return labels.length > 0 ? { Filters: { label: labels } } : {};
}

/** The first line of standard input; empty when it ends before. */
async function readAnswer(): Promise<string> {
	const { createInterface } = await import("node:readline");
	const lines = createInterface({ input: process.stdin });
	try {
		for await (const line of lines) return line;
		return "";
	} finally {
		lines.close();
	}
}
