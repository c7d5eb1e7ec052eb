/*
 * An older kernel's io_uring, for a process that has this preloaded: what VLANE_REFUSED_FLAGS says of
 * io_uring_setup(2)'s flags, and VLANE_REFUSED_REGISTER of io_uring_register(2)'s opcodes, is answered with EINVAL, as
 * kernels do that do not know it. Every ring that comes about writes a line with its flags to the file VLANE_RING_LOG.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

enum { ARGUMENTS = 6, PARAMS_FLAGS = 2 };

static long setting(const char *name, long otherwise)
{
	const char *text = getenv(name);
	return text ? strtol(text, NULL, 0) : otherwise;
}

long syscall(long number, ...)
{
	static long (*next)(long, ...);
	long a[ARGUMENTS];
	va_list list;
	va_start(list, number);
	for (int i = 0; i < ARGUMENTS; i++) a[i] = va_arg(list, long);
	va_end(list);
	if (!next) next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	const uint32_t *params = (const uint32_t *)a[1];
	int refused = number == SYS_io_uring_register && (uint32_t)a[1] == setting("VLANE_REFUSED_REGISTER", -1);
	if (number == SYS_io_uring_setup) refused = (params[PARAMS_FLAGS] & setting("VLANE_REFUSED_FLAGS", 0)) != 0;
	if (refused) {
		errno = EINVAL;
		return -1;
	}
	long answer = next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	int code = errno;
	const char *log = getenv("VLANE_RING_LOG");
	FILE *file = number == SYS_io_uring_setup && answer >= 0 && log ? fopen(log, "a") : NULL;
	if (file) {
		fprintf(file, "%#x\n", params[PARAMS_FLAGS]);
		fclose(file);
	}
	errno = code;
	return answer;
}
