/** containerd as the runtime (`ctr run --cni`): containers on a VLAN, and a reference plugin behind ours. */
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BIN, callCni, PLUGINS } from "../support/cni.js";
import { type Lan, makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { must, type Ran, run, type Started, start } from "../support/netns.js";
import { eventually } from "../support/site.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const containerd = suite("cni: containerd");
const BUSYBOX = "/usr/bin/busybox";
const IMAGE = "docker.io/library/vlane-busybox:test";
const need = {
	...{
		root: true,
		tun: true,
		tools: ["ip", "ping", "containerd", "ctr", "runc", "nsenter", "unshare", "mount", "tar"],
	},
	files: [`${PLUGINS}/host-local`, `${PLUGINS}/tuning`, BUSYBOX],
};

let lan: Lan;
let vlane: Vlane;
let directory: string;
let server: Started;
let containers: string[] = [];
/** The list that is the network of all containers that start from now on. */
let plugins: object[] = [];

/** `ctr`, among the mounts of the test's own containerd. */
function call(...argv: string[]): Ran {
	const where = ["nsenter", `--mount=/proc/${server.process.pid}/ns/mnt`, `--net=${lan.host.path}`];
	return run([...where, "ctr", "--address", join(directory, "containerd.sock"), ...argv]);
}

function mustCall(...argv: string[]): string {
	const { status, stdout, stderr } = call(...argv);
	assert.is(status, 0, `ctr ${argv.join(" ")}: ${stderr}`);
	return stdout.trim();
}

const RUN = ["run", "--cni", "--snapshotter", "native"];

/** Starts a container; its process ends by itself after a while if all else fails. */
function up(name: string): void {
	containers.push(name);
	mustCall(...RUN, "--detach", IMAGE, name, "/bin/sleep", "300");
}

/** What runs in a container says. */
function inside(name: string, ...argv: string[]): string {
	return mustCall("task", "exec", "--exec-id", `x${Math.random().toString(36).slice(2)}`, name, ...argv);
}

/**
 * Ends a container. ctr before 1.7 forgets to call DEL for one that it has detached from; the runtime's other way to
 * tell, GC, is called for it.
 */
async function down(...names: string[]): Promise<void> {
	for (const name of names) {
		mustCall("task", "kill", "--signal", "SIGKILL", name);
		await eventually(`${name} ends`, () => call("task", "rm", name).status === 0);
		mustCall("container", "rm", name);
		containers = containers.filter((container) => container !== name);
	}
	const config = { ...plugins[0], cniVersion: "1.1.0", name: "vlan50", "cni.dev/valid-attachments": [] };
	const said = callCni({ command: "GC", config });
	assert.is(said.status, 0, JSON.stringify(said));
}

/** An image as `docker save` writes it, of a busybox. */
function makeImage(): string {
	const rootfs = join(directory, "rootfs");
	for (const path of ["rootfs/bin", "rootfs/etc", "image"]) mkdirSync(join(directory, path), { recursive: true });
	must(["cp", BUSYBOX, join(rootfs, "bin/busybox")]);
	for (const tool of ["sh", "ping", "ip", "sleep", "cat"]) symlinkSync("busybox", join(rootfs, "bin", tool));
	const image = join(directory, "image");
	must(["tar", "-C", rootfs, "-cf", join(image, "layer.tar"), "."]);
	const [digest] = must(["sha256sum", join(image, "layer.tar")]).split(" ");
	const config = {
		...{ architecture: process.arch === "x64" ? "amd64" : process.arch, os: "linux", config: {} },
		rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
	};
	writeFileSync(join(image, "config.json"), JSON.stringify(config));
	const manifest = [{ Config: "config.json", RepoTags: [IMAGE], Layers: ["layer.tar"] }];
	writeFileSync(join(image, "manifest.json"), JSON.stringify(manifest));
	const file = join(directory, "image.tar");
	must(["tar", "-C", image, "-cf", file, "manifest.json", "config.json", "layer.tar"]);
	return file;
}

/** What ctr looks for in fixed places of the machine is there among the mounts of these processes, and nowhere else. */
async function startContainerd(): Promise<void> {
	const [bin, etc] = [join(directory, "bin"), join(directory, "etc")];
	for (const path of [bin, join(etc, "cni/net.d")]) mkdirSync(path, { recursive: true });
	symlinkSync(BIN, join(bin, "vlane-cni"));
	for (const plugin of ["host-local", "tuning"]) symlinkSync(join(PLUGINS, plugin), join(bin, plugin));
	const socket = join(directory, "containerd.sock");
	const settings = [
		...["version = 2", `root = "${join(directory, "lib")}"`, `state = "${join(directory, "run")}"`],
		'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]',
		...["[grpc]", `address = "${socket}"`, ""],
	];
	writeFileSync(join(directory, "config.toml"), settings.join("\n"));
	const script = `set -e
		mount -t tmpfs tmpfs /opt && mkdir -p /opt/cni && ln -s "$0/bin" /opt/cni/bin
		mount --bind "$0/etc" /etc
		mount -t tmpfs tmpfs /run
		exec containerd --config "$0/config.toml"`;
	server = start(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, directory]);
	await eventually("containerd answers", () => existsSync(socket) && call("version").status === 0);
}

containerd.before(async () => {
	if (needs(need)) return;
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["10.50.0.1/24"]);
	vlane = await startVlane(lan.host);
	directory = join(vlane.directory, "containerd");
	mkdirSync(directory);
	const image = makeImage();
	await startContainerd();
	mustCall("image", "import", "--snapshotter", "native", image);
});

containerd.after(async () => {
	for (const name of containers) {
		call("task", "kill", "--signal", "SIGKILL", name);
		call("task", "rm", "--force", name);
		call("container", "rm", name);
	}
	await server?.stop();
	await vlane?.cleanup();
	lan?.close();
	if (directory) rmSync(directory, { recursive: true, force: true });
});

function configure(...list: object[]): void {
	plugins = list;
	const conflist = { cniVersion: "1.0.0", name: "vlan50", plugins };
	writeFileSync(join(directory, "etc/cni/net.d/vlan50.conflist"), JSON.stringify(conflist));
}

function ours(ipam: object): object {
	return { type: "vlane-cni", host: `unix://${vlane.socket}`, master: "eth0", vlanId: 50, ipam };
}

const MAC = "02:00:00:00:07:15";
const subnet = { subnet: "10.50.0.0/24", gateway: "10.50.0.1" };

function addressOf(name: string): string {
	const [, address] = /inet (10\.50\.0\.\d+)\/24/.exec(inside(name, "/bin/ip", "addr", "show", "eth0")) ?? [];
	assert.ok(address, `${name} has an address`);
	return address as string;
}

testOrSkip(containerd, "two containers ping each other over a VLAN, and the router", need, async () => {
	configure(ours({ type: "vlane", subnets: [subnet] }));
	up("a");
	up("b");
	const address = addressOf("a");
	assert.is.not(addressOf("b"), address);
	assert.match(inside("b", "/bin/ping", "-c", "2", "-W", "2", address), / 0% packet loss/);
	assert.match(inside("a", "/bin/ping", "-c", "2", "-W", "2", "10.50.0.1"), / 0% packet loss/);
	assert.match(inside("a", "/bin/ip", "route"), /default via 10\.50\.0\.1 dev eth0/);
	await down("a", "b");
	assert.is(vlane.must("network", "ls", "-q"), "");
});

testOrSkip(
	containerd,
	"a chain: addresses of host-local, and tuning behind vlane; DEL at the end of `run --rm`",
	need,
	async () => {
		const dataDir = join(directory, "leases");
		const leases = () => readdirSync(join(dataDir, "vlan50")).filter((file) => /^\d/.test(file));
		const tuning = { type: "tuning", sysctl: { "net.ipv4.conf.eth0.arp_notify": "1" }, mtu: 1400 };
		const chain = (...more: object[]) =>
			configure(ours({ type: "host-local", dataDir, ranges: [[subnet]], routes: [{ dst: "0.0.0.0/0" }] }), ...more);
		chain({ ...tuning, mac: MAC });
		up("c");
		// The other one gets a MAC address of its own.
		chain(tuning);
		const address = addressOf("c");
		assert.is(inside("c", "/bin/cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify"), "1");
		const link = inside("c", "/bin/ip", "link", "show", "eth0");
		assert.ok(link.includes("mtu 1400") && link.includes(MAC), link);
		const ping = ["/bin/ping", "-c", "2", "-W", "2"];
		assert.match(mustCall(...RUN, "--rm", IMAGE, "d", ...ping, address), / 0% packet loss/);
		assert.equal(leases(), [address]);
		assert.match(inside("c", ...ping, "10.50.0.1"), / 0% packet loss/);
		await down("c");
		assert.equal(leases(), []);
		assert.is(vlane.must("network", "ls", "-q"), "");
	},
);

containerd.run();
