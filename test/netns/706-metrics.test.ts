/** The metrics endpoint: what promtool thinks of it, where it listens, and who may read it. */
import { readFileSync, statSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { run } from "../support/netns.js";
import { type Site, sharedSite } from "../support/site.js";

const metrics = suite("metrics");
const test = sharedSite(metrics, { tools: ["promtool", "curl"], vlans: [60] });

/** Restarts the daemon with flags of its own. */
async function restart(site: Site, ...flags: string[]): Promise<string> {
	const { stderr } = await site.vlane.stopDaemon();
	await site.vlane.startDaemon(...flags);
	return stderr;
}

function get(socketPath: string, path: string): Promise<{ status: number; text: string; type: string }> {
	return new Promise((resolve, reject) => {
		const outgoing = request({ socketPath, path, agent: false }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => {
				resolve({ status: response.statusCode ?? 0, text, type: response.headers["content-type"] ?? "" });
			});
		});
		outgoing.on("error", reject);
		outgoing.end();
	});
}

test("on a unix socket, in Prometheus' format, with what the switch has counted", async (site) => {
	const socket = join(site.vlane.directory, "metrics.sock");
	await restart(site, "--metrics", `unix:${socket}`);
	site.lan.station(60, ["10.60.0.254/24"]);
	site.create("v60", "--subnet=10.60.0.0/24", "-o", "parent=eth0.60");
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	const c1 = await site.join("v60");
	assert.is(c1.ping("10.60.0.254", 2), 2);
	const { status, text, type } = await get(socket, "/metrics");
	assert.equal([status, type], [200, "text/plain; version=0.0.4; charset=utf-8"]);
	assert.equal(run(["promtool", "check", "metrics"], { input: text }), { status: 0, stdout: "", stderr: "" });
	assert.is(statSync(socket).mode & 0o777, 0o600);
	const labels = `port="v60/${c1.name}",kind="endpoint",parent="eth0.60",networks="v60"`;
	const frames = Number(text.match(`vlane_port_receive_frames_total{${labels}} (\\d+)`)?.[1]);
	const port = site.port("v60", c1);
	assert.ok(frames >= 3 && frames <= port.rxFrames, `${frames} frames`);
	assert.match(text, /^vlane_networks 2$/m);
	assert.match(text, /^vlane_batch_frames_bucket\{le="\+Inf"\} [1-9]\d*$/m);
	assert.match(text, /^vlane_build_info\{version="[\d.]+",datapath="(io_uring|poll)"\} 1$/m);
	assert.is((await get(socket, "/")).status, 404);
	await restart(site);
	await get(socket, "/metrics").then(
		() => assert.unreachable("without the flag there are none"),
		() => undefined,
	);
});

test("on the loopback for everybody there; beyond it only when asked, with the token", async (site) => {
	await restart(site, "--metrics", "127.0.0.1:9109");
	const curl = (...argv: string[]) =>
		site.lan.host.run(["curl", "-s", "-o", "-", "-w", "%{http_code}", ...argv]).stdout;
	assert.match(curl("http://127.0.0.1:9109/metrics"), /^vlane_networks 0$[\s\S]*200$/m);
	assert.match(curl("-X", "POST", "http://127.0.0.1:9109/metrics"), /405$/);
	await restart(site, "--metrics", "0.0.0.0:9109", "--metrics-remote");
	assert.match(curl("http://127.0.0.1:9109/metrics"), /^\{"message":"this needs the daemon's token[^"]*"\}401$/);
	const token = readFileSync(join(site.vlane.stateDirectory, "dashboard.token"), "utf8").trim();
	assert.match(curl("-H", `Authorization: Bearer ${token}`, "http://127.0.0.1:9109/metrics"), /200$/);
	await restart(site);
});

test("places that can not be are refused before anything is made", async (site) => {
	const cases: [place: string, said: string][] = [
		[
			"0.0.0.0:9109",
			"--metrics 0.0.0.0:9109 can be reached from other hosts, over plain HTTP; add --metrics-remote to allow that",
		],
		["9109", 'invalid --metrics "9109": expected 127.0.0.1:PORT or [::1]:PORT'],
		["unix:relative", 'invalid --metrics "unix:relative": expected unix:/PATH'],
	];
	for (const [place, said] of cases) {
		const state = join(site.vlane.directory, "none");
		const flags = ["--state-dir", state, "--socket", `${state}.sock`, "--docker-plugin-dir", "none"];
		const { status, stderr } = site.vlane.vlane("daemon", ...flags, "--metrics", place);
		assert.equal([status, stderr], [1, `${said}\n`]);
		assert.throws(() => statSync(state), /ENOENT/);
	}
});

test("the Grafana dashboard asks for metrics that there are", async (site) => {
	const socket = join(site.vlane.directory, "grafana.sock");
	await restart(site, "--metrics", `unix:${socket}`);
	const { text } = await get(socket, "/metrics");
	const dashboard = readFileSync(new URL("../../../examples/grafana/vlane.json", import.meta.url), "utf8");
	const names = new Set(dashboard.match(/vlane_[a-z_]+/g));
	assert.ok(names.size > 8);
	for (const name of names) assert.match(text, new RegExp(`^# TYPE ${name.replace(/_bucket$/, "")} `, "m"), name);
	await restart(site);
});

metrics.run();
