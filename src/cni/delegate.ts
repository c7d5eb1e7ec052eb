/**
 * Address management by another plugin (host-local, static, dhcp): it is executed as the protocol says, with our own
 * environment and configuration.
 */
import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { CniError, CODE } from "./errors.js";
import { codeOf, type Environment, type NetworkConfig, type Version } from "./invocation.js";

/** What an address management plugin decides. */
export interface Addressing {
	ips?: { address: string; gateway?: string }[];
	routes?: Record<string, unknown>[];
	dns?: object;
}

/** Plugins of before 1.1.0 are spoken to in this version: what they answer means the same in both. */
const OLDER_VERSION: Version = "1.0.0";

/** Variables that differ from our own. */
type Variables = Partial<Record<"CNI_CONTAINERID" | "CNI_NETNS" | "CNI_IFNAME", string>>;

export class Delegate {
	/** @param config ours, which becomes its; `type`: the plugin's name */
	constructor(
		readonly type: string,
		readonly config: NetworkConfig,
		readonly environment: Pick<Environment, "path">,
	) {}

	/**
	 * Runs the plugin to its end.
	 * @returns what it prints, parsed; undefined for nothing
	 * @throws CniError the plugin's own; invalidConfig when there is no such plugin; delegateFailed
	 */
	async run(command: string, variables: Variables = {}): Promise<Addressing | undefined> {
		try {
			return await this.#execute(command, this.config, variables);
		} catch (error) {
			const isTooNew = error instanceof CniError && error.code === CODE.incompatibleVersion;
			if (!isTooNew || this.config.cniVersion !== "1.1.0" || command === "STATUS") throw error;
			return await this.#execute(command, { ...this.config, cniVersion: OLDER_VERSION }, variables);
		}
	}

	/**
	 * Whether the plugin can work. Those that do not know the question can.
	 * @throws CniError notAvailable and the like
	 */
	async status(): Promise<void> {
		try {
			await this.run("STATUS");
		} catch (error) {
			// Before 1.1.0 nobody asked without naming a container.
			const ignorant: number[] = [CODE.incompatibleVersion, CODE.unknownContainer, CODE.invalidEnvironment];
			if (!(error instanceof CniError) || ignorant.includes(error.code)) return;
			throw error.code >= CODE.notAvailable && error.code <= CODE.limitedConnectivity
				? error
				: new CniError(CODE.notAvailable, error.message, error.details);
		}
	}

	async #execute(command: string, config: NetworkConfig, variables: Variables): Promise<Addressing | undefined> {
		const program = this.#find();
		const env = { ...process.env, ...variables, CNI_COMMAND: command };
		const { status, stdout, stderr } = await execute(program, env, JSON.stringify(config));
		if (status === 0) return stdout.trim() === "" ? undefined : parse<Addressing>(this.type, stdout);
		const failure =
			stdout.trim() === "" ? {} : parse<{ code?: number; msg?: string; details?: string }>(this.type, stdout);
		const { code = CODE.delegateFailed, msg = stderr.trim() || `exit status ${status}`, details } = failure;
		throw new CniError(code, `${this.type}: ${msg}`, details);
	}

	#find(): string {
		const { path } = this.environment;
		const found = path
			.map((directory) => join(directory, this.type))
			.find((program) => {
				try {
					accessSync(program, constants.X_OK);
					return !this.type.includes("/");
				} catch {
					return false;
				}
			});
		if (found !== undefined) return found;
		throw new CniError(CODE.invalidConfig, `failed to find plugin ${JSON.stringify(this.type)} in path [${path}]`);
	}
}

function parse<T>(type: string, text: string): T {
	try {
		return JSON.parse(text) as T;
	} catch {
		throw new CniError(CODE.delegateFailed, `${type} answers what is not JSON: ${text.slice(0, 200)}`);
	}
}

interface Executed {
	status: number;
	stdout: string;
	stderr: string;
}

function execute(program: string, env: NodeJS.ProcessEnv, input: string): Promise<Executed> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, { env, stdio: "pipe" });
		const output = { stdout: "", stderr: "" };
		for (const stream of ["stdout", "stderr"] as const) {
			child[stream].setEncoding("utf8").on("data", (chunk: string) => {
				output[stream] += chunk;
			});
		}
		child.on("error", (error) => {
			reject(new CniError(CODE.delegateFailed, `cannot run ${program}: ${codeOf(error)}`));
		});
		child.on("close", (status) => resolve({ status: status ?? 1, ...output }));
		// One that does not read its input says why with its exit status.
		child.stdin.on("error", () => undefined);
		child.stdin.end(input);
	});
}
