/**
 * The C library. This is the only file that knows koffi.
 *
 * Three kinds of functions, by what a caller can expect to fail:
 * - calls of the packet path and of polled descriptors (`read`, `recv`, `ioUringEnter`, `*At`...) return the C result,
 *   -1 with `errno()` set; `*At` take addresses as numbers, for memory in a WebAssembly.Memory, and allocate nothing;
 * - all others throw a SysError that names the call and the object;
 * - prototypes are declared without `...` although C has it in some: on the ABIs that Linux and Node share (x86-64,
 *   arm64, riscv64) integers are passed alike either way.
 *
 * Flags are the same numbers on these machines; the ones that more than one file needs are exported below.
 */
import koffi from "koffi";
import { SysError } from "./errno.js";

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0x800;
export const O_CLOEXEC = 0x80000;

export const F_GETFD = 1;
export const F_SETFD = 2;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const FD_CLOEXEC = 1;

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const AF_XDP = 44;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = O_NONBLOCK;
export const SOCK_CLOEXEC = O_CLOEXEC;
export const SOL_SOCKET = 1;
export const MSG_DONTWAIT = 0x40;
export const MSG_TRUNC = 0x20;
export const MSG_CTRUNC = 0x8;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;
export const MSG_PEEK = 0x2;

export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;

export const EFD_CLOEXEC = O_CLOEXEC;
export const EFD_NONBLOCK = O_NONBLOCK;

export const CLONE_FS = 0x200;
export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWNET = 0x40000000;

export const MS_NOSUID = 0x2;
export const MS_NODEV = 0x4;
export const MS_NOEXEC = 0x8;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MNT_DETACH = 2;

export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_POPULATE = 0x8000;

export const LOCK_EX = 2;
export const LOCK_NB = 4;

export const SIG_DFL = 0;
export const SIG_IGN = 1;

/**
 * The process itself: Node links the C library dynamically, so its symbols are found under glibc and musl alike.
 */
const lib = koffi.load(null);

/** Everything that koffi takes as a pointer: ordinary buffers and views of (shared) WebAssembly memory. */
export type Memory = Uint8Array;

const c = {
	open: lib.func("open", "int", ["str", "int", "uint"]),
	close: lib.func("close", "int", ["int"]),
	read: lib.func("read", "long", ["int", "void *", "size_t"]),
	write: lib.func("write", "long", ["int", "void *", "size_t"]),
	readAt: lib.func("read", "long", ["int", "uintptr_t", "size_t"]),
	writeAt: lib.func("write", "long", ["int", "uintptr_t", "size_t"]),
	readvAt: lib.func("readv", "long", ["int", "uintptr_t", "int"]),
	writevAt: lib.func("writev", "long", ["int", "uintptr_t", "int"]),
	sendmmsgAt: lib.func("sendmmsg", "int", ["int", "uintptr_t", "uint", "int"]),
	recvmsgAt: lib.func("recvmsg", "long", ["int", "uintptr_t", "int"]),
	sendmsgAt: lib.func("sendmsg", "long", ["int", "uintptr_t", "int"]),
	pollAt: lib.func("poll", "int", ["uintptr_t", "ulong", "int"]),
	ioctlPointer: lib.func("ioctl", "int", ["int", "ulong", "void *"]),
	ioctlNumber: lib.func("ioctl", "int", ["int", "ulong", "ulong"]),
	fcntl: lib.func("fcntl", "int", ["int", "int", "long"]),
	socket: lib.func("socket", "int", ["int", "int", "int"]),
	socketpair: lib.func("socketpair", "int", ["int", "int", "int", "void *"]),
	bind: lib.func("bind", "int", ["int", "void *", "uint"]),
	connect: lib.func("connect", "int", ["int", "void *", "uint"]),
	listen: lib.func("listen", "int", ["int", "int"]),
	accept4: lib.func("accept4", "int", ["int", "void *", "void *", "int"]),
	setsockopt: lib.func("setsockopt", "int", ["int", "int", "int", "void *", "uint"]),
	getsockopt: lib.func("getsockopt", "int", ["int", "int", "int", "void *", "void *"]),
	send: lib.func("send", "long", ["int", "void *", "size_t", "int"]),
	recv: lib.func("recv", "long", ["int", "void *", "size_t", "int"]),
	sendto: lib.func("sendto", "long", ["int", "void *", "size_t", "int", "void *", "uint"]),
	recvfrom: lib.func("recvfrom", "long", ["int", "void *", "size_t", "int", "void *", "void *"]),
	poll: lib.func("poll", "int", ["void *", "ulong", "int"]),
	flock: lib.func("flock", "int", ["int", "int"]),
	eventfd: lib.func("eventfd", "int", ["uint", "int"]),
	mmap: lib.func("mmap", "intptr_t", ["uintptr_t", "size_t", "int", "int", "int", "int64_t"]),
	munmap: lib.func("munmap", "int", ["uintptr_t", "size_t"]),
	setns: lib.func("setns", "int", ["int", "int"]),
	unshare: lib.func("unshare", "int", ["int"]),
	mount: lib.func("mount", "int", ["str", "str", "str", "ulong", "str"]),
	umount2: lib.func("umount2", "int", ["str", "int"]),
	sethostname: lib.func("sethostname", "int", ["void *", "size_t"]),
	setsid: lib.func("setsid", "int", []),
	execvp: lib.func("execvp", "int", ["str", "str *"]),
	prlimit: lib.func("prlimit", "int", ["int", "int", "void *", "void *"]),
	kill: lib.func("kill", "int", ["int", "int"]),
	schedGetaffinity: lib.func("sched_getaffinity", "int", ["int", "size_t", "void *"]),
	schedSetaffinity: lib.func("sched_setaffinity", "int", ["int", "size_t", "void *"]),
	prctl: lib.func("prctl", "int", ["int", "ulong", "ulong", "ulong", "ulong"]),
	capget: lib.func("capget", "int", ["void *", "void *"]),
	capset: lib.func("capset", "int", ["void *", "void *"]),
	signal: lib.func("signal", "intptr_t", ["int", "uintptr_t"]),
	ifNameToIndex: lib.func("if_nametoindex", "uint", ["str"]),
	syscallNumbers: lib.func("syscall", "long", ["long", "int", "uint", "uint", "uint", "uintptr_t", "ulong"]),
	syscallPointer: lib.func("syscall", "long", ["long", "ulong", "ulong", "void *", "ulong"]),
	syscallMemory: lib.func("syscall", "long", ["long", "ulong", "void *", "ulong", "ulong"]),
};

// Numbers of 424 and above are the same on every architecture.
const SYS_IO_URING_SETUP = 425;
const SYS_IO_URING_ENTER = 426;
const SYS_IO_URING_REGISTER = 427;
const SYS_PIDFD_OPEN = 434;
/** arm64 and riscv64 have the generic numbers. */
const SYS_BPF = process.arch === "x64" ? 321 : 280;
const SYS_SCHED_SETATTR = process.arch === "x64" ? 314 : 274;
const SYS_SCHED_GETATTR = process.arch === "x64" ? 315 : 275;

const RLIMIT_NOFILE = 7;

const EPERM = 1;
const EACCES = 13;

/** Error number of the last call on this thread that returned -1. */
export function errno(): number {
	return koffi.errno();
}

/**
 * Passes a C result through, or throws.
 * @throws SysError when `result` is negative; the error number is the thread's `errno`.
 */
export function check(result: number, call: string, object = "", hint?: string): number {
	if (result < 0) {
		throw new SysError(call, object, koffi.errno(), hint);
	}
	return result;
}

/** Address of a view's first byte; stays valid while the view's buffer lives and (WebAssembly) does not grow. */
export function addressOf(view: Memory): number {
	return Number(koffi.address(view));
}

// ---- Calls that return the C result: -1 and errno().

/** read(2) of at most `buffer.length` bytes. */
export const read = (fd: number, buffer: Memory): number => c.read(fd, buffer, buffer.length);

/** write(2) of the whole buffer in one call. */
export const write = (fd: number, buffer: Memory): number => c.write(fd, buffer, buffer.length);

/** recv(2); `flags` are MSG_*. */
export const recv = (fd: number, buffer: Memory, flags: number): number => c.recv(fd, buffer, buffer.length, flags);

/** send(2); `flags` are MSG_*. */
export const send = (fd: number, buffer: Memory, flags: number): number => c.send(fd, buffer, buffer.length, flags);

/** sendto(2) with a raw `struct sockaddr_*`; `flags` are MSG_*. */
export const sendto = (fd: number, buffer: Memory, flags: number, sockaddr: Memory): number =>
	c.sendto(fd, buffer, buffer.length, flags, sockaddr, sockaddr.length);

/** recvfrom(2); the sender's `struct sockaddr_*` is written to `sockaddr`, as much of it as fits. */
export const recvfrom = (fd: number, buffer: Memory, flags: number, sockaddr: Memory): number =>
	c.recvfrom(fd, buffer, buffer.length, flags, sockaddr, Uint32Array.of(sockaddr.length));

/** poll(2) on an array of `struct pollfd` (8 bytes each: i32 fd, i16 events, i16 revents). */
export const poll = (pollfds: Memory, timeoutMs: number): number => c.poll(pollfds, pollfds.length / 8, timeoutMs);

/** poll(2) on `count` pollfds at an address. */
export const pollAt: (address: number, count: number, timeoutMs: number) => number = c.pollAt;

/** read(2) of at most `bytes` to an address. */
export const readAt: (fd: number, address: number, bytes: number) => number = c.readAt;

/** write(2) of `bytes` from an address. */
export const writeAt: (fd: number, address: number, bytes: number) => number = c.writeAt;

/** readv(2) with `count` iovecs at an address. */
export const readvAt: (fd: number, iovAddress: number, count: number) => number = c.readvAt;

/** writev(2) with `count` iovecs at an address. */
export const writevAt: (fd: number, iovAddress: number, count: number) => number = c.writevAt;

/** sendmmsg(2) with `count` `struct mmsghdr` at an address; returns how many were sent. */
export const sendmmsgAt: (fd: number, address: number, count: number, flags: number) => number = c.sendmmsgAt;

/** recvmsg(2) with a `struct msghdr` at an address. */
export const recvmsgAt: (fd: number, msghdrAddress: number, flags: number) => number = c.recvmsgAt;

/** sendmsg(2) with a `struct msghdr` at an address. */
export const sendmsgAt: (fd: number, msghdrAddress: number, flags: number) => number = c.sendmsgAt;

/** accept4(2) without the peer's address; `flags` are SOCK_*. */
export const accept = (fd: number, flags: number): number => c.accept4(fd, null, null, flags);

/** io_uring_setup(2): fills the 120-byte `struct io_uring_params`, returns the ring's descriptor. */
export function ioUringSetup(entries: number, params: Memory): number {
	return c.syscallMemory(SYS_IO_URING_SETUP, entries, params, 0, 0);
}

/** io_uring_enter(2) without a signal mask; returns how many entries were submitted. */
export function ioUringEnter(ringFd: number, toSubmit: number, minComplete: number, flags: number): number {
	return c.syscallNumbers(SYS_IO_URING_ENTER, ringFd, toSubmit, minComplete, flags, 0, 0);
}

/** io_uring_register(2). */
export function ioUringRegister(fd: number, opcode: number, arg: Memory | null, nrArgs: number): number {
	return c.syscallPointer(SYS_IO_URING_REGISTER, fd, opcode, arg, nrArgs);
}

/** bpf(2) with a `union bpf_attr`, in which addresses are those of memory that must not move (`addressOf`). */
export function bpf(command: number, attributes: Memory): number {
	return c.syscallMemory(SYS_BPF, command, attributes, attributes.length, 0);
}

// ---- Calls that throw a SysError.

/** open(2). */
export const open = (path: string, flags: number, mode = 0): number => check(c.open(path, flags, mode), "open", path);

/** close(2). */
export function close(fd: number): void {
	check(c.close(fd), "close", `fd ${fd}`);
}

/**
 * ioctl(2) with a buffer (read and written by the kernel) or a plain number.
 * @param call Name for errors, such as `TUNSETIFF`.
 * @param object What it is about, for errors.
 */
export function ioctl(fd: number, request: number, arg: Memory | number, call: string, object: string): number {
	const result = typeof arg === "number" ? c.ioctlNumber(fd, request, arg) : c.ioctlPointer(fd, request, arg);
	return check(result, call, object);
}

/** fcntl(2) with a numeric argument. */
export const fcntl = (fd: number, command: number, arg = 0): number =>
	check(c.fcntl(fd, command, arg), "fcntl", `fd ${fd}`);

/** flock(2): `operation` is LOCK_EX, with LOCK_NB it fails with EAGAIN instead of waiting. Ends with the open file. */
export function flock(fd: number, operation: number, object: string): void {
	check(c.flock(fd, operation), "flock", object);
}

/** socket(2). `capability` is what this kind of socket needs, for errors. */
export function socket(family: number, type: number, protocol: number, capability?: string): number {
	return check(c.socket(family, type, protocol), "socket", "", capability && capabilityHint(capability));
}

/** socketpair(2) of AF_UNIX: two descriptors, each the way to the other; `type` may hold SOCK_NONBLOCK and more. */
export function socketpair(type: number): [number, number] {
	const fds = new Int32Array(2);
	check(c.socketpair(AF_UNIX, type, 0, new Uint8Array(fds.buffer)), "socketpair");
	return [fds[0]!, fds[1]!];
}

/** bind(2) to a raw `struct sockaddr_*`. */
export function bind(fd: number, sockaddr: Memory, object: string): void {
	check(c.bind(fd, sockaddr, sockaddr.length), "bind", object);
}

/** connect(2) to a raw `struct sockaddr_*`. */
export function connect(fd: number, sockaddr: Memory, object: string): void {
	check(c.connect(fd, sockaddr, sockaddr.length), "connect", object);
}

/** listen(2). */
export function listen(fd: number, backlog: number, object: string): void {
	check(c.listen(fd, backlog), "listen", object);
}

/**
 * setsockopt(2).
 * @param value An int, or the bytes of a structure.
 * @param call Name for errors, such as `PACKET_VNET_HDR`.
 */
export function setsockopt(
	fd: number,
	level: number,
	option: number,
	value: number | Memory,
	call: string,
	object: string,
): void {
	const bytes = typeof value === "number" ? new Uint8Array(Int32Array.of(value).buffer) : value;
	check(c.setsockopt(fd, level, option, bytes, bytes.length), call, object);
}

/** getsockopt(2) into `value`; returns how many bytes the kernel wrote. */
export function getsockopt(
	fd: number,
	level: number,
	option: number,
	value: Memory,
	call: string,
	object: string,
): number {
	const length = Uint32Array.of(value.length);
	check(c.getsockopt(fd, level, option, value, length), call, object);
	return length[0]!;
}

/** eventfd(2); `flags` are EFD_*. */
export function eventfd(initial: number, flags: number): number {
	return check(c.eventfd(initial, flags), "eventfd");
}

/** mmap(2); returns the address. `address` 0 lets the kernel choose. */
export function mmap(
	address: number,
	bytes: number,
	protection: number,
	flags: number,
	fd: number,
	offset: number,
): number {
	return check(Number(c.mmap(address, bytes, protection, flags, fd, offset)), "mmap", `fd ${fd}`);
}

/** munmap(2). */
export function munmap(address: number, bytes: number): void {
	check(c.munmap(address, bytes), "munmap");
}

/** setns(2): moves this thread into the namespace behind `fd`; `type` is CLONE_NEW* or 0 for "whatever it is". */
export function setns(fd: number, type: number, object = `fd ${fd}`): void {
	check(c.setns(fd, type), "setns", object, capabilityHint("CAP_SYS_ADMIN"));
}

/** unshare(2) for this thread; `flags` are CLONE_*. */
export function unshare(flags: number): void {
	check(c.unshare(flags), "unshare", "", capabilityHint("CAP_SYS_ADMIN"));
}

/** mount(2). */
export function mount(source: string, target: string, type: string | null, flags: number, data: string | null): void {
	check(c.mount(source, target, type, flags, data), "mount", target);
}

/** umount2(2). */
export function umount2(target: string, flags: number): void {
	check(c.umount2(target, flags), "umount2", target);
}

/** sethostname(2). */
export function sethostname(name: string): void {
	const bytes = Buffer.from(name);
	check(c.sethostname(bytes, bytes.length), "sethostname", name);
}

/** setsid(2): returns the new session's id. */
export function setsid(): number {
	return check(c.setsid(), "setsid");
}

/** execvp(3): replaces this process; returns only by throwing. `argv` includes the program's own name. */
export function execvp(file: string, argv: readonly string[]): never {
	check(c.execvp(file, [...argv, null]), "execvp", file);
	throw new Error("execvp returned");
}

/**
 * Lowers how many descriptors this process and what it becomes may open (RLIMIT_NOFILE) to `soft`; they may raise it
 * again.
 */
export function lowerOpenFiles(soft: number): void {
	const limits = new BigUint64Array(2);
	const bytes = new Uint8Array(limits.buffer);
	check(c.prlimit(0, RLIMIT_NOFILE, null, bytes), "prlimit", "RLIMIT_NOFILE");
	if (BigInt(soft) >= (limits[0] ?? 0n)) return;
	limits[0] = BigInt(soft);
	check(c.prlimit(0, RLIMIT_NOFILE, bytes, null), "prlimit", "RLIMIT_NOFILE");
}

/** prctl(2) with numbers; unused arguments are 0, as some operations demand. `object` is for errors. */
export function prctl(operation: number, argument: number, second: number, object: string): number {
	return check(c.prctl(operation, argument, second, 0, 0), "prctl", object);
}

/** capget(2) of this thread: fills a `struct __user_cap_data_struct[2]` (24 bytes). `header` is 8 bytes. */
export function capget(header: Memory, data: Memory): void {
	check(c.capget(header, data), "capget");
}

/** capset(2) of this thread; capabilities are a thread's, not the process's. */
export function capset(header: Memory, data: Memory, object: string): void {
	check(c.capset(header, data), "capset", object);
}

/** kill(2); `signal` 0 only asks whether the process is there. A negative pid is a process group. */
export function kill(pid: number, signal: number): void {
	check(c.kill(pid, signal), "kill", `pid ${pid}`);
}

/** signal(3) with SIG_DFL or SIG_IGN (C function pointers are not supported). */
export function signal(number: number, disposition: typeof SIG_DFL | typeof SIG_IGN): void {
	check(Number(c.signal(number, disposition)) === -1 ? -1 : 0, "signal", `signal ${number}`);
}

/** if_nametoindex(3) in the thread's network namespace; throws ENODEV when there is no such interface. */
export function ifNameToIndex(name: string): number {
	const index: number = c.ifNameToIndex(name);
	return check(index === 0 ? -1 : index, "if_nametoindex", name);
}

/** pidfd_open(2): a descriptor that becomes readable when the process exits. Close-on-exec. */
export function pidfdOpen(pid: number): number {
	return check(c.syscallNumbers(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0, 0), "pidfd_open", `pid ${pid}`);
}

/** sched_getaffinity(2), sched_setaffinity(2) of a thread: a bit for each processor. */
export const schedGetaffinity = (tid: number, mask: Uint8Array): number =>
	check(c.schedGetaffinity(tid, mask.length, mask), "sched_getaffinity", `thread ${tid}`);
export const schedSetaffinity = (tid: number, mask: Uint8Array): number =>
	check(c.schedSetaffinity(tid, mask.length, mask), "sched_setaffinity", `thread ${tid}`);

/** sched_getattr(2), sched_setattr(2) of the calling thread: a `struct sched_attr`. */
export const schedGetattr = (attr: Memory): number =>
	check(c.syscallMemory(SYS_SCHED_GETATTR, 0, attr, attr.length, 0), "sched_getattr", "this thread");
export const schedSetattr = (attr: Memory): number =>
	check(c.syscallMemory(SYS_SCHED_SETATTR, 0, attr, 0, 0), "sched_setattr", "this thread");

/** A function that only glibc has; without it, one that does nothing. */
function glibcOnly(name: string, parameters: string[]): (...values: number[]) => void {
	try {
		return lib.func(name, "int", parameters);
	} catch {
		return () => undefined;
	}
}

/** mallopt(3). */
export const mallopt = glibcOnly("mallopt", ["int", "int"]);
/** malloc_trim(3). */
export const mallocTrim = glibcOnly("malloc_trim", ["size_t"]);

/** A descriptor in this thread's event loop. It must be closed before the descriptor and before the loop ends. */
export interface PollHandle {
	start(options: { readable?: boolean; writable?: boolean }, callback: () => void): void;
	stop(): void;
	close(): void;
	unref(): void;
}

/**
 * Adds a descriptor to this thread's event loop (libuv's uv_poll). The callback runs outside of Node's callback
 * scope: it must not throw, and no promise continues because of it. FdPoller makes this safe to use.
 */
export function pollInLoop(
	fd: number,
	options: { readable?: boolean; writable?: boolean },
	callback: () => void,
): PollHandle {
	fcntl(fd, F_GETFD); // koffi ends the process when the descriptor is not open
	return koffi.node.poll(fd, options, callback) as PollHandle;
}

/** The hint for calls that need a capability, only when the failure was about permissions. */
export function capabilityHint(capability: string): string | undefined {
	const number = koffi.errno();
	return number === EPERM || number === EACCES ? `needs ${capability}: run as root` : undefined;
}
