/**
 * A Docker Engine of the test's own: in a namespace of its own, with mounts, directories, sockets and cgroups of its
 * own. Nobody else's engine is found by it, and it is found by nobody.
 */
import {
	copyFileSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmdirSync,
	rmSync,
	symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onCleanup } from "./cleanup.js";
import type { Lan, LanOptions } from "./lan.js";
import { makeLan } from "./lan.js";
import type { Need } from "./needs.js";
import { which } from "./needs.js";
import { must, Namespace, type Ran, type Started, start } from "./netns.js";
import { startVlane, type Vlane } from "./vlane.js";

/** What tests with an engine need: Debian's docker.io and busybox-static. */
export const ENGINE: Need = { root: true, tun: true, tools: ["ip", "nsenter", "unshare", "dockerd", "busybox", "tar"] };

/** The command of the engine's own package; others in PATH may be too new for it. */
const DOCKER = "/usr/bin/docker";

/** Where an engine looks for drivers; in the box a directory of its own. */
export const PLUGIN_DIRECTORY = "/run/docker/plugins";

const APPLETS = ["sh", "ip", "ping", "nc", "sleep", "cat", "ls", "hostname", "nslookup", "ifconfig", "httpd", "wget"];

/** The client asks for all removals at the same time; an engine on two cores gets into its own way with a hundred. */
const REMOVED_AT_ONCE = 20;

/** An engine that was killed first takes away, one by one, what its containers have left. */
const START_MS_MAX = 120_000;

/** A network namespace with mounts of its own: /run is empty, and what is mounted inside is seen only inside. */
class Box extends Namespace {
	static async make(label: string): Promise<Box> {
		const box = new Box(label);
		const script = "mount -t tmpfs vlane-test /run && mkdir /run/docker && echo ready && exec sleep infinity";
		const unshared = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script];
		const holder = start(["nsenter", `--net=${box.path}`, ...unshared]);
		await holder.waitFor(/^ready$/);
		box.enter = ["nsenter", "--target", `${holder.process.pid}`, "--net", "--mount", "--"];
		return box;
	}
}

export interface Engine {
	/** Path of its API's socket. */
	socket: string;
	/** Runs `docker ARGUMENT...` to its end. */
	docker(...argv: string[]): Ran;
	/** As `docker`, for commands that have to succeed; answers stdout without the line end. */
	must(...argv: string[]): string;
	/** Starts `docker ARGUMENT...` in the background. */
	start(...argv: string[]): Started;
	/** `docker ARGUMENT...` on a terminal of its own, with lines to type; answers what it shows. */
	type(lines: readonly string[], ...argv: string[]): string;
	/** What the engine says when it refuses a command. @throws Error when it does not */
	refusal(...argv: string[]): string;
	/** Starts dockerd; resolves when it answers. Extra arguments are its own. */
	startEngine(...argv: string[]): Promise<void>;
	/** Ends dockerd and nothing else. */
	stopEngine(signal?: NodeJS.Signals): Promise<void>;
	/** `docker rm -f` of all containers; an engine that is not there has none. */
	removeAll(): void;
	/** Process id of a running container. */
	pid(container: string): number;
}

/** A host with an engine, and vlane's daemon serving it, at the end of a LAN. */
export interface DockerSite {
	lan: Lan;
	host: Namespace;
	vlane: Vlane;
	engine: Engine;
	/** Runs a command in a container's network namespace, with the host's tools. */
	inside(container: string, ...argv: string[]): Ran;
	/** Names of the host's links. */
	links(): string[];
	/** Removes the containers, ends everything. */
	cleanup(): Promise<void>;
}

/** Removes cgroups from the leaves up; those of processes that are still ending stay. */
function removeCgroup(path: string): void {
	try {
		for (const entry of readdirSync(path, { withFileTypes: true })) {
			if (entry.isDirectory()) removeCgroup(join(path, entry.name));
		}
		rmdirSync(path);
	} catch {
		// It was never made, or is in use for another moment.
	}
}

/** A tar of a root directory with busybox in it. */
function makeImage(directory: string): string {
	const root = join(directory, "root");
	mkdirSync(join(root, "bin"), { recursive: true });
	copyFileSync(which("busybox") ?? "", join(root, "bin", "busybox"));
	for (const applet of APPLETS) symlinkSync("busybox", join(root, "bin", applet));
	const tar = join(directory, "image.tar");
	must(["tar", "-C", root, "-cf", tar, "."]);
	return tar;
}

function makeEngine(host: Namespace): Engine {
	const directory = mkdtempSync(join(tmpdir(), "vlane-docker-"));
	const cgroup = `vlane-test-${process.pid}-${directory.slice(-6)}`;
	const socket = join(directory, "docker.sock");
	const runtime = join(directory, "exec");
	let dockerd: Started | undefined;
	onCleanup(() => {
		killContainers(runtime);
		for (const controller of readdirSync("/sys/fs/cgroup")) removeCgroup(join("/sys/fs/cgroup", controller, cgroup));
		removeCgroup(join("/sys/fs/cgroup", cgroup));
		rmSync(directory, { recursive: true, force: true });
	});
	const command = (argv: string[]) => [DOCKER, "-H", `unix://${socket}`, ...argv];
	const engine: Engine = {
		socket,
		docker: (...argv) => host.run(command(argv)),
		must: (...argv) => host.must(command(argv)).trimEnd(),
		start: (...argv) => host.start(command(argv)),
		type(lines, ...argv) {
			const line = command(argv).join(" ");
			const input = [...lines, "exit", ""].join("\n");
			return host.run(["script", "--quiet", "--command", line, "/dev/null"], { input }).stdout.replaceAll("\r", "");
		},
		refusal(...argv) {
			const { status, stdout, stderr } = engine.docker(...argv);
			if (status === 0) throw new Error(`docker ${argv.join(" ")} succeeded: ${stdout}`);
			return stderr.trimEnd();
		},
		async startEngine(...argv) {
			// A killed engine leaves them, and a new one takes them for a running one's, even those of a zombie.
			for (const left of ["pid", "exec/containerd/containerd.pid"]) rmSync(join(directory, left), { force: true });
			const network = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
			const places = ["--data-root", join(directory, "data"), "--exec-root", runtime];
			const own = ["--pidfile", join(directory, "pid"), "-H", `unix://${socket}`, "--cgroup-parent", `/${cgroup}`];
			dockerd = host.start(["dockerd", ...network, "--storage-driver=vfs", ...places, ...own, ...argv]);
			await dockerd.waitFor(/API listen on/, START_MS_MAX);
		},
		async stopEngine(signal = "SIGTERM") {
			await dockerd?.stop(signal);
			dockerd = undefined;
		},
		removeAll() {
			const containers = engine.docker("ps", "-aq").stdout.split("\n").filter(Boolean);
			while (containers.length > 0) engine.docker("rm", "-f", ...containers.splice(0, REMOVED_AT_ONCE));
		},
		pid: (container) => Number(engine.must("inspect", "-f", "{{.State.Pid}}", container)),
	};
	return engine;
}

/** Ends the first processes of containers, whose engine may be gone. */
function killContainers(runtime: string): void {
	const tasks = join(runtime, "containerd/daemon/io.containerd.runtime.v2.task/moby");
	try {
		for (const id of readdirSync(tasks)) {
			process.kill(Number(readFileSync(join(tasks, id, "init.pid"), "latin1")), "SIGKILL");
		}
	} catch {
		// There are none, or they have ended meanwhile.
	}
}

/** Builds the LAN, and starts daemon and engine on its host, with an image called `alpine`. */
export async function makeDockerSite(options: Omit<LanOptions, "host"> = {}): Promise<DockerSite> {
	const host = await Box.make("docker");
	const lan = await makeLan({ ...options, host });
	const vlane = await startVlane(host, "--docker-plugin-dir", PLUGIN_DIRECTORY);
	const engine = makeEngine(host);
	await engine.startEngine();
	const image = mkdtempSync(join(tmpdir(), "vlane-image-"));
	try {
		engine.must("import", makeImage(image), "alpine");
	} finally {
		rmSync(image, { recursive: true, force: true });
	}
	return {
		lan,
		host,
		vlane,
		engine,
		inside: (container, ...argv) => host.run(["nsenter", "--target", `${engine.pid(container)}`, "--net", ...argv]),
		links: () => host.ip("link", "show").map(({ ifname }) => ifname),
		async cleanup() {
			engine.removeAll();
			await engine.stopEngine();
			await vlane.cleanup();
			lan.close();
		},
	};
}
