/** Devices of ours on the switch: given to it, and kept in step with their parent; and what source mode lets in. */
import type { Segment as Domain, FdPortOptions, Switch } from "../../lib/index.js";
import type { Rtnetlink } from "../../netlink/rtnetlink.js";
import { close } from "../../sys/libc.js";
import { VlaneError } from "../errors.js";
import { type Log, messageOf } from "../log.js";
import { adjustDevice, closeOnError, openHostInterface, passCarrier } from "../namespace/interface.js";
import type { Heritage } from "./heritage.js";
import { type Joined, type OpenPort, type Segment, segmentCarrier, segmentMtuBytes } from "./segment.js";

/** A port of ours: its device has an address and an MTU, and it is in a segment. */
export type Device = Omit<FdPortOptions, "type"> & Required<Pick<FdPortOptions, "mac" | "mtuBytes" | "segment">>;

/**
 * Gives a device to the switch, which owns `fd` once it has taken it; it is closed when that fails.
 * @throws SysError, Error of the switch
 */
export async function openPort(datapath: Switch, device: Device, carrier: boolean): Promise<OpenPort> {
	const { fd, mtuBytes } = device;
	try {
		passCarrier(fd, carrier);
		return { fd, port: await datapath.addPort({ type: "fd", ...device }), mtuBytes, carrier };
	} catch (error) {
		close(fd);
		throw error;
	}
}

/** Opens the host's own interface on a raised segment that is to have one. @throws SysError, Error of the switch */
export function openHostPort(
	datapath: Switch,
	netlink: Rtnetlink,
	segment: Segment,
	heritage: Heritage,
): Promise<OpenPort> {
	const { raised, hostIfname: name = "", persistent: persist } = segment;
	const [mac, mtuBytes] = [raised?.uplink?.mac ?? "", segmentMtuBytes(segment)];
	const inherited = heritage.take(`host ${name}`);
	const fd = inherited?.fd ?? openHostInterface(netlink, { ifname: name, mac, mtuBytes, persist });
	if (inherited) closeOnError(fd, () => adjustDevice(fd, { mac, mtuBytes }));
	const device = { fd, name, mac, mtuBytes, segment: raised?.domain as Domain, host: true };
	return openPort(datapath, device, segmentCarrier(segment));
}

/** Passes MTU and carrier of the parent on to a device. One that does not take them is said, and stays as it is. */
export async function adaptPort(open: OpenPort, mtuBytes: number, carrier: boolean, log: Log): Promise<void> {
	try {
		if (carrier !== open.carrier) passCarrier(open.fd, carrier);
		if (mtuBytes !== open.mtuBytes) {
			adjustDevice(open.fd, { mtuBytes });
			await open.port.setMtu(mtuBytes);
		}
		Object.assign(open, { mtuBytes, carrier });
	} catch (error) {
		log.warn("interface does not follow its parent", { error: messageOf(error) });
	}
}

/**
 * Lets a network in source mode receive from its sources, once its segment is raised.
 * @throws VlaneError conflict when another network on the segment receives from one of them
 */
export async function allowSources({ network, options, segment }: Joined): Promise<void> {
	for (const { network: other, options: theirs } of segment.networks.values()) {
		const taken = other === network ? undefined : options.sources.find((mac) => theirs.sources.includes(mac));
		if (taken) throw new VlaneError("conflict", `network ${other.name} receives from source ${taken} already`);
	}
	if (!segment.raised) return;
	for (const mac of options.sources) await segment.raised.domain.allowSource(mac, network.number);
}

/** Takes back what `allowSources` did. */
export async function disallowSources({ options, segment }: Joined): Promise<void> {
	if (!segment.raised) return;
	for (const mac of options.sources) await segment.raised.domain.disallowSource(mac);
}
