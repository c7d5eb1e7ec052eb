/** Visiting network namespaces, and watching descriptors. */
import { spawn, spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { LinkEvent } from "../../src/netlink/events.js";
import { watchLinks } from "../../src/netlink/events.js";
import { Rtnetlink } from "../../src/netlink/rtnetlink.js";
import { isErrno } from "../../src/sys/errno.js";
import { close, EFD_CLOEXEC, EFD_NONBLOCK, eventfd, POLLIN, pidfdOpen, read, write } from "../../src/sys/libc.js";
import { inNetns, netnsId, newNetns, openNetns } from "../../src/sys/netns.js";
import { FdPoller } from "../../src/sys/poller.js";
import { testOrSkip } from "../support/needs.js";
import { Namespace } from "../support/netns.js";

const netns = suite("network namespaces and descriptors");
const need = { root: true, tools: ["ip"] };
const here = () => readlinkSync("/proc/thread-self/ns/net");

/** Waits for something that only a poller brings about: a poller does not keep the process alive. */
async function fromPoller<T>(executor: (resolve: (value: T) => void) => void): Promise<T> {
	const alive = setInterval(() => {}, 60_000);
	return new Promise<T>(executor).finally(() => clearInterval(alive));
}

testOrSkip(netns, "a namespace is the same by path, by descriptor and for those inside it", need, () => {
	const ns = new Namespace("a");
	const fd = openNetns(ns.path);
	assert.is(netnsId(fd), netnsId(ns.path));
	assert.is.not(netnsId(fd), netnsId("/proc/self/ns/net"));
	const inside = inNetns(fd, () => here());
	assert.is(`net:[${netnsId(fd).split(":")[1]}]`, inside);
	close(fd);
	ns.close();
});

testOrSkip(netns, "the thread comes back from a visit, also when the visitor throws", need, () => {
	const home = here();
	const fd = newNetns();
	assert.is(here(), home);
	assert.is(
		inNetns(fd, () => 5),
		5,
	);
	const fail = (): void => {
		throw new Error("thrown inside");
	};
	assert.throws(() => inNetns(fd, fail), /thrown inside/);
	assert.throws(() => inNetns(fd, async () => {}), /must be synchronous/);
	assert.is(here(), home);
	close(fd);
});

testOrSkip(netns, "a new namespace has nothing but lo, and ends with its descriptor", need, () => {
	const fd = newNetns();
	const names = inNetns(fd, () => {
		const netlink = new Rtnetlink();
		const links = netlink.links();
		netlink.close();
		return links.map(({ name, up }) => [name, up]);
	});
	assert.equal(names, [["lo", false]]);
	close(fd);
});

testOrSkip(netns, "a process that is started during a visit is born inside", need, () => {
	const fd = newNetns();
	const { stdout } = inNetns(fd, () => spawnSync("readlink", ["/proc/self/ns/net"], { encoding: "utf8" }));
	assert.is(stdout.trim(), `net:[${netnsId(fd).split(":")[1]}]`);
	close(fd);
});

netns("what is not a network namespace is refused", () => {
	assert.throws(() => openNetns("/proc/self/ns/mnt"), /it is not a network namespace/);
	assert.throws(() => openNetns("/etc/passwd"), /it is not a network namespace/);
	assert.throws(
		() => openNetns("/run/netns/there-is-none"),
		(error: unknown) => isErrno(error, "ENOENT"),
	);
});

netns("a poller reports the end of a process, once, and promises go on", async () => {
	const poller = new FdPoller();
	const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
	const pidfd = pidfdOpen(child.pid!);
	let count = 0;
	await fromPoller<void>((resolve) => {
		poller.watch(pidfd, POLLIN, () => {
			count++;
			resolve();
		});
		child.stdin.end();
	});
	// Two more turns of the loop: the descriptor stays ready, and must not be reported again.
	await new Promise((resolve) => setImmediate(resolve));
	await new Promise((resolve) => setImmediate(resolve));
	assert.is(count, 1);
	poller.close();
	close(pidfd);
});

netns("a poller fires again when it is armed again, and not after the watch is over", async () => {
	const poller = new FdPoller();
	const fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	const counter = Buffer.alloc(8);
	let count = 0;
	let stop = (): void => {};
	await fromPoller<void>((resolve) => {
		stop = poller.watch(fd, POLLIN, () => {
			read(fd, counter);
			count++;
			if (count === 3) {
				resolve();
				return;
			}
			counter.writeBigUInt64LE(1n);
			write(fd, counter);
			poller.rearm(fd);
		});
	});
	assert.throws(() => poller.watch(fd, POLLIN, () => {}), /already watched/);
	stop();
	poller.rearm(fd);
	counter.writeBigUInt64LE(1n);
	write(fd, counter);
	await fromPoller<void>((resolve) => {
		const stopAgain = poller.watch(fd, POLLIN, () => {
			stopAgain();
			resolve();
		});
	});
	assert.is(count, 3);
	poller.close();
	close(fd);
	assert.throws(
		() => poller.watch(fd, POLLIN, () => {}),
		(error: unknown) => isErrno(error, "EBADF"),
	);
});

netns("a process with a ready, watched descriptor ends by itself and with its own status", () => {
	const sys = new URL("../../src/sys/", import.meta.url);
	const script = `
		import { eventfd, POLLIN } from "${sys}libc.js";
		import { FdPoller } from "${sys}poller.js";
		const poller = new FdPoller();
		poller.watch(eventfd(1, 0), POLLIN, () => {});
		poller.watch(eventfd(0, 0), POLLIN, () => {});
		process.exitCode = 3;`;
	const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
	assert.is(stderr, "");
	assert.is(status, 3);
});

testOrSkip(netns, "link events tell what appears, changes and goes", need, async () => {
	const fd = newNetns();
	const poller = new FdPoller();
	const events: LinkEvent[] = [];
	let wake = (): void => {};
	const { netlink, stop } = inNetns(fd, () => ({
		netlink: new Rtnetlink(),
		stop: watchLinks(poller, (event) => {
			events.push(event);
			wake();
		}),
	}));
	const seen = async (wanted: (event: LinkEvent) => boolean): Promise<void> => {
		while (!events.some(wanted)) {
			await fromPoller<void>((resolve) => {
				wake = resolve;
			});
		}
		events.length = 0;
	};
	netlink.addVeth("eth0", "eth1");
	await seen((event) => event.type === "new" && event.link.name === "eth0" && !event.link.up);
	const { index } = netlink.link("eth0")!;
	netlink.setLink(index, { up: true });
	await seen((event) => event.type === "new" && event.link.index === index && event.link.up);
	netlink.deleteLink(index);
	await seen((event) => event.type === "del" && event.link.index === index);

	// More news than a socket buffer holds, while nobody reads.
	netlink.addVeth("eth2", "eth3");
	const burst = netlink.link("eth2")!.index;
	for (let i = 0; i < 2000; i++) {
		netlink.setLink(burst, { mtuBytes: 1280 + (i % 2) });
	}
	await seen((event) => event.type === "resync");
	netlink.deleteLink(burst);
	await seen((event) => event.type === "del" && event.link.index === burst);

	stop();
	stop();
	poller.close();
	netlink.close();
	close(fd);
});

netns.run();
