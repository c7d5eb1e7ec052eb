/*
 * The least that forwards frames in user space: `loop TAP1 TAP2` polls, then reads from one and writes to the other
 * until nothing is there. `loop TAP1 TAP2 PARENT [VID...]` has a packet socket on a parent link, too, and pushes and
 * pops these tags there, outermost first: one system call for each frame that is read, and one for each that is
 * written, is what a crossing between a TAP and a packet socket costs. All offloads are on, as in every other peer
 * that has them. No rules, and no addresses but those of the two TAPs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FRAME_BYTES_MAX = 65536 + 256, BURST_MAX = 64, TAGS_MAX = 2, ADDRESSES_BYTES = 2 * ETH_ALEN };
enum { VNET_BYTES = sizeof(struct virtio_net_hdr), SOCKET_BYTES = 16 << 20, IGNORE_OUTGOING = 23 };

struct port {
	int fd;
	int is_parent;
	unsigned char address[ETH_ALEN];
};

/* Room in front, for the tags. */
static char memory[64 + FRAME_BYTES_MAX];
static struct port ports[3];
static int port_count;
static unsigned short tags[TAGS_MAX];
static int tag_count;

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct port open_tap(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	struct port port = {.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK)};
	if (port.fd < 0)
		fail("/dev/net/tun");
	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(port.fd, TUNSETIFF, &request) < 0)
		fail("TUNSETIFF");
	if (ioctl(port.fd, SIOCGIFHWADDR, &request) < 0)
		fail("SIOCGIFHWADDR");
	memcpy(port.address, request.ifr_hwaddr.sa_data, ETH_ALEN);
	unsigned offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
#ifdef TUN_F_USO4
	if (ioctl(port.fd, TUNSETOFFLOAD, offloads | TUN_F_USO4 | TUN_F_USO6) == 0)
		return port;
#endif
	if (ioctl(port.fd, TUNSETOFFLOAD, offloads) < 0)
		fail("TUNSETOFFLOAD");
	return port;
}

static void set(int fd, int level, int option, const void *value, socklen_t bytes)
{
	if (setsockopt(fd, level, option, value, bytes) < 0)
		fail("setsockopt");
}

/* The same settings as vlane's (src/raw/packet.ts). */
static struct port open_parent(const char *name)
{
	int index = (int)if_nametoindex(name), on = 1, bytes = SOCKET_BYTES;
	struct sockaddr_ll link = {AF_PACKET, htons(ETH_P_ALL), index, 0, 0, 0, {0}};
	struct packet_mreq promiscuous = {index, PACKET_MR_PROMISC, 0, {0}};
	struct port port = {.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), .is_parent = 1};
	if (port.fd < 0 || index == 0)
		fail(name);
	set(port.fd, SOL_PACKET, IGNORE_OUTGOING, &on, sizeof on);
	set(port.fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on);
	set(port.fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
	set(port.fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
	set(port.fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
	set(port.fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof promiscuous);
	if (bind(port.fd, (struct sockaddr *)&link, sizeof link) < 0)
		fail("bind");
	return port;
}

/* Moves what is in front of the place of the tags, and the offsets of the offloads, by `change` tags. */
static char *shift(char *frame, int change)
{
	struct virtio_net_hdr *head = memmove(frame - 4 * change, frame, VNET_BYTES + ADDRESSES_BYTES);
	if (head->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		head->csum_start += 4 * change;
	if (head->gso_type)
		head->hdr_len += 4 * change;
	return (char *)head;
}

/* Reads from the parent; the kernel has taken the outermost tag out, others are in the frame. Those of others: 0. */
static ssize_t receive(int fd, char **frame)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct iovec part = {*frame, FRAME_BYTES_MAX};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, sizeof control};
	ssize_t bytes = recvmsg(fd, &message, MSG_DONTWAIT);
	if (bytes <= 0)
		return -1;
	struct cmsghdr *first = CMSG_FIRSTHDR(&message);
	struct tpacket_auxdata *aux = first ? (struct tpacket_auxdata *)CMSG_DATA(first) : NULL;
	int stripped = aux && aux->tp_status & TP_STATUS_VLAN_VALID;
	if (stripped != (tag_count > 0) || (stripped && (aux->tp_vlan_tci & 0xfff) != tags[0]))
		return 0;
	if (tag_count < 2)
		return bytes;
	*frame = shift(*frame, -(tag_count - 1));
	return bytes - 4 * (tag_count - 1);
}

static void transmit(const struct port *to, char *frame, ssize_t bytes)
{
	if (to->is_parent && tag_count) {
		frame = shift(frame, tag_count);
		bytes += 4 * tag_count;
		for (int i = 0; i < tag_count; i++) {
			unsigned short tag[2] = {htons(ETH_P_8021Q), htons(tags[i])};
			memcpy(frame + VNET_BYTES + ADDRESSES_BYTES + 4 * i, tag, sizeof tag);
		}
	}
	/* A write that would block is a drop, as in a switch. */
	if (write(to->fd, frame, (size_t)bytes) < 0)
		return;
}

static void forward(const struct port *from)
{
	for (int i = 0; i < BURST_MAX; i++) {
		char *frame = memory + 64;
		ssize_t bytes = from->is_parent ? receive(from->fd, &frame) : read(from->fd, frame, FRAME_BYTES_MAX);
		if (bytes < 0)
			return;
		if (bytes < VNET_BYTES + ETH_HLEN)
			continue;
		const char *target = frame + VNET_BYTES;
		const struct port *known = NULL;
		for (int to = 0; to < 2; to++)
			if (memcmp(ports[to].address, target, ETH_ALEN) == 0)
				known = &ports[to];
		/* What is nobody's leaves by the parent, or by the other TAP, and so does what is everybody's. */
		for (int to = 0; to < port_count; to++) {
			const struct port *other = &ports[to];
			int wanted = known ? known == other : target[0] & 1 || other->is_parent || port_count == 2;
			if (other != from && wanted)
				transmit(other, frame, bytes);
		}
	}
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 4 + TAGS_MAX) {
		fprintf(stderr, "usage: loop TAP1 TAP2 [PARENT [VID...]]\n");
		return 2;
	}
	struct pollfd polls[3];
	port_count = argc > 3 ? 3 : 2;
	for (int i = 0; i < port_count; i++)
		ports[i] = i < 2 ? open_tap(argv[i + 1]) : open_parent(argv[i + 1]);
	for (int i = 0; i < port_count; i++)
		polls[i] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
	for (int i = 4; i < argc; i++)
		tags[tag_count++] = (unsigned short)atoi(argv[i]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (poll(polls, (nfds_t)port_count, -1) < 0)
			fail("poll");
		for (int i = 0; i < port_count; i++)
			if (polls[i].revents & POLLIN)
				forward(&ports[i]);
	}
}
