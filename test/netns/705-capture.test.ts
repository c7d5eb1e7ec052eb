/** `vlane capture`: read by tshark without a warning, and what happens to captures that are in the way. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BROADCAST, TPID_CTAG } from "../support/frames.js";
import { FAR_END } from "../support/lan.js";
import { must, type Namespace, run, type Started } from "../support/netns.js";
import { marked } from "../support/packets.js";
import { send } from "../support/sender.js";
import { eventually, type Site, sharedSite } from "../support/site.js";

const captures = suite("capture");
const test = sharedSite(captures, { tools: ["tshark", "capinfos"], vlans: [50] });

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
const EXTCAP = fileURLToPath(new URL("../../../bin/vlane-extcap.js", import.meta.url));

/** A network on VLAN 50, an endpoint on it, a station on the LAN. */
async function makeScene(site: Site): Promise<{ c1: Namespace; name: string }> {
	site.lan.station(50, ["10.50.0.254/24"]);
	site.create("v50", "--subnet=10.50.0.0/24", "-o", "parent=eth0.50");
	const c1 = await site.join("v50");
	return { c1, name: `v50/${c1.name}` };
}

async function started(site: Site, ...argv: string[]): Promise<Started> {
	const capture = site.vlane.start("capture", ...argv);
	await capture.waitFor(/^listening on /);
	return capture;
}

/** What tshark says of each packet, and of the file: nothing. */
function read(file: string, ...fields: string[]): string[][] {
	const options = fields.flatMap((field) => ["-e", field]);
	const shown = must(["tshark", "-n", "-r", file, "-T", "fields", "-E", "separator=|", ...options]);
	return shown
		.split("\n")
		.filter(Boolean)
		.map((line) => line.split("|"));
}

/** @throws AssertionError when tshark has something to complain about */
function assertClean(file: string): void {
	const { status, stderr } = run(["tshark", "-n", "-r", file, "-q", "-z", "expert,warn"]);
	const told = stderr.replace(/^Running as user "root".*\n/, "");
	assert.equal([status, told], [0, ""]);
	assert.not.match(must(["tshark", "-n", "-r", file, "-q", "-z", "expert,warn"]), /Errors|Warns|Malformed/);
}

test("a network's capture shows ports, tags, directions and times to the nanosecond", async (site) => {
	const { c1, name } = await makeScene(site);
	const file = join(site.vlane.directory, "net.pcapng");
	const capture = await started(site, "v50", "-w", file, "icmp", "or", "arp");
	assert.is(c1.ping("10.50.0.254"), 1);
	const { status, stderr } = await capture.stop("SIGINT");
	assert.is(status, 0, stderr);
	assert.match(stderr, /^listening on v50\n\d+ frames captured, \d+ looked at, 0 lost\n$/);
	assertClean(file);
	const seen = read(file, "frame.interface_name", "frame.packet_flags_direction", "vlan.id", "icmp.type");
	const pings = seen.filter(([, , , type]) => type !== "").map((fields) => fields.join(" "));
	const echo = [`${name} 0x00000001  8`, "eth0 0x00000002 50 8", "eth0 0x00000001 50 0", `${name} 0x00000002  0`];
	assert.equal(pings, echo);
	const info = must(["capinfos", file]);
	assert.match(info, /precision: +nanoseconds/);
	assert.match(info, /Filter string = icmp or arp/);
	assert.match(info, /Name = eth0\.50/);
	assert.match(info, /Number of stat entries = 1/);
	const [first] = read(file, "frame.time_epoch");
	assert.ok(Math.abs(Number(first![0]) - Date.now() / 1000) < 60);
	const description = must([
		"tshark",
		"-n",
		"-r",
		file,
		"-T",
		"fields",
		"-e",
		"frame.interface_description",
		"-c",
		"1",
	]);
	assert.is(description, "endpoint\n");
});

test("-w - writes to a pipe that tshark reads as it comes; -c ends it", async (site) => {
	const { c1, name } = await makeScene(site);
	const line = `"$@" -w - -c 4 icmp | tshark -n -l -r - -T fields -e frame.interface_name -e icmp.type`;
	const script = site.lan.host.start(["sh", "-c", line, "sh", process.execPath, VLANE, "capture", name], {
		env: { VLANE_HOST: `unix://${site.vlane.socket}` },
	});
	await script.waitFor(/^listening on /);
	assert.is(c1.ping("10.50.0.254", 2), 2);
	const { status, stdout } = await script.ended;
	assert.equal([status, stdout], [0, `${name}\t8\n${name}\t0\n`.repeat(2)]);
});

test("without -w it prints a line for each frame; dropped ones say why", async (site) => {
	const { c1 } = await makeScene(site);
	const capture = await started(site, "eth0", "-c", "4", "icmp");
	const dropped = await started(site, "eth0", "-c", "1", "vlan", "60");
	assert.is(c1.ping("10.50.0.254", 2), 2);
	const { stdout, stderr } = await capture.ended;
	const lines = stdout.replaceAll(/^\d\d:\d\d:\d\d\.\d{6} /gm, "").replaceAll(/id \d+/g, "id N");
	const out = (seq: number) =>
		`eth0 Out vlan 50, IP 10.50.0.1 > 10.50.0.254: ICMP echo request, id N, seq ${seq}, length 64\n`;
	const back = (seq: number) =>
		`eth0 In  vlan 50, IP 10.50.0.254 > 10.50.0.1: ICMP echo reply, id N, seq ${seq}, length 64\n`;
	assert.is(lines, out(1) + back(1) + out(2) + back(2));
	assert.match(stderr, /^listening on eth0\n4 frames captured, \d+ looked at, 0 lost\n$/);
	send(site.lan.far, FAR_END, [marked("foreign", "02:00:00:00:00:99", BROADCAST, [{ tpid: TPID_CTAG, vid: 60 }])]);
	assert.match((await dropped.ended).stdout, /^\S+ eth0 In {2}vlan 60, .* length 46 \[dropped: vlan\]\n$/);
});

test("what comes later under the same name is captured, too", async (site) => {
	site.create("net", "--subnet=10.9.0.0/24");
	const file = join(site.vlane.directory, "later.pcapng");
	const capture = await started(site, "net", "-w", file, "icmp");
	const [c1, c2] = [await site.join("net"), await site.join("net")];
	await new Promise((resolve) => setTimeout(resolve, 50));
	assert.is(c1.ping("10.9.0.2"), 1);
	await capture.stop("SIGINT");
	const names = read(file, "frame.interface_name").flat();
	assert.equal(names, [`net/${c1.name}`, `net/${c2.name}`, `net/${c2.name}`, `net/${c1.name}`]);
	assertClean(file);
});

test("frames are cut to the snap length, and offloads are recorded whole", async (site) => {
	const { c1, name } = await makeScene(site);
	const cut = join(site.vlane.directory, "cut.pcapng");
	const whole = join(site.vlane.directory, "whole.pcapng");
	const one = await started(site, name, "-w", cut, "-s", "64", "icmp");
	const two = await started(site, name, "-w", whole, "tcp");
	assert.is(c1.ping("10.50.0.254"), 1);
	const server = `require("net").createServer((s) => s.resume().on("end", () => process.exit()))`;
	const sink = `${server}.listen(5000, () => console.log("up"))`;
	const listener = site.lan.far.start([process.execPath, "-e", sink]);
	await listener.waitFor(/^up$/);
	const source = `require("net").connect(5000,"10.50.0.254").end(Buffer.alloc(4<<20))`;
	c1.must([process.execPath, "-e", source]);
	await Promise.all([one.stop("SIGINT"), two.stop("SIGINT")]);
	assert.equal(read(cut, "frame.cap_len", "frame.len"), [
		["64", "98"],
		["64", "98"],
	]);
	const lengths = read(whole, "frame.cap_len", "frame.len");
	assert.ok(lengths.every(([captured, length]) => captured === length));
	assert.ok(Math.max(...lengths.map(([length]) => Number(length))) > 1514);
});

test("bad input is refused in one line, and nothing is made", async (site) => {
	await makeScene(site);
	const file = join(site.vlane.directory, "none.pcapng");
	const cases: [argv: string[], said: string][] = [
		[["nope"], "No such port, network or container: nope"],
		[
			["eth0", "port", "http"],
			'invalid filter "port http": "http" can not stand behind "port": a number from 0 to 65535 is needed',
		],
		[["eth0", "-s", "10"], 'invalid snaplen "10": a number from 64 to 262144 is needed'],
		[["eth0", "-c", "0"], 'invalid count "0": a number from 1 to 9007199254740991 is needed'],
		[["eth0", "--seconds=-1"], 'invalid seconds "-1": a number from 1 to 86400 is needed'],
	];
	for (const [argv, said] of cases) assert.is(site.refusal("capture", "-w", file, ...argv), said);
	assert.not.ok(existsSync(file));
	const { status, stderr } = site.vlane.vlane("capture", "eth0", "-w", "/nonexistent/x.pcapng");
	assert.equal([status, stderr], [1, "cannot write /nonexistent/x.pcapng: ENOENT\n"]);
	const refusal = await site.ask("DELETE", "/captures/999").catch((error: Error) => error.message);
	assert.match(String(refusal), /No such capture: 999/);
});

test("a daemon that ends finishes its captures", async (site) => {
	await makeScene(site);
	const file = join(site.vlane.directory, "end.pcapng");
	const capture = await started(site, "eth0", "-w", file);
	await site.vlane.stopDaemon();
	const { status, stderr } = await capture.ended;
	assert.is(status, 0, stderr);
	assert.match(stderr, /frames captured/);
	assertClean(file);
	await site.vlane.startDaemon();
});

test("a reader that goes away ends the capture quietly", async (site) => {
	const { c1, name } = await makeScene(site);
	const line = `"$@" -w - | head -c 100 | wc -c`;
	const capture = site.lan.host.start(["sh", "-c", line, "sh", process.execPath, VLANE, "capture", name], {
		env: { VLANE_HOST: `unix://${site.vlane.socket}` },
	});
	await capture.waitFor(/^listening on /);
	await capture.waitFor(/^100$/);
	assert.is(c1.ping("10.50.0.254", 2), 2);
	const { status, stdout, stderr } = await capture.ended;
	assert.equal([status, stdout, stderr], [0, "100\n", `listening on ${name}\n`]);
});

test("Wireshark finds networks and ports, and captures through its pipe", async (site) => {
	const { c1, name } = await makeScene(site);
	const env = { VLANE_HOST: `unix://${site.vlane.socket}` };
	const listed = site.lan.host.must([process.execPath, EXTCAP, "--extcap-interfaces"], { env });
	assert.is(
		listed,
		"extcap {version=1.0}{display=vlane}\n" +
			"interface {value=vlane:v50}{display=vlane network v50}\n" +
			"interface {value=vlane:eth0}{display=vlane uplink eth0}\n" +
			"interface {value=vlane:eth0.50}{display=vlane host eth0.50}\n" +
			`interface {value=vlane:${name}}{display=vlane endpoint ${name}}\n`,
	);
	const dlts = site.lan.host.must([process.execPath, EXTCAP, "--extcap-dlts", "--extcap-interface", "vlane:v50"], {
		env,
	});
	assert.is(dlts, "dlt {number=1}{name=EN10MB}{display=Ethernet}\n");
	const wrong = ["--extcap-interface", "vlane:v50", "--extcap-capture-filter", "port x"];
	assert.match(site.lan.host.must([process.execPath, EXTCAP, ...wrong], { env }), /^invalid filter "port x"/);
	const fifo = join(site.vlane.directory, "extcap");
	must(["mkfifo", fifo]);
	const file = join(site.vlane.directory, "extcap.pcapng");
	const reader = site.lan.host.start(["tshark", "-n", "-i", fifo, "-c", "2", "-w", file]);
	const capture = ["--capture", "--extcap-interface", "vlane:v50", "--fifo", fifo, "--extcap-capture-filter", "icmp"];
	const writer = site.lan.host.start([process.execPath, EXTCAP, ...capture], { env });
	await reader.waitFor(/^Capturing on/);
	await eventually("two packets", async () => {
		c1.ping("10.50.0.254");
		return existsSync(file) && statSync(file).size > 500;
	});
	assert.is((await reader.ended).status, 0);
	await writer.stop("SIGTERM"); // as Wireshark ends it
	assert.ok(readFileSync(file).includes(name));
});

test("a reader that is gone ends the capture, also when nothing passes", async (site) => {
	await makeScene(site);
	const env = { VLANE_HOST: `unix://${site.vlane.socket}` };
	const fifo = join(site.vlane.directory, "gone");
	must(["mkfifo", fifo]);
	const extcap = [process.execPath, EXTCAP, "--capture", "--extcap-interface", "vlane:v50", "--fifo", fifo];
	const first = [process.execPath, VLANE, "capture", "-w", fifo, "v50"];
	for (const command of [extcap, first]) {
		const writer = site.lan.host.start(command, { env });
		// It reads the capture's first block and goes.
		must(["head", "-c", "100", fifo]);
		assert.is((await writer.ended).status, 0);
	}
	const piped = `"$@" -w - v50 | head -c 100 > /dev/null`;
	const shell = ["sh", "-c", piped, "sh", process.execPath, VLANE, "capture"];
	assert.is((await site.lan.host.start(shell, { env }).ended).status, 0);
});

captures.run();
