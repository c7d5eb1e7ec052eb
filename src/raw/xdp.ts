/**
 * The XDP program of a parent: which of its frames go to AF_XDP sockets, and never see the host's own stack.
 *
 *   frame --> longer than a socket takes? --------------------------------------> pass
 *         --> for a station of ours: (destination, outer VLAN tag)? --no--------> pass
 *         --> the AF_XDP socket of its receive queue, if there is one, else ----> pass
 *
 * A frame that is passed takes the way that it would take without the program: to the host's stack and to the raw
 * socket on the parent. So the program never decides who gets a frame. It is a shorter way for those that the host
 * does not want; group frames, which both want and XDP can not copy, pass.
 */
import { XSK_FRAME_BYTES_MAX } from "../../assembly/abi.js";
import { macBytes } from "../netlink/codec.js";
import { close } from "../sys/libc.js";
import * as bpf from "./bpf.js";
import { linkDriver } from "./linkdriver.js";
import { openXsk } from "./xsk.js";

/** Stations that a parent can have: more than there are ports. */
const STATIONS_MAX = 16384;
/** Addresses, ethertype and a tag: shorter frames pass. */
const HEADER_BYTES = 18;
const XDP_PASS = 2;
const BPF_MAP_LOOKUP = 1;
const BPF_REDIRECT_MAP = 51;
const TPID_STAG = 0x88a8;
/** Bit of the tag in a key that tells 802.1ad from 802.1Q. */
const KEY_STAG = 0x1000;
/** Largest MTU in bytes whose frames, with two tags, fit an AF_XDP socket. */
const MTU_BYTES_MAX = XSK_FRAME_BYTES_MAX - 14 - 8;
/** Receive queues that a parent may have: as many sockets as a core has memory for, if it is the only one. */
const QUEUES_MAX = 16;

/** A frame's outer tag. */
export interface OuterTag {
	tpid: number;
	vid: number;
}

/** What `attach` has to know of a link. */
export interface XdpLink {
	name: string;
	index: number;
	mtuBytes: number;
}

/** The program on a parent, with what it looks things up in. */
export class XdpProgram {
	private constructor(
		/** Receive queues, each of which wants a socket. */
		readonly queues: number,
		readonly fds: { stations: number; sockets: number; link: number },
	) {}

	/**
	 * Attaches the program to a link of this thread's namespace. Everything passes until there are sockets and stations.
	 * It ends with this process, however that ends.
	 * @throws SysError EOPNOTSUPP (no XDP in the driver), EBUSY (another program), EPERM...; Error with a remedy when the
	 * link has too many queues or too large frames, or takes tags out of frames
	 */
	static attach(link: XdpLink): XdpProgram {
		const queues = checkXdpLink(link);
		const { program, stations, sockets } = load(queues);
		try {
			return new XdpProgram(queues, { stations, sockets, link: bpf.attachXdp(program, link.index, link.name) });
		} catch (error) {
			for (const fd of [stations, sockets]) close(fd);
			throw error;
		} finally {
			close(program); // the link holds it
		}
	}

	/** What arrives through a queue goes to this AF_XDP socket, as far as the program says so. @throws SysError */
	setSocket(queue: number, fd: number): void {
		bpf.setSocket(this.fds.sockets, queue, fd);
	}

	/** Frames to this address with this outer tag (absent: with none) go to the sockets. @throws SysError */
	addStation(mac: string, tag?: OuterTag): void {
		bpf.addToSet(this.fds.stations, stationKey(mac, tag));
	}

	/** They pass again. @throws SysError */
	removeStation(mac: string, tag?: OuterTag): void {
		bpf.removeFromSet(this.fds.stations, stationKey(mac, tag));
	}

	/** Takes the program off the link; all frames pass. */
	close(): void {
		const { stations, sockets, link } = this.fds;
		for (const fd of [link, stations, sockets]) close(fd);
	}
}

/** Has the kernel check the program, without a link. @throws SysError why AF_XDP can not be used on this machine */
export function tryXdp(): void {
	close(openXsk());
	const { program, stations, sockets } = load(1);
	for (const fd of [program, stations, sockets]) close(fd);
}

/** The program, and the maps that it looks things up in. @throws SysError */
function load(queues: number): { program: number; stations: number; sockets: number } {
	const opened: number[] = [];
	const keep = (fd: number) => {
		opened.push(fd);
		return fd;
	};
	try {
		const stations = keep(bpf.createSet(STATIONS_MAX));
		const sockets = keep(bpf.createSocketMap(queues));
		return { stations, sockets, program: bpf.loadXdp(instructions(stations, sockets)) };
	} catch (error) {
		for (const fd of opened) close(fd);
		throw error;
	}
}

/** Answers the number of receive queues. @throws Error, see `attach`: what a link can become afterwards, too */
export function checkXdpLink({ name, mtuBytes }: XdpLink): number {
	if (mtuBytes > MTU_BYTES_MAX) throw new Error(`${name} has MTU ${mtuBytes}; AF_XDP works up to ${MTU_BYTES_MAX}`);
	const { rxVlan, rxQueues } = linkDriver(name);
	// A tag that the card has taken out of a frame is not told to AF_XDP: the frame would be in another VLAN.
	if (rxVlan) {
		const remedy = `turn that off: ethtool -K ${name} rxvlan off`;
		throw new Error(`${name} takes VLAN tags out of frames before AF_XDP sees them; ${remedy}`);
	}
	if (rxQueues > QUEUES_MAX) {
		const remedy = `at most ${QUEUES_MAX} work: ethtool -L ${name} combined ${QUEUES_MAX}`;
		throw new Error(`${name} has ${rxQueues} receive queues; ${remedy}`);
	}
	return rxQueues;
}

/** As the program makes it of a frame: the six bytes of the address, then VID and KEY_STAG, little endian. */
function stationKey(mac: string, tag?: OuterTag): Buffer {
	const key = Buffer.alloc(8);
	macBytes(mac).copy(key);
	key.writeUInt16LE(tag ? tag.vid | (tag.tpid === TPID_STAG ? KEY_STAG : 0) : 0, 6);
	return key;
}

/** A 16-bit field of a frame as a little-endian load reads it. */
const swapped = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** struct xdp_md: u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index. */
function instructions(stationsFd: number, socketsFd: number): Buffer {
	return bpf.assemble([
		{ code: bpf.MOVE, to: 6, from: 1 },
		{ code: bpf.LOAD_U32, to: 2, from: 1, offset: 0 },
		{ code: bpf.LOAD_U32, to: 3, from: 1, offset: 4 },
		{ code: bpf.MOVE, to: 4, from: 2 },
		{ code: bpf.ADD, to: 4, value: HEADER_BYTES },
		{ code: bpf.JUMP_IF_ABOVE, to: 4, from: 3, target: "pass" },
		{ code: bpf.MOVE, to: 4, from: 2 },
		{ code: bpf.ADD, to: 4, value: XSK_FRAME_BYTES_MAX + 1 },
		{ code: bpf.JUMP_IF_NOT_ABOVE, to: 4, from: 3, target: "pass" },
		// The key, in register 7: the address, and the tag if there is one.
		{ code: bpf.LOAD_U32, to: 7, from: 2, offset: 0 },
		{ code: bpf.LOAD_U16, to: 4, from: 2, offset: 4 },
		{ code: bpf.SHIFT_LEFT, to: 4, value: 32 },
		{ code: bpf.OR, to: 7, from: 4 },
		{ code: bpf.LOAD_U16, to: 4, from: 2, offset: 12 },
		{ code: bpf.SET, to: 8, value: 0 },
		{ code: bpf.JUMP_IF_VALUE, to: 4, value: swapped(0x8100), target: "tag" },
		{ code: bpf.SET, to: 8, value: KEY_STAG },
		{ code: bpf.JUMP_IF_VALUE, to: 4, value: swapped(TPID_STAG), target: "tag" },
		{ code: bpf.JUMP, target: "look up" },
		{ code: bpf.LOAD_U16, to: 4, from: 2, offset: 14, label: "tag" },
		{ code: bpf.TO_BIG_ENDIAN, to: 4, value: 16 },
		{ code: bpf.AND, to: 4, value: 0xfff },
		{ code: bpf.OR, to: 8, from: 4 },
		{ code: bpf.SHIFT_LEFT, to: 8, value: 48 },
		{ code: bpf.OR, to: 7, from: 8 },
		{ code: bpf.STORE_U64, to: 10, from: 7, offset: -8, label: "look up" },
		{ code: bpf.MOVE, to: 2, from: 10 },
		{ code: bpf.ADD, to: 2, value: -8 },
		{ code: bpf.LOAD_MAP, to: 1, value: stationsFd },
		{ code: bpf.CALL, value: BPF_MAP_LOOKUP },
		{ code: bpf.JUMP_IF_VALUE, to: 0, value: 0, target: "pass" },
		{ code: bpf.LOAD_U32, to: 2, from: 6, offset: 16 },
		{ code: bpf.LOAD_MAP, to: 1, value: socketsFd },
		{ code: bpf.SET, to: 3, value: XDP_PASS }, // without a socket for the queue
		{ code: bpf.CALL, value: BPF_REDIRECT_MAP },
		{ code: bpf.EXIT },
		{ code: bpf.SET, to: 0, value: XDP_PASS, label: "pass" },
		{ code: bpf.EXIT },
	]);
}
