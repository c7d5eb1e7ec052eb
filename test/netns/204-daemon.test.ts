/** The daemon as a process: what it needs, and how its API answers nonsense. */
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Lan, makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const daemon = suite("daemon");
const need = { root: true, tun: true, tools: ["ip", "setpriv", "unshare"] };

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));

let lan: Lan;
let vlane: Vlane;

daemon.before(async () => {
	lan = await makeLan();
	vlane = await startVlane(lan.host);
});

daemon.after(async () => {
	await vlane.cleanup();
	lan.close();
});

function ask(method: string, path: string, body = ""): Promise<{ status: number; answer: unknown }> {
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath: vlane.socket, method, path, agent: false }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () =>
				resolve({ status: response.statusCode ?? 0, answer: text === "" ? "" : JSON.parse(text) }),
			);
		});
		outgoing.on("error", reject);
		outgoing.end(body);
	});
}

testOrSkip(daemon, "the socket is for its owner only", need, () => {
	assert.is(statSync(vlane.socket).mode & 0o777, 0o600);
	assert.is(statSync(vlane.stateDirectory).mode & 0o777, 0o700);
});

testOrSkip(daemon, "info says which version runs, and how", need, async () => {
	const { status, answer } = await ask("GET", "/info");
	assert.is(status, 200);
	const info = answer as Record<string, unknown>;
	assert.is(info.ApiVersion, 1);
	assert.is(info.StateDir, vlane.stateDirectory);
	assert.ok(["io_uring", "poll"].includes(`${info.Datapath}`));
});

testOrSkip(daemon, "every error is a status and one message", need, async () => {
	const cases: [method: string, path: string, body: string, status: number, message: RegExp][] = [
		["GET", "/nothing", "", 404, /^page not found: GET \/nothing$/],
		["PUT", "/networks", "", 404, /^page not found: PUT \/networks$/],
		["GET", "/networks/nope", "", 404, /^network nope not found$/],
		["GET", "/networks/%ff", "", 400, /malformed reference/],
		["POST", "/networks/create", "{", 400, /^request body is not valid JSON$/],
		["POST", "/networks/create", "", 400, /^invalid request body: /],
		["POST", "/networks/create", '{"Name":"x","Nmae":1}', 400, /unknown key "Nmae"/],
		[
			"POST",
			"/networks/create",
			JSON.stringify({ Name: "x".repeat(2 << 20) }),
			400,
			/^request body is larger than 1048576 bytes$/,
		],
		["POST", "/networks/create", '{"Name":""}', 400, /^invalid name: name is empty$/],
		["POST", "/networks/create", '{"Name":"x","Driver":"overlay"}', 400, /^network driver overlay is not known/],
		["POST", "/networks/create", '{"Name":"x","IPAM":{"Driver":"dhcp"}}', 400, /^ipam driver dhcp is not known/],
		[
			"POST",
			"/containers",
			'{"Pid":4194999,"Command":["x"],"AutoRemove":false,"Networks":[]}',
			404,
			/^process 4194999 not found$/,
		],
		["POST", "/containers/nope/stop", "{}", 404, /^No such container: nope$/],
		["DELETE", "/containers/nope", "", 404, /^No such container: nope$/],
	];
	for (const [method, path, body, status, message] of cases) {
		const said = await ask(method, path, body);
		assert.is(said.status, status, `${method} ${path} ${JSON.stringify(said.answer)}`);
		assert.match((said.answer as { message: string }).message, message);
	}
	const { answer } = await ask("GET", "/info");
	const own = JSON.stringify({ Pid: (answer as { Pid: number }).Pid, Command: ["x"], AutoRemove: false, Networks: [] });
	const refused = await ask("POST", "/containers", own);
	assert.is(refused.status, 403);
	assert.match((refused.answer as { message: string }).message, /is in the network namespace of the host/);
});

/** Runs a second daemon, that can not start, behind a command that takes something away from it. */
function startBehind(...wrapper: string[]): { status: number; stderr: string } {
	const flags = ["--state-dir", `${vlane.directory}/none`, "--socket", `${vlane.directory}/none.sock`];
	return lan.host.run([...wrapper, process.execPath, VLANE, "daemon", ...flags]);
}

testOrSkip(daemon, "a file that is no socket is not taken for a stale one", need, () => {
	const file = `${vlane.directory}/precious`;
	writeFileSync(file, "data");
	const flags = ["--state-dir", `${vlane.directory}/other`, "--socket", file];
	const { status, stderr } = lan.host.run([process.execPath, VLANE, "daemon", ...flags]);
	assert.is(status, 1);
	assert.match(stderr, /^cannot use socket \S+precious: something else has that name; give another --socket\n$/);
	assert.is(readFileSync(file, "utf8"), "data");
});

testOrSkip(daemon, "missing privileges are named before anything is made", need, () => {
	const { status, stderr } = startBehind("setpriv", "--bounding-set=-net_raw,-sys_admin");
	assert.is(status, 1);
	assert.is(stderr, "the daemon needs CAP_NET_RAW, CAP_SYS_ADMIN and does not have them; run it as root\n");
	assert.throws(() => statSync(`${vlane.directory}/none`), /ENOENT/);
});

testOrSkip(daemon, "a missing /dev/net/tun is named before anything is made", need, () => {
	const { status, stderr } = startBehind(
		"unshare",
		"--mount",
		"sh",
		"-c",
		'mount -t tmpfs none /dev/net && exec "$@"',
		"sh",
	);
	assert.is(status, 1);
	assert.match(stderr, /^open on "\/dev\/net\/tun": ENOENT; load the module \(modprobe tun\) and make the node: .*\n$/);
	assert.throws(() => statSync(`${vlane.directory}/none`), /ENOENT/);
});

daemon.run();
