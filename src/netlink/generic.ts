/**
 * What generic netlink says about a link (Documentation/userspace-api/netlink/intro.rst): its driver's XDP features
 * (family netdev, Linux 6.3), and whether it is wireless (family nl80211).
 */
import { type Attributes, decodeAttributes, NLM_F_ACK, text, u32 } from "./codec.js";
import { NetlinkSocket } from "./socket.js";

const NETLINK_GENERIC = 16;
/** struct genlmsghdr: u8 command, u8 version, u16 reserved. */
const GENLMSGHDR_BYTES = 4;
const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

// include/uapi/linux/netdev.h
const NETDEV_CMD_DEV_GET = 1;
const NETDEV_A_DEV_IFINDEX = 1;
const NETDEV_A_DEV_XDP_FEATURES = 3;
const XDP_FEATURES: Record<string, bigint> = {
	basic: 1n,
	redirect: 2n,
	"ndo-xmit": 4n,
	"zero-copy": 8n,
};

// include/uapi/linux/nl80211.h
const NL80211_CMD_GET_INTERFACE = 5;
const NL80211_ATTR_IFINDEX = 3;
const NL80211_ATTR_IFTYPE = 5;
const NL80211_ATTR_4ADDR = 83;
const NL80211_IFTYPE_STATION = 2;

/** Client of the network namespace that the thread is in when it is constructed. */
export class GenericNetlink {
	readonly #socket = new NetlinkSocket(NETLINK_GENERIC);

	close(): void {
		this.#socket.close();
	}

	/** Names of what the link's driver does for XDP by itself; undefined when the kernel does not tell. */
	xdpFeatures(index: number): string[] | undefined {
		const bits = this.#ask("netdev", NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, index)
			?.get(NETDEV_A_DEV_XDP_FEATURES)
			?.readBigUInt64LE();
		return bits === undefined
			? undefined
			: Object.keys(XDP_FEATURES).filter((name) => bits & (XDP_FEATURES[name] ?? 0n));
	}

	/** Whether the link is a wireless station that can only send from its own address (no 4-address frames). */
	isWirelessStation(index: number): boolean {
		const about = this.#ask("nl80211", NL80211_CMD_GET_INTERFACE, NL80211_ATTR_IFINDEX, index);
		if (about?.get(NL80211_ATTR_IFTYPE)?.readUInt32LE() !== NL80211_IFTYPE_STATION) return false;
		return about.get(NL80211_ATTR_4ADDR)?.[0] !== 1;
	}

	#ask(family: string, command: number, attribute: number, index: number): Attributes | undefined {
		const id = this.#request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, text(family))
			?.get(CTRL_ATTR_FAMILY_ID)
			?.readUInt16LE();
		return id === undefined ? undefined : this.#request(id, command, attribute, u32(index));
	}

	#request(type: number, command: number, attribute: number, value: Buffer): Attributes | undefined {
		const header = Buffer.of(command, 1, 0, 0);
		const { messages } = this.#socket.exchange(type, NLM_F_ACK, { header, attributes: [[attribute, value]] });
		const [answer] = messages;
		return answer && decodeAttributes(answer.payload.subarray(GENLMSGHDR_BYTES));
	}
}
