/** Programs that connect TAPs and nothing else: vde_switch, and the loop of reads and writes in C. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { onCleanup } from "../../../test/support/cleanup.js";
import { needs } from "../../../test/support/needs.js";
import { Namespace } from "../../../test/support/netns.js";
import { ADDRESSES, layWire, moveIn, type Peer, type Picture, type PictureOptions, TAGS, type Wire } from "../wire.js";

/** The source stays in bench/, the compiled benchmark is in dist/bench/. */
const LOOP_SOURCE = fileURLToPath(new URL("../../../../bench/e2e/peers/loop.c", import.meta.url));

function temporaryDirectory(): { directory: string; remove(): void } {
	const directory = mkdtempSync(join(tmpdir(), "vlane-taps-"));
	return { directory, remove: onCleanup(() => rmSync(directory, { recursive: true, force: true })) };
}

/** Gives the two that speak their TAPs, and one namespace the rest. */
function moveTaps(wire: Wire, names: string[]): Namespace | undefined {
	const others = names.length > 2 ? new Namespace("others") : undefined;
	others?.sysctl("net/ipv6/conf/default/disable_ipv6", 1);
	for (const name of names.slice(2)) wire.host.must(["ip", "link", "set", name, "netns", others!.name, "up"]);
	moveIn(wire, names[0]!, wire.one, ADDRESSES.one);
	moveIn(wire, names[1]!, wire.two, ADDRESSES.two);
	return others;
}

async function vde({ ports }: PictureOptions): Promise<Picture> {
	const wire = await layWire("untagged");
	const { directory, remove } = temporaryDirectory();
	const names = Array.from({ length: ports }, (_, index) => `t${index + 1}`);
	// It reads commands from its standard input, and ends with it: this one has nothing to say and no end.
	const silence = join(directory, "silence");
	const argv = ["-sock", join(directory, "ctl"), "-n", `${ports + 2}`, ...names.flatMap((name) => ["-tap", name])];
	const script = 'mkfifo "$0" && exec vde_switch "$@" 0<>"$0"';
	const daemon = wire.host.start(["sh", "-c", script, silence, ...argv]);
	// It says nothing when it is ready.
	while (wire.host.run(["ip", "link", "show", names.at(-1)!]).status !== 0 && daemon.process.exitCode === null) {
		await sleep(10);
	}
	const others = moveTaps(wire, names);
	const close = async () => {
		await daemon.stop("SIGKILL");
		others?.close();
		remove();
	};
	return { ...wire.picture(daemon.process.pid, close), lan: undefined };
}

async function loop({ wire: kind }: PictureOptions): Promise<Picture> {
	const wire = await layWire(kind);
	const { directory, remove } = temporaryDirectory();
	const binary = join(directory, "loop");
	const { status, stderr } = spawnSync("cc", ["-O3", "-o", binary, LOOP_SOURCE], { encoding: "utf8" });
	if (status !== 0) throw new Error(`cc ${LOOP_SOURCE}: ${stderr}`);
	const program = wire.host.start([binary, "t1", "t2", "eth0", ...TAGS[kind].map(String)]);
	await program.waitFor(/^ready$/);
	moveTaps(wire, ["t1", "t2"]);
	const close = async () => {
		await program.stop("SIGKILL");
		remove();
	};
	return wire.picture(program.process.pid, close);
}

export const TAP_PEERS: Peer[] = [
	{
		name: "vde",
		missing: needs({ root: true, tun: true, tools: ["vde_switch"] }),
		wires: ["untagged"],
		portsMax: 100,
		build: vde,
	},
	{
		name: "c-loop",
		missing: needs({ root: true, tun: true, tools: ["cc"] }),
		wires: ["untagged", "tagged", "qinq"],
		portsMax: 2,
		build: loop,
	},
];
