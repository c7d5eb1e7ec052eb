/** `vlane run`. */
import type { CreateContainerBody } from "../../control/request/schema.js";
import type { ApiContainer } from "../../control/types.js";
import { sethostname } from "../../sys/libc.js";
import { Client } from "../client.js";
import {
	become,
	enterNewNamespaces,
	mountFiles,
	requireExecutable,
	requireTerminal,
	settleStdin,
} from "../container.js";
import { Reporter, startDetached } from "../detach.js";
import { sweepLogs } from "../logs.js";
import { printLine } from "../output.js";
import { namesOf } from "../runnames.js";
import { networksOf } from "../runnetworks.js";
import type { Invocation } from "../table/spec.js";

/** Length of the host name that a container gets from its id, as with docker. */
const HOSTNAME_DIGITS = 12;

/** Runs COMMAND in a new container. Returns only with -d, or when COMMAND could not be started. */
export async function run(invocation: Invocation): Promise<number> {
	const { args, flags, host } = invocation;
	const body = requestOf(invocation);
	const client = new Client(host);
	const reporter = Reporter.take();
	if (reporter !== undefined) {
		try {
			return await becomeContainer(client, body, (id) => reporter.created(id));
		} catch (error) {
			return reporter.failed(error);
		}
	}
	requireExecutable(args[0] ?? "");
	const detached = flags.bool("detach") ?? false;
	if (!detached) {
		requireTerminal(flags);
		settleStdin(flags);
		return await becomeContainer(client, body, () => {});
	}
	await sweepLogs(client);
	const keepStdin = (flags.bool("interactive") || flags.bool("tty")) ?? false;
	printLine(await startDetached(client, keepStdin));
	return 0;
}

function requestOf({ args, flags }: Invocation): CreateContainerBody {
	const [name, hostname] = [flags.string("name"), flags.string("hostname")];
	return {
		...(name !== undefined && { Name: name }),
		...(hostname !== undefined && { Hostname: hostname }),
		Pid: process.pid,
		Command: args,
		AutoRemove: flags.bool("rm") ?? false,
		Networks: networksOf(flags),
		...namesOf(flags),
	};
}

async function becomeContainer(
	client: Client,
	body: CreateContainerBody,
	created: (id: string) => void,
): Promise<never> {
	enterNewNamespaces();
	const container = await client.post<ApiContainer>("/containers", body);
	created(container.Id);
	mountFiles(container);
	sethostname(body.Hostname ?? container.Id.slice(0, HOSTNAME_DIGITS));
	become(body.Command);
}
