/** The calls of Docker's plugin protocol by name: what each takes, and what it answers. */
import { VlaneError } from "../control/errors.js";
import type { Queue } from "../control/queue.js";
import { parseBody } from "../control/request/schema.js";
import type { Driver } from "./driver.js";
import * as ipam from "./ipamdriver.js";
import * as protocol from "./protocol.js";

/** Answers one call; `body` is the parsed JSON, undefined when there was none. @throws VlaneError, SysError */
export type Call = (body: unknown) => object | Promise<object>;

const EMPTY = {};

/** Every call, by the path it is sent to, without the slash. */
export function pluginCalls(driver: Driver, addresses: ipam.IpamDriver, queue: Queue): ReadonlyMap<string, Call> {
	/** A call that changes something. An empty body is an engine's second try after a broken connection. */
	const change =
		<T>(schema: Parameters<typeof parseBody<T>>[0], run: (request: T) => Promise<unknown>): Call =>
		async (body) => {
			if (body === undefined) throw new VlaneError("invalid", "the request has no body; try again");
			const request = parseBody(schema, body);
			return { ...((await queue.run(() => run(request))) ?? {}) };
		};
	/** A call that has nothing to do here, but a form to keep. */
	const acknowledge =
		(answer: object): Call =>
		(body) => {
			parseBody(protocol.aboutEndpoint, body);
			return answer;
		};
	const driverCalls: Record<string, Call> = {
		GetCapabilities: async () => {
			await queue.run(() => driver.greet());
			return { Scope: "local", ConnectivityScope: "global", GwAllocChecker: true };
		},
		// Where the user gives no gateway there is none, as with Docker's own macvlan driver.
		GwAllocCheck: () => ({ SkipIPv4: true, SkipIPv6: true }),
		CreateNetwork: change(protocol.createNetwork, (request) => driver.createNetwork(request)),
		DeleteNetwork: change(protocol.deleteNetwork, ({ NetworkID }) => driver.deleteNetwork(NetworkID)),
		CreateEndpoint: change(protocol.createEndpoint, (request) => driver.createEndpoint(request)),
		DeleteEndpoint: change(protocol.aboutEndpoint, ({ EndpointID }) => driver.deleteEndpoint(EndpointID)),
		Join: change(protocol.join, (request) => driver.join(request)),
		// The engine takes the interface out of the container after this, and asks for its end then.
		Leave: acknowledge(EMPTY),
		EndpointOperInfo: acknowledge({ Value: {} }),
		ProgramExternalConnectivity: acknowledge(EMPTY),
		RevokeExternalConnectivity: acknowledge(EMPTY),
		AllocateNetwork: () => {
			throw new VlaneError("invalid", "vlane networks belong to one host; leave out --scope swarm");
		},
		FreeNetwork: () => EMPTY,
		DiscoverNew: () => EMPTY,
		DiscoverDelete: () => EMPTY,
	};
	const ipamCalls: Record<string, Call> = {
		GetCapabilities: () => queue.run(() => addresses.capabilities()),
		GetDefaultAddressSpaces: () => addresses.addressSpaces(),
		RequestPool: change(ipam.requestPool, (request) => addresses.requestPool(request)),
		ReleasePool: change(ipam.releasePool, (request) => addresses.releasePool(request)),
		RequestAddress: change(ipam.requestAddress, (request) => addresses.requestAddress(request)),
		ReleaseAddress: change(ipam.releaseAddress, (request) => addresses.releaseAddress(request)),
	};
	return new Map<string, Call>([
		["Plugin.Activate", () => ({ Implements: ["NetworkDriver", "IpamDriver"] })],
		...Object.entries(ipamCalls).map(([name, call]): [string, Call] => [`IpamDriver.${name}`, call]),
		...Object.entries(driverCalls).map(([name, call]): [string, Call] => [`NetworkDriver.${name}`, call]),
	]);
}
