/** Whether Docker can use vlane: does the driver answer, does the engine, do they know each other? */
import { request } from "node:http";
import { join } from "node:path";

/** One thing that was looked at. */
export interface Finding {
	isGood: boolean;
	/** What was found; for a bad one, with what to do next. */
	text: string;
}

/** An engine that takes longer to answer is busy with something else. */
const ANSWER_MS_MAX = 5000;

/**
 * Looks at the driver's socket and at the engine. Never throws.
 * @param pluginDir where the engine looks for drivers
 * @param engine path of the engine's socket
 */
export async function checkDocker(pluginDir: string, engine: string): Promise<Finding[]> {
	const socket = join(pluginDir, "vlane.sock");
	const findings = [await checkPlugin(socket)];
	const info = await attempt(() => ask(engine, "GET", "/info"));
	if (typeof info === "string") {
		const remedy = "start it, or name its socket with --docker-socket";
		return [...findings, { isGood: false, text: `Docker Engine does not answer on ${engine}: ${info}; ${remedy}` }];
	}
	const { ServerVersion, Plugins } = info as { ServerVersion?: string; Plugins?: { Network?: string[] } };
	findings.push({ isGood: true, text: `Docker Engine ${ServerVersion} answers on ${engine}` });
	const isKnown = Plugins?.Network?.includes("vlane") ?? false;
	// An engine looks for a driver when it is first asked for it, and not before.
	const text = isKnown ? "the engine lists the driver vlane" : "the engine has not used the driver vlane yet";
	return [...findings, { isGood: true, text }];
}

async function checkPlugin(socket: string): Promise<Finding> {
	const answer = await attempt(() => ask(socket, "POST", "/Plugin.Activate"));
	if (typeof answer === "string") {
		const remedy = "start the daemon, see vlane docker install";
		return { isGood: false, text: `the driver does not answer on ${socket}: ${answer}; ${remedy}` };
	}
	const { Implements = [] } = answer as { Implements?: string[] };
	if (Implements.includes("NetworkDriver")) return { isGood: true, text: `the driver answers on ${socket}` };
	return { isGood: false, text: `what answers on ${socket} is no network driver; stop it` };
}

/** The result, or in a few words why there is none. */
async function attempt(body: () => Promise<object>): Promise<object | string> {
	try {
		return await body();
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		return code ?? message;
	}
}

function ask(socketPath: string, method: string, path: string): Promise<object> {
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath, method, path, agent: false, timeout: ANSWER_MS_MAX }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("error", reject);
			response.on("end", () => {
				try {
					resolve(Object(JSON.parse(text)));
				} catch {
					reject(new Error(`status ${response.statusCode} without JSON`));
				}
			});
		});
		outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${ANSWER_MS_MAX} ms`)));
		outgoing.on("error", reject);
		outgoing.end();
	});
}
