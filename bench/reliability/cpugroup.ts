/** Control groups that share the processors by weight (cgroups(7)), of the version that this machine has. */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a container has, and by what the first version counts it. */
const WEIGHT_DEFAULT = 100;
const SHARES_DEFAULT = 1024;

/** A group of the root's; its processes have to end before it can. */
export class CpuGroup {
	readonly #path: string;

	/**
	 * @param weight as systemd's CPUWeight=: 100 is everybody's
	 * @throws Error when this machine has no such groups, or the caller may not make any
	 */
	constructor(name: string, weight: number) {
		const mounts = readFileSync("/proc/mounts", "latin1");
		const [, second] = /^\S+ (\S+) cgroup2 /m.exec(mounts) ?? [];
		const [, first] = /^\S+ (\S+) cgroup \S*\bcpu\b/m.exec(mounts) ?? [];
		const root = first ?? second;
		if (root === undefined) throw new Error("no control groups are mounted");
		this.#path = join(root, `${name}-${process.pid}`);
		if (first === undefined) writeFileSync(join(root, "cgroup.subtree_control"), "+cpu");
		mkdirSync(this.#path);
		if (first === undefined) this.#write("cpu.weight", weight);
		else this.#write("cpu.shares", Math.round((weight * SHARES_DEFAULT) / WEIGHT_DEFAULT));
	}

	/** Moves a process, with all of its threads. */
	add(pid: number | undefined): void {
		this.#write("cgroup.procs", pid);
	}

	close(): void {
		rmdirSync(this.#path);
	}

	#write(file: string, value: number | undefined): void {
		writeFileSync(join(this.#path, file), `${value}`);
	}
}
