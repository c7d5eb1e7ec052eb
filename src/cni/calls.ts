/** The plugin's questions by name: what each takes, and what the daemon answers. */
import { type ErrorKind, VlaneError } from "../control/errors.js";
import { messageOf } from "../control/log.js";
import type { Queue } from "../control/queue.js";
import type { Attachments } from "./attachments.js";
import { CniError, CODE } from "./errors.js";
import { parseCni, requests } from "./schema.js";

/** Answer to a question: one of the two. */
export type CniAnswer = { result: unknown } | { error: { code: number; message: string } };

/** Answers one question; `body` is the parsed JSON. Never throws: a refusal is an answer, too. */
export type CniCall = (body: unknown) => Promise<CniAnswer>;

const CODE_OF: Record<ErrorKind, number> = {
	invalid: CODE.invalidConfig,
	notFound: CODE.invalidConfig,
	conflict: CODE.conflict,
	forbidden: CODE.conflict,
	unavailable: CODE.tryAgainLater,
	internal: CODE.internal,
};

/** Every question by its name. */
export function cniCalls(attachments: Attachments, queue: Queue): ReadonlyMap<string, CniCall> {
	const call =
		<T>(schema: Parameters<typeof parseCni<T>>[0], run: (request: T) => unknown): CniCall =>
		async (body) => {
			try {
				const request = parseCni(schema, body);
				return { result: await queue.run(async () => run(request)) };
			} catch (error) {
				return { error: { code: codeOf(error), message: messageOf(error) } };
			}
		};
	return new Map<string, CniCall>([
		["add", call(requests.add, (request) => attachments.add(request))],
		["configure", call(requests.configure, (request) => attachments.configure(request))],
		["del", call(requests.del, (request) => attachments.del(request))],
		["check", call(requests.check, (request) => attachments.check(request))],
		["status", call(requests.status, ({ config }) => attachments.status(config))],
		["list", call(requests.list, ({ network }) => attachments.list(network))],
	]);
}

function codeOf(error: unknown): number {
	if (error instanceof CniError) return error.code;
	return error instanceof VlaneError ? CODE_OF[error.kind] : CODE.internal;
}
