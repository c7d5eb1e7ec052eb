/** `vlane docker install`. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UNIT, unitText } from "../../docker/systemd.js";
import { CliError, messageOf } from "../errors.js";
import { print, printLine } from "../output.js";
import { DEFAULT_PLUGIN_DIR, type Invocation } from "../table/spec.js";

const UNIT_DIR = "/etc/systemd/system";

/** Writes the systemd unit, and says what it has done. Nothing is started unless asked for. */
export async function run({ flags }: Invocation): Promise<number> {
	const text = unitText({
		node: process.execPath,
		command: realpathSync(process.argv[1] ?? ""),
		pluginDir: flags.string("docker-plugin-dir") ?? DEFAULT_PLUGIN_DIR,
		socketGroup: flags.string("socket-group"),
	});
	const path = join(flags.string("unit-dir") ?? UNIT_DIR, UNIT);
	if (flags.bool("dry-run")) {
		printLine(`# ${path}`);
		print(text);
		return 0;
	}
	printLine(write(path, text));
	const steps = [["daemon-reload"], ["enable", "--now", UNIT]];
	if (!flags.bool("enable")) {
		const commands = steps.map((step) => ["systemctl", ...step].join(" "));
		printLine(`nothing was started; do so with: ${commands.join(" && ")}`);
		return 0;
	}
	for (const step of steps) systemctl(step);
	return 0;
}

function write(path: string, text: string): string {
	try {
		const before = existsSync(path) ? readFileSync(path, "utf8") : undefined;
		if (before === text) return `${path} is as it should be`;
		writeFileSync(path, text, { mode: 0o644 });
		return `${before === undefined ? "wrote" : "replaced"} ${path}`;
	} catch (error) {
		throw new CliError(`cannot write ${path}: ${messageOf(error)}; run it as root, on a host with systemd`);
	}
}

function systemctl(step: string[]): void {
	const { status, stderr, error } = spawnSync("systemctl", step, { encoding: "utf8" });
	const command = `systemctl ${step.join(" ")}`;
	if (status !== 0) throw new CliError(`${command} failed: ${messageOf(error ?? stderr)}`);
	printLine(`did ${command}`);
}
