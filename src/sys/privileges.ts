/**
 * Capabilities of a process that needs few of them, and of those most only for a moment (capabilities(7)).
 *
 * Capabilities are a thread's, and Node has threads before any of our code runs. So `shed` executes the process anew,
 * with everything else taken away: no thread of it ever has more. `rest` then lowers what is in effect in the calling
 * thread, and `withCapability` raises one for the time of a call.
 */
import { constants as system } from "node:os";
import { capget, capset, execvp, F_SETFD, fcntl, prctl, SIG_DFL, signal } from "./libc.js";
import { passedFds } from "./notify.js";

/** Numbers of capabilities (include/uapi/linux/capability.h). */
const NUMBERS = { CAP_KILL: 5, CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_PTRACE: 19, CAP_SYS_ADMIN: 21 };

/** A capability that this program has a use for. */
export type Capability = keyof typeof NUMBERS;

const LINUX_CAPABILITY_VERSION_3 = 0x20080522;
const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;
const PR_GET_NO_NEW_PRIVS = 39;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_RAISE = 2;
/** Above every capability that a kernel has: sets are 64 bits wide. */
const NUMBER_END = 64;

/** Sets of a thread, bit n is capability number n. */
interface Sets {
	effective: bigint;
	permitted: bigint;
	inheritable: bigint;
}

/** What `rest` has made of this thread; undefined: nobody asked, and everything is as it was. */
let own: { effective: bigint; readonly permitted: bigint } | undefined;

const maskOf = (names: readonly Capability[]): bigint =>
	names.reduce((mask, name) => mask | (1n << BigInt(NUMBERS[name])), 0n);

const header = (): Uint8Array => new Uint8Array(Uint32Array.of(LINUX_CAPABILITY_VERSION_3, 0).buffer);

function ownSets(): Sets {
	const words = new Uint32Array(6);
	capget(header(), new Uint8Array(words.buffer));
	const set = (index: number): bigint => BigInt(words[index] ?? 0) | (BigInt(words[index + 3] ?? 0) << 32n);
	return { effective: set(0), permitted: set(1), inheritable: set(2) };
}

function setOwn(sets: Sets): void {
	const values = [sets.effective, sets.permitted, sets.inheritable];
	const words = [...values.map((set) => set & 0xffff_ffffn), ...values.map((set) => set >> 32n)].map(Number);
	capset(header(), new Uint8Array(Uint32Array.from(words).buffer), "own thread");
}

/** Those of `names` that this thread does not even have permitted. */
export function missingCapabilities(names: readonly Capability[]): Capability[] {
	const { permitted } = ownSets();
	return names.filter((name) => (permitted & maskOf([name])) === 0n);
}

/**
 * Executes this process anew with the capabilities `kept` and no others, now and for ever (PR_SET_NO_NEW_PRIVS); same
 * pid, arguments, environment and descriptors. Returns when there is nothing to take away: in the new process, or when
 * whoever started this one has been careful.
 * @param execArgv options for Node in the new process
 * @throws SysError when the process can not be executed
 */
export function shed(kept: readonly Capability[], execArgv: readonly string[]): void {
	const { permitted } = ownSets();
	const keep = permitted & maskOf(kept);
	const mayGain = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, "PR_GET_NO_NEW_PRIVS") === 0;
	if (permitted === keep && (permitted === 0n || !mayGain)) return;
	lowerBounds(maskOf(kept));
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, "PR_SET_NO_NEW_PRIVS");
	setOwn({ effective: keep, permitted: keep, inheritable: keep });
	// What a process of another user than root keeps when it executes something. Root keeps what was permitted.
	for (const number of Object.values(NUMBERS)) {
		if ((keep >> BigInt(number)) & 1n) prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, "PR_CAP_AMBIENT_RAISE");
	}
	// Node marks these close-on-exec, and ignores these signals.
	for (let fd = 0; fd < 3 + passedFds(); fd++) fcntl(fd, F_SETFD, 0);
	signal(system.signals.SIGPIPE, SIG_DFL);
	signal(system.signals.SIGXFSZ, SIG_DFL);
	execvp(process.execPath, [process.argv0, ...execArgv, ...process.argv.slice(1)]);
}

/** Takes all but `keep` out of the bounding set, where that is allowed: without, PR_SET_NO_NEW_PRIVS has to do. */
function lowerBounds(keep: bigint): void {
	try {
		for (let number = 0; number < NUMBER_END; number++) {
			if ((keep >> BigInt(number)) & 1n) continue;
			if (prctl(PR_CAPBSET_READ, number, 0, "") === 1) prctl(PR_CAPBSET_DROP, number, 0, "");
		}
	} catch {
		// EINVAL: the kernel has no such capability, nor one of a higher number. EPERM: no CAP_SETPCAP.
	}
}

/**
 * Leaves only `names` in effect in this thread, as far as it has them; the others stay permitted, for `withCapability`.
 * Threads that it starts begin like this.
 */
export function rest(names: readonly Capability[]): void {
	const { permitted } = ownSets();
	own = { effective: 0n, permitted };
	setEffective(permitted & maskOf(names));
}

/** Gives every capability of this thread up. Others of the process are not affected. */
export function renounce(): void {
	own = { effective: 0n, permitted: 0n };
	setEffective(0n);
}

/**
 * Calls a synchronous function with one more capability in effect; not permitted, it is called without. In a thread
 * that has never called `rest`, that is all that happens.
 */
export function withCapability<T>(name: Capability, body: () => T): T {
	if (!own) return body();
	const before = own.effective;
	const raised = before | (own.permitted & maskOf([name]));
	if (raised === before) return body();
	setEffective(raised);
	try {
		return body();
	} finally {
		setEffective(before);
	}
}

function setEffective(effective: bigint): void {
	if (!own) return;
	setOwn({ ...own, effective, inheritable: 0n });
	own.effective = effective;
}
