/** `vlane dashboard`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Client } from "../client.js";
import { CliError, messageOf } from "../errors.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints the dashboard's address with the token in it, for a browser on this host. */
export async function run({ host }: Invocation): Promise<number> {
	const info = await new Client(host).get<{ Dashboard?: string; StateDir: string }>("/info");
	if (!info.Dashboard) {
		throw new CliError("the daemon serves no dashboard; start it with: vlane daemon --dashboard 127.0.0.1:8080");
	}
	const file = join(info.StateDir, "dashboard.token");
	let token: string;
	try {
		token = readFileSync(file, "utf8").trim();
	} catch (error) {
		throw new CliError(`cannot read the dashboard's token: ${messageOf(error)}; run as root`);
	}
	// What listens everywhere is found here, too.
	const url = info.Dashboard.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:");
	printLine(`${url}#token=${token}`);
	return 0;
}
