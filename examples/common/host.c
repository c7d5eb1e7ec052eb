/*
 * A switch in one small program: TAPs and one raw socket on a parent, with 802.1Q between them, and all decisions in
 * the packet core. The engine that runs the core is linked behind engine.h.
 *
 *   host [-c core.wasm] [-s slots] [-p ports] [-u parent] -t name[:vid[:network]] ...
 *
 * -t makes (or attaches to) a TAP of this namespace: an endpoint on the parent's VLAN `vid` (0 or nothing: untagged).
 * Endpoints of one VLAN and one network talk to each other, everybody talks to the wire. Says "ready" when frames flow;
 * SIGTERM or SIGINT end it, with the counters of all ports.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>

#include "engine.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

enum { PORTS_MAX = 1024, TABLES = 4, BATCH = 256, BURST = 64, SOCKET_BYTES = 4 << 20 };

static struct pollfd files[PORTS_MAX]; /* by port number; fd -1: no such port */
static char names[PORTS_MAX][IFNAMSIZ];
static uint32_t ports_max = 32, slots_max = 64, uplink;
static volatile sig_atomic_t stopping;

static void die(const char *call, const char *object)
{
	fprintf(stderr, "host: %s on \"%s\": %s\n", call, object, strerror(errno));
	exit(1);
}

static void usage(void)
{
	fprintf(stderr, "usage: host [-c core.wasm] [-s slots] [-p ports] [-u parent] -t name[:vid[:network]] ...\n");
	exit(2);
}

static struct vlane_header *header(void)
{
	return (struct vlane_header *)(engine_memory() + VLANE_HEADER);
}

static struct vlane_port *record(uint32_t port)
{
	return (struct vlane_port *)(engine_memory() + header()->ports) + port;
}

/* ---- Devices. */

/* Tells the core of an open device; its address and MTU are those of the interface. */
static uint32_t add_port(int fd, const char *name, uint32_t kind, uint32_t segment, uint32_t network)
{
	struct ifreq request = {0};
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t mac[8] = {0};
	uint32_t words[2];
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(control, SIOCGIFHWADDR, &request) < 0) die("SIOCGIFHWADDR", name);
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	memcpy(words, mac, sizeof words);
	if (ioctl(control, SIOCGIFMTU, &request) < 0) die("SIOCGIFMTU", name);
	close(control);
	uint32_t port = vlane_portAdd(kind, VLANE_MODE_BRIDGE, segment, network, words[0], words[1], request.ifr_mtu);
	if (!port) {
		fprintf(stderr, "host: port \"%s\": no room, or its address is in use on this VLAN\n", name);
		exit(1);
	}
	files[port] = (struct pollfd){.fd = fd, .events = POLLIN};
	strncpy(names[port], name, IFNAMSIZ - 1);
	return port;
}

static int open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) die("open", "/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0) die("TUNSETIFF", name);
	if (ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) die("TUNSETOFFLOAD", name);
	return fd;
}

static void set(int fd, int level, int option, int value, const char *what, const char *name)
{
	if (setsockopt(fd, level, option, &value, sizeof value) < 0) die(what, name);
}

/* Sees every frame of the parent, with room for the offload header; the kernel hands over outer tags separately. */
static int open_parent(const char *name)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq membership = {.mr_type = PACKET_MR_PROMISC};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket", "AF_PACKET");
	address.sll_ifindex = membership.mr_ifindex = (int)if_nametoindex(name);
	if (!address.sll_ifindex) die("if_nametoindex", name);
	set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING", name);
	set(fd, SOL_PACKET, PACKET_VNET_HDR, 1, "PACKET_VNET_HDR", name);
	set(fd, SOL_PACKET, PACKET_AUXDATA, 1, "PACKET_AUXDATA", name);
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES, "SO_RCVBUFFORCE", name);
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES, "SO_SNDBUFFORCE", name);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die("bind", name);
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) < 0)
		die("PACKET_ADD_MEMBERSHIP", name);
	return fd;
}

/* `name[:vid[:network]]`: a TAP on the segment of its VLAN, which is made with its first endpoint. */
static void add_endpoint(char *argument)
{
	static uint32_t segments[VLANE_VID_MAX + 1];
	char *rest = strchr(argument, ':');
	unsigned long vid = 0, network = 1;
	if (rest) {
		*rest = 0;
		vid = strtoul(rest + 1, &rest, 10);
		if (*rest == ':') network = strtoul(rest + 1, &rest, 10);
		if (*rest || vid > VLANE_VID_MAX || network - 1 > 65534) usage();
	}
	if (!segments[vid]) {
		segments[vid] = vlane_segmentAdd(uplink, uplink && vid ? VLANE_TPID_CTAG << 16 | (uint32_t)vid : 0, 0);
		if (!segments[vid]) {
			fprintf(stderr, "host: VLAN %lu: no room\n", vid);
			exit(1);
		}
	}
	add_port(open_tap(argument), argument, VLANE_KIND_ENDPOINT, segments[vid], (uint32_t)network);
}

/* ---- Frames. */

/* The outer tag that the kernel took off: tpid << 16 | tci, 0: none. */
static uint32_t stripped_tag(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct tpacket_auxdata aux;
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) continue;
		memcpy(&aux, CMSG_DATA(c), sizeof aux);
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) return 0;
		uint32_t tpid = aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : VLANE_TPID_CTAG;
		return tpid << 16 | aux.tp_vlan_tci;
	}
	return 0;
}

/* Reads one frame into the slot of a descriptor; answers 0 when there is none. */
static int receive(uint32_t port, struct vlane_rx *rx)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	uint8_t *slot = engine_memory() + header()->slots + rx->slot * VLANE_SLOT_BYTES;
	struct iovec data = {slot + VLANE_SLOT_FRAME - VLANE_VNET_BYTES, VLANE_SLOT_CAPACITY};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int is_tap = port != uplink;
	ssize_t bytes = is_tap ? read(files[port].fd, data.iov_base, data.iov_len) : recvmsg(files[port].fd, &message, 0);
	if (bytes < VLANE_VNET_BYTES) {
		if (bytes >= 0 || errno == EAGAIN || errno == EINTR || errno == ENETDOWN) return 0;
		record(port)->error = errno; /* the device is gone */
		record(port)->drops[VLANE_DROP_RX_ERROR]++;
		files[port].fd = -1;
		return 0;
	}
	if (!is_tap && message.msg_flags & MSG_TRUNC) {
		record(port)->drops[VLANE_DROP_RX_TRUNCATED]++;
		return 0;
	}
	rx->port = (uint16_t)port;
	rx->length = (uint32_t)bytes - VLANE_VNET_BYTES;
	rx->tag = is_tap ? 0 : stripped_tag(&message);
	return 1;
}

static uint32_t drop_reason(int error)
{
	if (error == EAGAIN || error == ENOBUFS || error == ENOMEM) return VLANE_DROP_TX_FULL;
	if (error == EMSGSIZE) return VLANE_DROP_TX_TOO_BIG;
	return error == EIO || error == ENETDOWN || error == EBADFD || error == ENXIO ? VLANE_DROP_TX_DOWN
										      : VLANE_DROP_TX_ERROR;
}

static void send_all(uint32_t count)
{
	uint8_t *memory = engine_memory();
	const struct vlane_tx *tx = (struct vlane_tx *)(memory + header()->tx);
	for (; count--; tx++) {
		struct vlane_port *port = record(tx->port);
		struct iovec parts[2] = {
			{memory + tx->head, tx->head_length}, {memory + tx->body, tx->body_length}};
		int skip = tx->head_length == 0;
		ssize_t bytes = writev(files[tx->port].fd, parts + skip, 2 - skip);
		if (bytes < 0) {
			port->drops[drop_reason(errno)]++;
			continue;
		}
		port->tx_frames++;
		port->tx_bytes += (uint64_t)bytes - VLANE_VNET_BYTES;
	}
}

/* One batch: at most a burst from each port that has something. */
static void forward(void)
{
	uint32_t room = vlane_batchPrepare(BATCH), count = 0, sends;
	struct vlane_rx *rx = (struct vlane_rx *)(engine_memory() + header()->rx);
	for (uint32_t port = 1; port < ports_max; port++) {
		if (!files[port].revents) continue;
		for (uint32_t burst = 0; burst < BURST && count < room && receive(port, &rx[count]); burst++) count++;
	}
	for (sends = vlane_batchForward(count);; sends = vlane_batchForward(0)) {
		send_all(sends);
		vlane_batchDone();
		if (!vlane_rxPending()) return;
	}
}

static void report(void)
{
	for (uint32_t port = 1; port < ports_max; port++) {
		const struct vlane_port *p = record(port);
		uint64_t dropped = 0;
		if (!p->kind) continue;
		for (uint32_t reason = 0; reason < VLANE_DROP_REASONS; reason++) dropped += p->drops[reason];
		printf("%s rx %llu tx %llu dropped %llu\n", names[port], (unsigned long long)p->rx_frames,
			(unsigned long long)p->tx_frames, (unsigned long long)dropped);
	}
}

static void stop(int signal)
{
	(void)signal;
	stopping = 1;
}

int main(int argc, char **argv)
{
	const char *core = "core.baseline.wasm", *parent = NULL;
	char *taps[PORTS_MAX];
	uint32_t tap_count = 0;
	for (int option; (option = getopt(argc, argv, "c:s:p:u:t:")) != -1;) {
		if (option == 'c') core = optarg;
		else if (option == 's') slots_max = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'p') ports_max = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'u') parent = optarg;
		else if (option == 't' && tap_count < PORTS_MAX) taps[tap_count++] = optarg;
		else usage();
	}
	int is_power = ports_max && !(ports_max & (ports_max - 1));
	if (optind < argc || !tap_count || !is_power || ports_max > PORTS_MAX || slots_max - 1 > 65534) usage();

	sigset_t held, open;
	struct sigaction action = {.sa_handler = stop};
	sigemptyset(&held);
	sigaddset(&held, SIGTERM);
	sigaddset(&held, SIGINT);
	sigprocmask(SIG_BLOCK, &held, &open); /* they arrive in ppoll only */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	if (!engine_open(core)) return 1;
	uint32_t bytes = vlane_layout(ports_max, ports_max, TABLES, ports_max * 4, slots_max);
	if (!engine_grow(bytes) || !vlane_init()) {
		fprintf(stderr, "host: no memory for %u bytes\n", bytes);
		return 1;
	}
	for (uint32_t port = 0; port < ports_max; port++) files[port].fd = -1;
	if (parent) uplink = add_port(open_parent(parent), parent, VLANE_KIND_UPLINK, 0, 0);
	for (uint32_t i = 0; i < tap_count; i++) add_endpoint(taps[i]);
	puts("ready");
	fflush(stdout);
	while (!stopping)
		if (ppoll(files, ports_max, NULL, &open) > 0) forward();
	report();
	return 0;
}
