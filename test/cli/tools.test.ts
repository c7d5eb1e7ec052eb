/** Commands beside networks and containers, byte for byte; and where each command's output is tested. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { COMMANDS } from "../../src/cli/table.js";
import { VLANE, vlane, withDaemon } from "./harness.js";

const Tools = suite("tools");
const TESTS = fileURLToPath(new URL("../../../test/", import.meta.url));

let directory: string;

Tools.before(() => {
	directory = mkdtempSync(join(tmpdir(), "vlane-tools-"));
});

Tools.after(() => rmSync(directory, { recursive: true, force: true }));

/** Tests that compare what a command prints, by command. */
const WHERE: Record<string, string> = {
	bench: "netns/860-bench.test.ts",
	capture: "netns/705-capture.test.ts",
	completion: "cli/pages.test.ts",
	daemon: "netns/370-bad-input.test.ts",
	dashboard: "cli/tools.test.ts",
	demo: "netns/870-demo.test.ts",
	diff: "netns/700-declare.test.ts",
	"docker install": "cli/tools.test.ts",
	"docker status": "cli/tools.test.ts",
	doctor: "netns/730-doctor.test.ts",
	down: "netns/700-declare.test.ts",
	exec: "cli/run.test.ts",
	"fdb show": "cli/observe.test.ts",
	"host ls": "netns/741-group-hosts.test.ts",
	"host rm": "netns/741-group-hosts.test.ts",
	logs: "cli/container.test.ts",
	"network connect": "cli/network-change.test.ts",
	"network create": "cli/network-create.test.ts",
	"network disconnect": "cli/network-change.test.ts",
	"network inspect": "cli/network-list.test.ts",
	"network ls": "cli/network-list.test.ts",
	"network prune": "cli/network-change.test.ts",
	"network rm": "cli/network-change.test.ts",
	ping: "cli/ping.test.ts",
	ports: "cli/observe.test.ts",
	ps: "cli/container.test.ts",
	reconcile: "cli/tools.test.ts",
	rm: "cli/container.test.ts",
	run: "cli/run.test.ts",
	"state check": "cli/tools.test.ts",
	"state export": "cli/tools.test.ts",
	"state import": "cli/tools.test.ts",
	stats: "cli/observe.test.ts",
	stop: "cli/container.test.ts",
	top: "cli/observe.test.ts",
	up: "netns/700-declare.test.ts",
};

Tools("each command has a test of what it prints", () => {
	for (const { path } of COMMANDS) {
		const file = WHERE[path];
		assert.ok(file !== undefined, `${path}: name its test here`);
		const text = readFileSync(join(TESTS, file), "utf8");
		for (const word of path.split(" ")) assert.ok(text.includes(word), `${file} does not type ${path}`);
	}
});

Tools("reconcile says what was repaired, and what was not", async () => {
	const answer = {
		Done: ["endpoint web: address 10.0.0.2/24 given back"],
		Left: ["network x: parent eth9 is missing"],
	};
	await withDaemon({ "POST /reconcile": () => [200, answer] }, async ({ host }) => {
		const outcome = await vlane(["reconcile"], { host });
		assert.equal(outcome, { status: 1, stdout: `${answer.Done[0]}\n`, stderr: `${answer.Left[0]}\n` });
	});
	await withDaemon({ "POST /reconcile": [200, { Done: [], Left: [] }] }, async ({ host }) => {
		const outcome = await vlane(["reconcile"], { host });
		assert.equal(outcome, { status: 0, stdout: "everything is as it should be\n", stderr: "" });
	});
});

Tools("dashboard prints the address with the token, for a browser here", async () => {
	writeFileSync(join(directory, "dashboard.token"), "abc\n");
	const info = { Dashboard: "http://0.0.0.0:8080/", StateDir: directory };
	await withDaemon({ "GET /info": [200, info] }, async ({ host }) => {
		const outcome = await vlane(["dashboard"], { host });
		assert.equal(outcome, { status: 0, stdout: "http://127.0.0.1:8080/#token=abc\n", stderr: "" });
	});
	await withDaemon({ "GET /info": [200, { StateDir: directory }] }, async ({ host }) => {
		const stderr = "the daemon serves no dashboard; start it with: vlane daemon --dashboard 127.0.0.1:8080\n";
		assert.equal(await vlane(["dashboard"], { host }), { status: 1, stdout: "", stderr });
	});
});

Tools("docker install writes a unit, and docker status says what is missing", async () => {
	const unit = join(directory, "vlane.service");
	const shown = await vlane(["docker", "install", "--dry-run", "--unit-dir", directory]);
	assert.equal([shown.status, shown.stderr], [0, ""]);
	assert.ok(shown.stdout.startsWith(`# ${unit}\n[Unit]\n`), shown.stdout);
	assert.ok(
		shown.stdout.includes(`ExecStart=${process.execPath} --max-semi-space-size=1 ${realpathSync(VLANE)} daemon`),
		shown.stdout,
	);
	const next = "nothing was started; do so with: systemctl daemon-reload && systemctl enable --now vlane.service\n";
	for (const [before, said] of [
		[undefined, "wrote "],
		[undefined, ""],
		["other", "replaced "],
	] as const) {
		if (before !== undefined) writeFileSync(unit, before);
		const { stdout } = await vlane(["docker", "install", "--unit-dir", directory]);
		assert.is(stdout, said === "" ? `${unit} is as it should be\n${next}` : `${said}${unit}\n${next}`);
		assert.is(`# ${unit}\n${readFileSync(unit, "utf8")}`, shown.stdout);
	}
	const status = await vlane(["docker", "status", "--docker-plugin-dir", directory, "--docker-socket", "/none"]);
	const remedy = "start the daemon, see vlane docker install";
	const plugin = `the driver does not answer on ${directory}/vlane.sock: ENOENT; ${remedy}`;
	const engine = "Docker Engine does not answer on /none: ENOENT; start it, or name its socket with --docker-socket";
	assert.equal(status, { status: 1, stdout: `failed\t${plugin}\nfailed\t${engine}\n`, stderr: "" });
});

Tools("state: an empty directory, out and in again", async () => {
	const state = join(directory, "state");
	mkdirSync(state);
	const at = ["--state-dir", state];
	const file = join(directory, "backup.json");
	const missing = join(directory, "missing.json");
	assert.equal(await vlane(["state", "import", ...at, missing]), {
		status: 1,
		stdout: "",
		stderr: `cannot read ${missing}: ENOENT\n`,
	});
	writeFileSync(file, "{}");
	assert.equal(await vlane(["state", "import", ...at, file]), {
		status: 1,
		stdout: "",
		stderr: "the import is not what vlane state export has written\n",
	});
	const text = (schema: string) =>
		`{\n\t"format": "vlane state",\n\t"records": {\n\t\t"meta/schema": ${schema}\n\t}\n}\n`;
	writeFileSync(file, text("1"));
	const imported = { status: 0, stdout: `0 records imported into ${state}\n`, stderr: "" };
	assert.equal(await vlane(["state", "import", ...at, file]), imported);
	const checked = { status: 0, stdout: `state directory ${state} is consistent\n`, stderr: "" };
	assert.equal(await vlane(["state", "check", ...at]), checked);
	const { status, stdout, stderr } = await vlane(["state", "export", ...at]);
	// Whichever schema this release writes.
	const schema = /"meta\/schema": (\d+)/.exec(stdout)?.[1] ?? "";
	assert.equal([status, stdout, stderr], [0, text(schema), ""]);
});

Tools.run();
