/** What a process has in the kernel's BPF machine (include/uapi/linux/bpf.h). */
import { readdirSync, readFileSync } from "node:fs";
import { bpf, close } from "../../src/sys/libc.js";

/** `bpf` commands that open an object by its number. */
const OPEN = { prog: 13, map: 14, link: 30 };
const ATTR_BYTES = 72;

/** A program, a map, or what attaches a program to an interface. */
export interface BpfObject {
	kind: keyof typeof OPEN;
	id: number;
}

/** Those that descriptors of a process keep alive, and programs that these keep. */
export function bpfObjectsOf(pid: number): BpfObject[] {
	return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
		const lines = fdInfo(pid, fd).matchAll(/^(prog|map|link)_id:\s*(\d+)$/gm);
		return [...lines].map(([, kind, id]) => ({ kind: kind as keyof typeof OPEN, id: Number(id) }));
	});
}

/** Empty for a descriptor that has been closed meanwhile. */
function fdInfo(pid: number, fd: string): string {
	try {
		return readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
	} catch {
		return "";
	}
}

/** Whether the kernel still has it; numbers are not used twice. */
export function isThere({ kind, id }: BpfObject): boolean {
	const attributes = Buffer.alloc(ATTR_BYTES);
	attributes.writeUInt32LE(id, 0);
	const fd = bpf(OPEN[kind], attributes);
	if (fd >= 0) close(fd);
	return fd >= 0;
}
