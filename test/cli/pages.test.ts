/** What is made of the command table: manual pages, and completion in the shells. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { complete } from "../../src/cli/completion.js";
import { COMMANDS } from "../../src/cli/table.js";
import { testOrSkip } from "../support/needs.js";
import { type FakeDaemon, fakeDaemon, VLANE, vlane } from "./harness.js";

/** The checkout, seen from dist/test/cli. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const MAN = join(ROOT, "dist/man");

const pages = suite("manual pages");

pages("a page for each command, and no other", () => {
	const expected = ["vlane", ...COMMANDS.map(({ path }) => `vlane-${path.replaceAll(" ", "-")}`)];
	assert.equal(readdirSync(MAN).sort(), expected.map((name) => `${name}.1`).sort());
});

testOrSkip(pages, "man renders each without a warning, with summary and flags", { tools: ["man"] }, () => {
	for (const { path, summary, flags } of COMMANDS) {
		const file = join(MAN, `vlane-${path.replaceAll(" ", "-")}.1`);
		const env = { ...process.env, LC_ALL: "C", MANWIDTH: "100", MAN_KEEP_FORMATTING: "" };
		const { status, stdout, stderr } = spawnSync("man", ["--warnings", "-l", "-P", "cat", file], {
			encoding: "utf8",
			env,
		});
		assert.equal([status, stderr], [0, ""], path);
		assert.match(stdout.replace(/\s+/g, " "), summary.replace(/\s+/g, " "));
		for (const { name } of flags) assert.match(stdout, new RegExp(`^ +(-\\w, )?--${name}\\b`, "m"), `${path} ${name}`);
	}
	const root = spawnSync("man", ["--warnings", "-l", "-P", "cat", join(MAN, "vlane.1")], { encoding: "utf8" });
	assert.equal([root.status, root.stderr], [0, ""]);
});

pages.run();

const completion = suite("completion");
const NETWORKS = [
	{ Name: "pub_net", Driver: "macvlan" },
	{ Name: "private_net", Driver: "ipvlan" },
];
let daemon: FakeDaemon;
completion.before(async () => {
	daemon = await fakeDaemon({
		"GET /networks": [200, NETWORKS],
		"GET /ports": [200, [{ name: "pub_net/web", kind: "endpoint" }]],
		"GET /containers?all=1": [200, [{ Name: "web", Command: ["sleep", "9"] }]],
	});
});
completion.after(() => daemon.close());

/** What `vlane completion words -- WORD...` prints. */
async function completed(...words: string[]): Promise<string> {
	const { status, stdout, stderr } = await vlane(["completion", "words", "--", ...words], { host: daemon.host });
	assert.equal([status, stderr], [0, ""], words.join(" "));
	return stdout;
}

completion("every command and every flag of the table is offered", async () => {
	const nobody = { networks: async () => [], containers: async () => [], ports: async () => [] };
	const offered = async (...words: string[]) => (await complete(words, nobody)).candidates.map(([word]) => word);
	for (const { path, flags } of COMMANDS) {
		const words = path.split(" ");
		assert.ok((await offered(...words)).includes(words.at(-1)!), path);
		const flagWords = await offered(...words, "--");
		for (const { name } of flags) assert.ok(flagWords.includes(`--${name}`), `${path} --${name}`);
	}
});

const CASES: [words: string[], printed: string][] = [
	[["netw"], "network\tManage networks\n:nothing\n"],
	[["network", "inspect", "p"], "pub_net\tmacvlan\nprivate_net\tipvlan\n:nothing\n"],
	[["network", "remove", "a", "pu"], "pub_net\tmacvlan\n:nothing\n"],
	[["network", "connect", "pub_net", ""], "web\tsleep 9\n:nothing\n"],
	[["network", "connect", "pub_net", "web", ""], ":nothing\n"],
	[["run", "--net", "pu"], "pub_net\tmacvlan\n:nothing\n"],
	[["run", "--net=pu"], "--net=pub_net\tmacvlan\n:nothing\n"],
	[["run", "--network=pub_net", "-d", "sl"], ":commands\n"],
	[["run", "sleep", "--"], ":files\n"],
	[["-H", "unix:///x", "exec", "-i", ""], "web\tsleep 9\n:nothing\n"],
	[["network", "create", "-d", ""], "ipvlan\t\nmacvlan\t\n:nothing\n"],
	[["network", "create", "--subnet", ""], ":nothing\n"],
	[["completion", ""], "bash\t\nfish\t\nzsh\t\n:nothing\n"],
	[["stats", "eth0", "pub"], "pub_net/web\tendpoint\n:nothing\n"],
	[["bogus", "x"], ":nothing\n"],
];

for (const [words, printed] of CASES) {
	completion(`vlane ${words.join(" ")}`, async () => assert.is(await completed(...words), printed));
}

completion("without a daemon there are no names, and no error", async () => {
	const { status, stdout, stderr } = await vlane(["completion", "words", "--", "network", "rm", ""]);
	assert.equal({ status, stdout, stderr }, { status: 0, stdout: ":nothing\n", stderr: "" });
});

completion("an unknown shell is refused", async () => {
	assert.equal(await vlane(["completion", "tcsh"]), {
		status: 2,
		stdout: "",
		stderr: "vlane: no completion for 'tcsh'; there are: bash, fish, zsh\nSee 'vlane completion --help'.\n",
	});
});

/** Runs a shell with the script that it is given, and `vlane` in its path; answers what it prints. */
async function shell(argv: string[], name: string, program: (script: string) => string): Promise<string> {
	const directory = mkdtempSync(join(tmpdir(), "vlane-completion-"));
	try {
		const script = join(directory, `script.${name}`);
		writeFileSync(script, (await vlane(["completion", name])).stdout);
		writeFileSync(join(directory, "vlane"), `#!/bin/sh\nexec ${process.execPath} ${VLANE} "$@"\n`, { mode: 0o755 });
		// The daemon is in this process: it has to be able to answer.
		const child = spawn(argv[0]!, [...argv.slice(1), program(script)], {
			env: { ...process.env, HOME: directory, PATH: `${directory}:${process.env.PATH}`, VLANE_HOST: daemon.host },
			stdio: ["ignore", "pipe", "pipe"],
		});
		let output = "";
		for (const stream of [child.stdout, child.stderr]) {
			stream.setEncoding("utf8").on("data", (text: string) => {
				output += text;
			});
		}
		await new Promise((resolve) => child.on("close", resolve));
		return output;
	} finally {
		rmSync(directory, { recursive: true, force: true });
	}
}

/** The line that each shell is asked about, and what it has to offer. */
const LINES: [line: string, offered: string[]][] = [
	["vlane network in", ["inspect"]],
	["vlane network inspect p", ["private_net", "pub_net"]],
	["vlane run --net=pu", ["pub_net"]],
];

for (const [line, offered] of LINES) {
	testOrSkip(completion, `bash: ${line}`, { tools: ["bash"] }, async () => {
		const ask = `COMP_LINE='${line}' COMP_POINT=${line.length}; _vlane; printf '%s\\n' "\${COMPREPLY[@]}"`;
		const output = await shell(["bash", "-c"], "bash", (script) => `source ${script}; ${ask}`);
		assert.equal(output.split("\n").filter(Boolean).sort(), offered);
	});

	testOrSkip(completion, `fish: ${line}`, { tools: ["fish"] }, async () => {
		const output = await shell(["fish", "-c"], "fish", (script) => `source ${script}; complete -C '${line}'`);
		const words = output.split("\n").filter(Boolean);
		assert.equal(words.map((word) => word.split("\t")[0]!.replace(/^--net=/, "")).sort(), offered);
	});

	testOrSkip(completion, `zsh: ${line}`, { tools: ["zsh"] }, async () => {
		const words = line.split(" ");
		// The line editor is not there: what would be shown is printed.
		const stubs = `compdef() { }; _describe() { print -rl -- "\${(P@)2}"; }`;
		const program = (script: string) =>
			`${stubs}; source ${script}; words=(${words.join(" ")}) CURRENT=${words.length}; _vlane`;
		const output = await shell(["zsh", "-fc"], "zsh", program);
		const shown = output.split("\n").filter(Boolean);
		assert.equal(shown.map((word) => word.replace(/^--net=/, "").split(":")[0]).sort(), offered);
	});
}

completion.run();
