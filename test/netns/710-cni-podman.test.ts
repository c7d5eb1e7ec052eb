/** Podman with its CNI backend as the runtime: containers on a VLAN, without Docker. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { BIN, PLUGINS } from "../support/cni.js";
import { type Lan, makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import { must, type Ran, run } from "../support/netns.js";
import { startVlane, type Vlane } from "../support/vlane.js";

const podman = suite("cni: podman");
const BUSYBOX = "/usr/bin/busybox";
const IMAGE = "localhost/busybox";
const need = {
	...{ root: true, tun: true, tools: ["ip", "ping", "podman", "runc", "nsenter", "tar"] },
	files: [`${PLUGINS}/host-local`, BUSYBOX],
};

let lan: Lan;
let vlane: Vlane;
let directory: string;

/** Everything that Podman keeps is in the test's directory; its parent interface is the host's of the test. */
function call(...argv: string[]): Ran {
	const where = ["--root", join(directory, "root"), "--runroot", join(directory, "runroot")];
	const how = ["--tmpdir", join(directory, "tmp"), "--storage-driver", "vfs", "--runtime", "runc"];
	// `ip netns exec` would hide the cgroups.
	return run(["nsenter", `--net=${lan.host.path}`, "podman", ...where, ...how, ...argv], {
		env: { CONTAINERS_CONF: join(directory, "containers.conf") },
	});
}

function mustCall(...argv: string[]): string {
	const { status, stdout, stderr } = call(...argv);
	assert.is(status, 0, `podman ${argv.join(" ")}: ${stderr}`);
	return stdout.trim();
}

/** `podman run`, with limits that a machine without CAP_SYS_RESOURCE allows. */
function start(...argv: string[]): string {
	return mustCall("run", "--ulimit", "nofile=512:512", "--ulimit", "nproc=1000:1000", ...argv);
}

podman.before(async () => {
	if (needs(need)) return;
	lan = await makeLan({ vlans: [50] });
	lan.station(50, ["10.50.0.1/24"]);
	vlane = await startVlane(lan.host);
	directory = join(vlane.directory, "podman");
	const rootfs = join(directory, "rootfs");
	for (const path of ["bin", "net.d", "rootfs/bin", "rootfs/etc"])
		mkdirSync(join(directory, path), { recursive: true });
	symlinkSync(BIN, join(directory, "bin/vlane-cni"));
	must(["cp", BUSYBOX, join(rootfs, "bin/busybox")]);
	for (const tool of ["sh", "ping", "ip", "sleep"]) symlinkSync("busybox", join(rootfs, "bin", tool));
	must(["tar", "-C", rootfs, "-cf", join(directory, "image.tar"), "."]);
	const dirs = JSON.stringify([join(directory, "bin"), PLUGINS]);
	const settings = [
		...["[network]", 'network_backend = "cni"', `cni_plugin_dirs = ${dirs}`],
		`network_config_dir = ${JSON.stringify(join(directory, "net.d"))}`,
		...["[engine]", 'cgroup_manager = "cgroupfs"', 'events_logger = "none"', ""],
	];
	writeFileSync(join(directory, "containers.conf"), settings.join("\n"));
	const plugin = {
		...{ type: "vlane-cni", host: `unix://${vlane.socket}`, master: "eth0", vlanId: 50 },
		capabilities: { ips: true, mac: true },
		ipam: {
			...{ type: "host-local", dataDir: join(directory, "leases"), routes: [{ dst: "0.0.0.0/0" }] },
			ranges: [[{ subnet: "10.50.0.0/24", rangeStart: "10.50.0.10", gateway: "10.50.0.1" }]],
		},
	};
	const list = { cniVersion: "0.4.0", name: "vlan50", plugins: [plugin] };
	writeFileSync(join(directory, "net.d/vlan50.conflist"), JSON.stringify(list));
	mustCall("import", join(directory, "image.tar"), IMAGE);
});

podman.after(async () => {
	if (directory) call("rm", "--all", "--force", "--time", "0");
	await vlane?.cleanup();
	lan?.close();
	if (directory) rmSync(directory, { recursive: true, force: true });
});

testOrSkip(podman, "two containers ping each other over a VLAN, and the router", need, () => {
	start("-d", "--name", "a", "--network", "vlan50", "--ip", "10.50.0.77", IMAGE, "/bin/sleep", "300");
	start("-d", "--name", "b", "--network", "vlan50", "--mac-address", "02:00:00:00:50:0b", IMAGE, "/bin/sleep", "300");
	assert.match(mustCall("exec", "b", "/bin/ping", "-c", "2", "-W", "2", "10.50.0.77"), / 0% packet loss/);
	assert.match(mustCall("exec", "a", "/bin/ping", "-c", "2", "-W", "2", "10.50.0.1"), / 0% packet loss/);
	assert.match(mustCall("exec", "b", "/bin/ip", "link", "show", "eth0"), /02:00:00:00:50:0b/);
	assert.match(mustCall("exec", "a", "/bin/ip", "route"), /default via 10\.50\.0\.1 dev eth0/);
	assert.is(mustCall("inspect", "--format", "{{.NetworkSettings.Networks.vlan50.IPAddress}}", "a"), "10.50.0.77");
	assert.match(vlane.must("network", "ls", "--format", "{{.Name}}"), /^cni-vlan50$/m);
	mustCall("rm", "--force", "--time", "0", "a", "b");
	assert.is(vlane.must("network", "ls", "-q"), "");
});

podman.run();
