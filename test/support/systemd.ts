/**
 * A systemd of the test's own: process 1 of private namespaces, on a throw-away copy of this machine's files (an
 * overlay), with units of the test and no others. Whatever it does, the machine is not changed.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { onCleanup } from "./cleanup.js";
import { type Ran, type RunOptions, run, type Started, start } from "./netns.js";

/** The checkout, seen from dist/test/support; it need not be on the root file system. */
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SYSTEMD = "/lib/systemd/systemd";
const READY_MS_MAX = 30_000;

/** Makes a root file system for it. $1 the copy's place, $2 the checkout, $3 the units; then pairs of FROM and TO. */
const BOOT = `
set -e
place=$1 checkout=$2 units=$3
shift 3
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" overlay "$place/root"
root=$place/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for each in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs "$root/$each"; done
mkdir "$root/dev/net" "$root/dev/pts" "$root/dev/shm"
for each in null zero full random urandom tty net/tun; do
	touch "$root/dev/$each"
	mount --bind "/dev/$each" "$root/dev/$each"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
rm -rf "$root/etc/systemd/system" "$root/var/lib/vlane"
mkdir -p "$root/etc/systemd/system" "$root$checkout"
cp "$units"/* "$root/etc/systemd/system/"
mount --bind "$checkout" "$root$checkout"
while [ $# -gt 0 ]; do
	mkdir -p "$root$2"
	mount --bind "$1" "$root$2"
	shift 2
done
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l /old
# As on a machine that systemd has booted.
mount --make-rshared /
ip link set lo up
exec env -i container=test PATH="$PATH" ${SYSTEMD} --system --unit=test.target --log-target=console --show-status=no
`;

export class Systemd {
	readonly #started: Started;
	readonly #pid: number;
	readonly #forget: () => void;

	private constructor(started: Started, pid: number, forget: () => void) {
		this.#started = started;
		this.#pid = pid;
		this.#forget = forget;
	}

	/**
	 * Boots it; resolves when it takes commands.
	 * @param units texts of unit files, by name; nothing is started
	 * @param binds directories that stand elsewhere in there: FROM, TO
	 */
	static async boot(units: Record<string, string>, binds: Record<string, string> = {}): Promise<Systemd> {
		const place = mkdtempSync(join(tmpdir(), "vlane-systemd-"));
		const unitDir = mkdtempSync(join(tmpdir(), "vlane-units-"));
		const cgroup = join(cgroupRoot(), basename(place));
		mkdirSync(cgroup);
		const forget = onCleanup(() => {
			rmCgroup(cgroup);
			for (const directory of [place, unitDir]) rmSync(directory, { recursive: true, force: true });
		});
		writeFileSync(join(unitDir, "test.target"), "[Unit]\nDefaultDependencies=no\n");
		for (const [name, text] of Object.entries(units)) writeFileSync(join(unitDir, name), text);
		const enter = `echo $$ > "${cgroup}/cgroup.procs" && exec "$@"`;
		const namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"];
		const unshare = ["unshare", ...namespaces, "--propagation", "private"];
		const boot = ["sh", "-c", BOOT, "sh", place, ROOT, unitDir, ...Object.entries(binds).flat()];
		const started = start(["sh", "-c", enter, "sh", ...unshare, ...boot]);
		const systemd = new Systemd(started, await childOf(started), forget);
		try {
			await systemd.until(["systemctl", "list-units"], ({ status }) => status === 0);
		} catch (error) {
			const { stderr } = await started.stop("SIGKILL");
			throw new Error(`${(error as Error).message}\n${stderr}`);
		}
		return systemd;
	}

	/** Runs a command in there to its end. */
	run(argv: readonly string[], options: RunOptions = {}): Ran {
		const enter = ["nsenter", `--target=${this.#pid}`, "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"];
		return run([...enter, ...argv], options);
	}

	/** As `run`, for commands that have to succeed; answers stdout without the line end. */
	must(...argv: string[]): string {
		const { status, stdout, stderr } = this.run(argv);
		if (status !== 0) throw new Error(`${argv.join(" ")}: status ${status}\n${stdout}${stderr}`);
		return stdout.trimEnd();
	}

	/** Repeats a command until its result is as wanted. @throws Error when it takes too long */
	async until(argv: readonly string[], isDone: (ran: Ran) => boolean): Promise<void> {
		for (const end = Date.now() + READY_MS_MAX; ; await delay(100)) {
			const ran = this.run(argv);
			if (isDone(ran)) return;
			if (Date.now() > end) throw new Error(`${argv.join(" ")}: ${ran.status} ${ran.stdout}${ran.stderr}`);
		}
	}

	/** Ends it and everything in it. */
	async stop(): Promise<string> {
		process.kill(this.#pid, "SIGKILL");
		const { stdout, stderr } = await this.#started.ended;
		this.#forget();
		return stdout + stderr;
	}
}

/** Where this machine has the second version of control groups. */
function cgroupRoot(): string {
	const [, path] = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/mounts", "utf8")) ?? [];
	if (path === undefined) throw new Error("no cgroup2 is mounted");
	return path;
}

function rmCgroup(path: string): void {
	for (const entry of readdirSync(path, { withFileTypes: true })) {
		if (entry.isDirectory()) rmCgroup(join(path, entry.name));
	}
	rmdirSync(path);
}

/** The process that unshare has made: process 1 of the new namespace. */
async function childOf(started: Started): Promise<number> {
	const pid = started.process.pid;
	for (const end = Date.now() + READY_MS_MAX; Date.now() < end; await delay(20)) {
		const [child] = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ");
		if (child) return Number(child);
	}
	throw new Error("unshare has made no process");
}
