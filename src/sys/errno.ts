/**
 * Linux error numbers, their names and texts, and the error thrown when a system call fails.
 *
 * The table is our own because the C libraries word the texts differently (glibc, musl) and Node knows neither all
 * names nor the kernel's wording. Numbers: include/uapi/asm-generic/errno{-base,}.h, the same on x86, arm and
 * riscv.
 */

const ERRNO_TABLE: readonly (readonly [errno: number, name: string, text: string])[] = [
	[1, "EPERM", "operation not permitted"],
	[2, "ENOENT", "no such file or directory"],
	[3, "ESRCH", "no such process"],
	[4, "EINTR", "interrupted system call"],
	[5, "EIO", "input/output error"],
	[6, "ENXIO", "no such device or address"],
	[7, "E2BIG", "argument list too long"],
	[8, "ENOEXEC", "exec format error"],
	[9, "EBADF", "bad file descriptor"],
	[10, "ECHILD", "no child processes"],
	[11, "EAGAIN", "resource temporarily unavailable"],
	[12, "ENOMEM", "cannot allocate memory"],
	[13, "EACCES", "permission denied"],
	[14, "EFAULT", "bad address"],
	[16, "EBUSY", "device or resource busy"],
	[17, "EEXIST", "file exists"],
	[18, "EXDEV", "invalid cross-device link"],
	[19, "ENODEV", "no such device"],
	[20, "ENOTDIR", "not a directory"],
	[21, "EISDIR", "is a directory"],
	[22, "EINVAL", "invalid argument"],
	[23, "ENFILE", "too many open files in system"],
	[24, "EMFILE", "too many open files"],
	[25, "ENOTTY", "inappropriate ioctl for device"],
	[26, "ETXTBSY", "text file busy"],
	[27, "EFBIG", "file too large"],
	[28, "ENOSPC", "no space left on device"],
	[29, "ESPIPE", "illegal seek"],
	[30, "EROFS", "read-only file system"],
	[31, "EMLINK", "too many links"],
	[32, "EPIPE", "broken pipe"],
	[33, "EDOM", "numerical argument out of domain"],
	[34, "ERANGE", "numerical result out of range"],
	[35, "EDEADLK", "resource deadlock avoided"],
	[36, "ENAMETOOLONG", "file name too long"],
	[37, "ENOLCK", "no locks available"],
	[38, "ENOSYS", "function not implemented"],
	[39, "ENOTEMPTY", "directory not empty"],
	[40, "ELOOP", "too many levels of symbolic links"],
	[64, "ENONET", "machine is not on the network"],
	[71, "EPROTO", "protocol error"],
	[74, "EBADMSG", "bad message"],
	[75, "EOVERFLOW", "value too large for defined data type"],
	[76, "ENOTUNIQ", "name not unique on network"],
	[77, "EBADFD", "file descriptor in bad state"],
	[78, "EREMCHG", "remote address changed"],
	[83, "ELIBEXEC", "cannot exec a shared library directly"],
	[84, "EILSEQ", "invalid or incomplete multibyte or wide character"],
	[87, "EUSERS", "too many users"],
	[88, "ENOTSOCK", "socket operation on non-socket"],
	[89, "EDESTADDRREQ", "destination address required"],
	[90, "EMSGSIZE", "message too long"],
	[91, "EPROTOTYPE", "protocol wrong type for socket"],
	[92, "ENOPROTOOPT", "protocol not available"],
	[93, "EPROTONOSUPPORT", "protocol not supported"],
	[94, "ESOCKTNOSUPPORT", "socket type not supported"],
	[95, "EOPNOTSUPP", "operation not supported"],
	[96, "EPFNOSUPPORT", "protocol family not supported"],
	[97, "EAFNOSUPPORT", "address family not supported by protocol"],
	[98, "EADDRINUSE", "address already in use"],
	[99, "EADDRNOTAVAIL", "cannot assign requested address"],
	[100, "ENETDOWN", "network is down"],
	[101, "ENETUNREACH", "network is unreachable"],
	[102, "ENETRESET", "network dropped connection on reset"],
	[103, "ECONNABORTED", "software caused connection abort"],
	[104, "ECONNRESET", "connection reset by peer"],
	[105, "ENOBUFS", "no buffer space available"],
	[106, "EISCONN", "transport endpoint is already connected"],
	[107, "ENOTCONN", "transport endpoint is not connected"],
	[108, "ESHUTDOWN", "cannot send after transport endpoint shutdown"],
	[109, "ETOOMANYREFS", "too many references: cannot splice"],
	[110, "ETIMEDOUT", "connection timed out"],
	[111, "ECONNREFUSED", "connection refused"],
	[112, "EHOSTDOWN", "host is down"],
	[113, "EHOSTUNREACH", "no route to host"],
	[114, "EALREADY", "operation already in progress"],
	[115, "EINPROGRESS", "operation now in progress"],
	[125, "ECANCELED", "operation canceled"],
];

const BY_NUMBER = new Map(ERRNO_TABLE.map(([errno, name, text]) => [errno, { name, text }]));
const BY_NAME = new Map(ERRNO_TABLE.map(([errno, name]) => [name, errno]));

/** Name of an error number: 1 -> `EPERM`; numbers without a name here -> `errno 1234`. */
export function errnoName(errno: number): string {
	return BY_NUMBER.get(errno)?.name ?? `errno ${errno}`;
}

/** What an error number means: 1 -> `operation not permitted`. */
export function errnoText(errno: number): string {
	return BY_NUMBER.get(errno)?.text ?? "unknown error";
}

/** Number of an error name: `EPERM` -> 1; undefined for an unknown name. */
export function errnoNumber(name: string): number | undefined {
	return BY_NAME.get(name);
}

/** A system call that failed; the message reads `TUNSETIFF on "eth0": EPERM (operation not permitted); <hint>`. */
export class SysError extends Error {
	override readonly name = "SysError";
	/** Positive error number. */
	readonly errno: number;
	/** `EPERM`. */
	readonly errnoName: string;

	/**
	 * @param call What was asked of the kernel: `TUNSETIFF`, `open`, `RTM_NEWADDR 10.0.0.2/24`.
	 * @param object What it was asked about (an interface, a path); empty when there is none.
	 * @param errno Positive error number.
	 * @param hint What to do next, or what the kernel said about it.
	 */
	constructor(
		readonly call: string,
		readonly object: string,
		errno: number,
		hint?: string,
	) {
		const name = errnoName(errno);
		const where = object === "" ? call : `${call} on "${object}"`;
		super(`${where}: ${name} (${errnoText(errno)})${hint ? `; ${hint}` : ""}`);
		this.errno = errno;
		this.errnoName = name;
	}
}

/** True for a SysError with one of the given names: `isErrno(error, "ENOENT", "ENODEV")`. */
export function isErrno(error: unknown, ...names: string[]): error is SysError {
	return error instanceof SysError && names.includes(error.errnoName);
}
