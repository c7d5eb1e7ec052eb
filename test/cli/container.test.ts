/**
 * `vlane ps`, `stop`, `rm`, `logs` and `ports`.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Answer, vlane, withDaemon } from "./harness.js";
import { attachment, container } from "./samples.js";

const Containers = suite("containers");

const RUNNING = container("web", "1234567890abcdef", {
	Command: ["/bin/sh", "-c", "a very long command line"],
	Networks: { pub_net: attachment("7d86", "172.16.86.2"), six: attachment("8e86", "", "2001:db8::2") },
});
const EXITED = container("old", "fedcba0987654321", {
	State: "exited",
	Pid: 0,
	Created: new Date(Date.now() - 3 * 3600_000).toISOString(),
});
const ROUTES = {
	"GET /containers": [200, [RUNNING]] as Answer,
	"GET /containers?all=1": [200, [EXITED, RUNNING]] as Answer,
};

const TABLES: [args: string[], lines: string[]][] = [
	[
		["ps"],
		[
			"CONTAINER ID   COMMAND                  CREATED              STATUS              " +
				"NETWORKS      IP ADDRESS                NAMES",
			'1234567890ab   "/bin/sh -c a very l…"   About a minute ago   Up About a minute   ' +
				"pub_net,six   172.16.86.2,2001:db8::2   web",
		],
	],
	[["ps", "-q"], ["1234567890ab"]],
	[
		["ps", "-aq"],
		["1234567890ab", "fedcba098765"],
	],
	[["ps", "-aq", "--no-trunc", "-f", "name=old"], [EXITED.Id]],
	[["ps", "--format", "{{.Names}} {{.Command}}", "--no-trunc"], ['web "/bin/sh -c a very long command line"']],
	[
		["ps", "-a", "--format", "table {{.Names}}\\t{{.Status}}"],
		["NAMES     STATUS", "web       Up About a minute", "old       Exited"],
	],
	[["ps", "-q", "-f", "network=pub_net"], ["1234567890ab"]],
	[["ps", "-q", "-f", "network=8e86"], ["1234567890ab"]],
	[["ps", "-q", "-f", "network=nope"], []],
	[["ps", "-q", "-f", "name=we"], ["1234567890ab"]],
	[["ps", "-q", "-f", "status=exited"], ["fedcba098765"]],
	[["ps", "-q", "-f", "id=1234"], ["1234567890ab"]],
];

for (const [args, lines] of TABLES) {
	Containers(args.join(" "), async () => {
		await withDaemon(ROUTES, async ({ host }) => {
			const stdout = lines.map((line) => `${line}\n`).join("");
			assert.equal(await vlane(args, { host }), { status: 0, stdout, stderr: "" });
		});
	});
}

Containers("ps --format json has these keys, all texts", async () => {
	await withDaemon(ROUTES, async ({ host }) => {
		const row = JSON.parse((await vlane(["ps", "--format", "json"], { host })).stdout) as Record<string, unknown>;
		assert.equal(Object.keys(row), [
			"Command",
			"CreatedAt",
			"ID",
			"IPAddress",
			"Names",
			"Networks",
			"Pid",
			"RunningFor",
			"State",
			"Status",
		]);
		assert.ok(Object.values(row).every((value) => typeof value === "string"));
	});
});

Containers("stop prints each name as given and goes on after a refusal", async () => {
	const routes = {
		"POST /containers/web/stop": [204] as Answer,
		"POST /containers/1234/stop": [204] as Answer,
		"POST /containers/nope/stop": [404, { message: "No such container: nope" }] as Answer,
	};
	await withDaemon(routes, async ({ host, asked }) => {
		assert.equal(await vlane(["stop", "-t", "3", "web", "nope", "1234"], { host }), {
			status: 1,
			stdout: "web\n1234\n",
			stderr: "Error response from daemon: No such container: nope\n",
		});
		assert.equal(asked[0]?.body, { TimeoutSeconds: 3 });
		await vlane(["stop", "web"], { host });
		assert.equal(asked.at(-1)?.body, {});
	});
});

Containers("rm removes, with the logs of containers that are gone", async () => {
	const routes: Record<string, Answer> = {
		"DELETE /containers/web": [409, { message: 'cannot remove container "/web": container is running' }],
		"DELETE /containers/web?force=1": [204],
		"GET /containers?all=1": [200, [EXITED]],
	};
	await withDaemon(routes, async ({ host, directory }) => {
		routes["GET /info"] = [200, { StateDir: directory }];
		const logs = join(directory, "logs");
		mkdirSync(logs);
		for (const { Id } of [RUNNING, EXITED]) writeFileSync(join(logs, `${Id}.log`), "");
		writeFileSync(join(logs, "0123456789abcdef.starting"), "");

		const refused = await vlane(["rm", "web"], { host });
		const stderr = 'Error response from daemon: cannot remove container "/web": container is running\n';
		assert.equal(refused, { status: 1, stdout: "", stderr });
		assert.equal(await vlane(["rm", "-f", "web"], { host }), { status: 0, stdout: "web\n", stderr: "" });
		assert.not.ok(existsSync(join(logs, `${RUNNING.Id}.log`)));
		assert.ok(existsSync(join(logs, `${EXITED.Id}.log`)));
		assert.ok(existsSync(join(logs, "0123456789abcdef.starting")));
	});
});

Containers("logs prints the file of a detached container", async () => {
	const routes: Record<string, Answer> = {
		"GET /containers/web": [200, RUNNING],
		"GET /containers/old": [200, EXITED],
		"GET /containers/nope": [404, { message: "No such container: nope" }],
	};
	await withDaemon(routes, async ({ host, directory }) => {
		routes["GET /info"] = [200, { StateDir: directory }];
		mkdirSync(join(directory, "logs"));
		const text = `${"é".repeat(70_000)}\nno newline at the end`;
		writeFileSync(join(directory, "logs", `${RUNNING.Id}.log`), text);
		assert.equal(await vlane(["logs", "web"], { host }), { status: 0, stdout: text, stderr: "" });
		assert.equal(await vlane(["logs", "old"], { host }), {
			status: 1,
			stdout: "",
			stderr: "container old has no log: it was not started with -d, its output went to the terminal\n",
		});
		const stderr = "Error response from daemon: No such container: nope\n";
		assert.equal(await vlane(["logs", "nope"], { host }), { status: 1, stdout: "", stderr });
	});
});

Containers("a reader that goes away ends the output quietly", async () => {
	const many = Array.from({ length: 5000 }, (_, index) => container(`c${index}`, String(index)));
	await withDaemon({ "GET /containers": [200, many] }, async ({ host }) => {
		const prefix = ["sh", "-c", '"$@" | head -1', "sh"];
		const { status, stdout, stderr } = await vlane(["ps", "--no-trunc"], { host, prefix });
		assert.is(stdout.split("\n").length, 2);
		assert.equal([status, stderr], [0, ""]);
	});
});

Containers.run();
