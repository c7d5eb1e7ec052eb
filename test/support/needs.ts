/**
 * What a test needs of the machine, and skipping with a reason when the machine does not have it.
 * `VLANE_TEST_STRICT=1` (CI) turns every such skip into a failure.
 */
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { delimiter, join } from "node:path";
import type { Test } from "uvu";

/** Requirements of a test; whatever is absent is not needed. */
export interface Need {
	/** Effective user id 0 with CAP_NET_ADMIN and CAP_SYS_ADMIN: namespaces, TAPs and raw sockets. */
	root?: boolean;
	/** /dev/net/tun. */
	tun?: boolean;
	/** Programs that must be in PATH. */
	tools?: string[];
	/** Files that must be there, by their whole paths: programs that are not in PATH. */
	files?: string[];
	/** Link kinds that the kernel must know, as `ip link add type KIND` calls them. */
	kernel?: string[];
	/** The oldest kernel that will do, as "5.18". */
	linux?: string;
	/** clang with libFuzzer and AddressSanitizer (Debian: clang, libclang-rt-dev). */
	fuzzer?: boolean;
}

const CAPABILITIES = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_ADMIN: 21 };

/** A tool's place in PATH, or undefined. */
export function which(tool: string): string | undefined {
	const directories = (process.env.PATH ?? "").split(delimiter);
	return directories
		.map((directory) => join(directory, tool))
		.find((path) => {
			try {
				accessSync(path, constants.X_OK);
				return true;
			} catch {
				return false;
			}
		});
}

function hasCapabilities(): boolean {
	const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"));
	const held = BigInt(`0x${line?.[1] ?? "0"}`);
	return Object.values(CAPABILITIES).every((bit) => (held >> BigInt(bit)) & 1n);
}

/** Asks the kernel for a link of this kind in a namespace that ends with the question. */
function kernelKnows(kind: string): boolean {
	const { stderr } = spawnSync("unshare", ["--net", "ip", "link", "add", "probe", "type", kind], { encoding: "utf8" });
	return !/unknown device type|not supported/i.test(stderr);
}

/** Of a kernel's release, so that later ones are greater. */
function numberOf(kernelRelease: string): number {
	const [major = 0, minor = 0] = kernelRelease.split(/[.-]/).map(Number);
	return major * 1000 + minor;
}

/** What clang would link with: its runtime is a package of its own. */
function hasFuzzer(): boolean {
	const program = ["-fsanitize=fuzzer,address", "-x", "c", "-", "-###"];
	const { stderr } = spawnSync("clang", program, { encoding: "utf8" });
	const libraries = [...stderr.matchAll(/"([^"]*libclang_rt\.(?:fuzzer|asan)[^"]*\.a)"/g)].map(
		([, path]) => path ?? "",
	);
	return libraries.length >= 2 && libraries.every((path) => existsSync(path));
}

/** Why this machine can not do what `need` says, in a few words; undefined when it can. */
export function needs(need: Need): string | undefined {
	if (need.root && (process.geteuid?.() !== 0 || !hasCapabilities())) {
		return `needs root with ${Object.keys(CAPABILITIES).join(", ")}`;
	}
	if (need.tun && !existsSync("/dev/net/tun")) return "needs /dev/net/tun";
	const tools = [...(need.tools ?? []), ...(need.kernel ? ["unshare", "ip"] : [])];
	const missing = tools.filter((tool) => !which(tool));
	if (missing.length > 0) return `needs ${missing.join(", ")} in PATH`;
	if (need.fuzzer && !hasFuzzer()) return "needs clang with libFuzzer and AddressSanitizer";
	const absent = (need.files ?? []).filter((path) => !existsSync(path));
	if (absent.length > 0) return `needs ${absent.join(", ")}`;
	if (need.linux && numberOf(release()) < numberOf(need.linux)) return `needs Linux ${need.linux}`;
	const unknown = (need.kernel ?? []).filter((kind) => !kernelKnows(kind));
	if (unknown.length > 0) return `needs ${unknown.join(", ")} in the kernel`;
	return undefined;
}

/**
 * Registers a test, or skips it when the machine can not run it: the reason is printed for the test runner, and the
 * skip is counted. With VLANE_TEST_STRICT=1 the test fails with the reason instead.
 */
export function testOrSkip(tests: Test, name: string, need: Need, run: () => void | Promise<void>): void {
	const reason = needs(need);
	if (reason === undefined) {
		tests(name, run);
	} else if (process.env.VLANE_TEST_STRICT === "1") {
		tests(name, () => {
			throw new Error(reason);
		});
	} else {
		console.log(`skipped: ${name}: ${reason}`);
		tests.skip(name);
	}
}
