/*
 * The least that forwards frames between two TAPs in user space: `loop TAP1 TAP2` polls, then reads from one and writes
 * to the other until nothing is there. All offloads are on, as in every other peer that has them. No addresses, no
 * rules, no VLANs.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 65536 + 256, BURST_MAX = 64 };

static char frame[FRAME_BYTES_MAX];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (fd < 0)
		fail("/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0)
		fail("TUNSETIFF");
	unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
#ifdef TUN_F_USO4
	if (ioctl(fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) == 0)
		return fd;
#endif
	if (ioctl(fd, TUNSETOFFLOAD, offloads) < 0)
		fail("TUNSETOFFLOAD");
	return fd;
}

/* A write that would block is a drop, as in a switch. */
static void forward(int from, int to)
{
	for (int i = 0; i < BURST_MAX; i++) {
		ssize_t bytes = read(from, frame, sizeof frame);
		if (bytes <= 0)
			return;
		if (write(to, frame, (size_t)bytes) < 0)
			continue;
	}
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: loop TAP1 TAP2\n");
		return 2;
	}
	struct pollfd ports[2];
	for (int i = 0; i < 2; i++)
		ports[i] = (struct pollfd){.fd = open_tap(argv[i + 1]), .events = POLLIN};
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(ports, 2, -1) < 0)
			fail("poll");
		for (int i = 0; i < 2; i++)
			if (ports[i].revents & POLLIN)
				forward(ports[i].fd, ports[1 - i].fd);
	}
}
