/** What the kernel has for a packet core in user space: TAP devices, io_uring, packet sockets, XDP. */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { compileCore, createMemory, DEFAULT_LIMITS, Engine } from "../../core/engine.js";
import { openRing } from "../../host/ring.js";
import { packetFeatures } from "../../raw/packetfeatures.js";
import { tryXdp } from "../../raw/xdp.js";
import * as libc from "../../sys/libc.js";
import { newNetns } from "../../sys/netns.js";
import { openTap, tunFeatures } from "../../tap/tap.js";
import { Check, errnoOf, type Finding } from "./finding.js";

const NODE_MIN = [20, 19] as const;
/** What a probing TAP device is called, in a namespace that ends with it. */
const PROBE_NAME = "doctor0";
const MODULES = ["macvlan", "ipvlan", "8021q"];
/** Clocks that take a trap into the hypervisor or the chipset for each reading. */
const SLOW_CLOCKS = ["acpi_pm", "hpet", "jiffies", "refined-jiffies"];
/** Nobody ran this program before that. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);

export function checkKernel(): Finding[] {
	return [runtime(), ...tun(), ioUring(), ...packet(), xdp(), modules(), clock()];
}

function runtime(): Finding {
	const check = new Check("host");
	const text = `Linux ${release()}, ${process.arch}, Node ${process.versions.node}`;
	const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
	if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return check.ok(text);
	return check.fail(text, "vlane is not tested there and may not start", `install Node ${NODE_MIN.join(".")} or newer`);
}

/** The device, and what a TAP takes unfinished. */
function tun(): Finding[] {
	const check = new Check("tun");
	const offloads = new Check("tap offloads");
	let features: string[];
	try {
		features = tunFeatures();
	} catch (error) {
		const code = errnoOf(error);
		const remedy =
			code === "EACCES" || code === "EPERM"
				? "run as root, and allow the device to this control group or container (docker run --device /dev/net/tun)"
				: "modprobe tun, and mkdir -p /dev/net && mknod /dev/net/tun c 10 200";
		const found = check.fail(`/dev/net/tun: ${code}`, "containers can get no interfaces", remedy);
		return [found, offloads.skip("not looked at without /dev/net/tun", "")];
	}
	const missing = ["TAP", "NO_PI", "VNET_HDR"].filter((name) => !features.includes(name));
	const found =
		missing.length === 0
			? check.ok(`/dev/net/tun: ${features.join(", ")}`)
			: check.fail(`/dev/net/tun lacks ${missing.join(", ")}`, "interfaces can not be made", "use a newer kernel");
	return [found, tapOffloads(offloads)];
}

function tapOffloads(check: Check): Finding {
	try {
		const accepted = offloadsInPrivate();
		const names = ["checksums", "TSO4", "TSO6", "USO4", "USO6"].filter((_, index) => accepted & OFFLOAD_BITS[index]!);
		if (accepted === OFFLOAD_BITS.reduce((all, bit) => all | bit)) return check.ok(names.join(", "));
		const text = names.length === 0 ? "none" : `only ${names.join(", ")}`;
		return check.warn(text, "large UDP datagrams are cut by the sender's kernel", "use Linux 6.2 or newer");
	} catch (error) {
		const code = errnoOf(error);
		return check.skip(`a TAP device in a namespace of its own: ${code}`, "run as root");
	}
}

/** TUN_F_CSUM, TSO4, TSO6, USO4, USO6. */
const OFFLOAD_BITS = [0x01, 0x02, 0x04, 0x20, 0x40];

function offloadsInPrivate(): number {
	const netnsFd = newNetns();
	try {
		const { fd, offloads } = openTap({ name: PROBE_NAME, netnsFd, persist: false });
		libc.close(fd);
		return offloads;
	} finally {
		libc.close(netnsFd);
	}
}

/** The datapath's own ring, opened as the daemon opens it. */
function ioUring(): Finding {
	const check = new Check("io_uring");
	const consequence = "the datapath uses poll(2), plain reads and writes, which cost more CPU time per frame";
	const module = compileCore();
	const engine = new Engine(module, createMemory(module, DEFAULT_LIMITS), DEFAULT_LIMITS);
	try {
		openRing(engine, "io_uring").close();
		return check.ok("usable, with its queues in the core's memory", "the datapath uses it");
	} catch (error) {
		const code = errnoOf(error);
		return check.warn(`io_uring_setup: ${code}`, consequence, ringRemedy(code));
	}
}

function ringRemedy(code: string): string {
	const disabled = readNumber("/proc/sys/kernel/io_uring_disabled");
	if (code === "EPERM" && disabled === 2) return "sysctl -w kernel.io_uring_disabled=0";
	if (code === "EPERM" && disabled === 1)
		return "run as root, join the group of kernel.io_uring_group, or sysctl -w kernel.io_uring_disabled=0";
	if (code === "EPERM" || code === "EACCES")
		return (
			"the kernel allows it, so a seccomp filter or a security module forbids it: allow io_uring_setup, io_uring_enter " +
			"and io_uring_register to this container or unit"
		);
	if (code === "ENOSYS") return "use a kernel with CONFIG_IO_URING, or a seccomp filter that allows io_uring_setup";
	if (code === "EINVAL") return "use Linux 6.5 or newer, the first that takes queues in the core's memory";
	if (code === "ENOMEM") return "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=)";
	return "see man 2 io_uring_setup";
}

/** Options that the uplink's socket needs, tried on a socket that is bound to the loopback of a private namespace. */
function packet(): Finding[] {
	const check = new Check("packet socket");
	try {
		const features = packetFeatures();
		const missing = Object.entries(features).flatMap(([name, works]) => (works ? [] : [name]));
		const needed = missing.filter((name) => name !== "PACKET_FANOUT");
		if (missing.length === 0) return [check.ok(Object.keys(features).join(", "))];
		const text = `AF_PACKET lacks ${missing.join(", ")}`;
		if (needed.length === 0) return [check.ok(text)];
		return [check.fail(text, "a parent can not be used", "use Linux 4.20 or newer")];
	} catch (error) {
		const code = errnoOf(error);
		if (code === "EAFNOSUPPORT")
			return [check.fail(`AF_PACKET: ${code}`, "a parent can not be used", "use a kernel with CONFIG_PACKET")];
		return [check.skip(`AF_PACKET: ${code}`, "run as root")];
	}
}

/** The program of `-o uplink=xdp`, loaded as the daemon loads it, but attached to nothing. */
function xdp(): Finding {
	const check = new Check("xdp");
	const without = "parents are read through packet sockets, which need no XDP";
	try {
		tryXdp();
		return check.ok("AF_XDP and its program work");
	} catch (error) {
		const code = errnoOf(error);
		if (code === "EPERM") return check.skip(`AF_XDP: ${code}`, "run as root");
		return check.ok(`AF_XDP: ${code}`, without);
	}
}

/** The kernel's own drivers for the same work. */
function modules(): Finding {
	const check = new Check("kernel drivers");
	const loaded = MODULES.filter((name) => existsSync(`/sys/module/${name}`));
	const text = loaded.length > 0 ? `modules loaded: ${loaded.join(", ")}` : `no module loaded of ${MODULES.join(", ")}`;
	return check.ok(text, "vlane needs none of them");
}

function clock(): Finding {
	const check = new Check("clock");
	const source = readText("/sys/devices/system/clocksource/clocksource0/current_clocksource") ?? "unknown";
	const now = new Date().toISOString();
	if (Date.now() < EARLIEST_MS)
		return check.warn(`it is ${now}`, "times in lists, logs and captures are wrong", "set the clock");
	if (SLOW_CLOCKS.includes(source))
		return check.warn(`clock source ${source}`, "each reading of it costs a microsecond or more", "boot with tsc");
	return check.ok(`clock source ${source}`);
}

function readText(path: string): string | undefined {
	try {
		return readFileSync(path, "latin1").trim();
	} catch {
		return undefined;
	}
}

function readNumber(path: string): number | undefined {
	const text = readText(path);
	return text === undefined ? undefined : Number(text);
}
