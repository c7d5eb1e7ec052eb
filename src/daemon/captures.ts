/** `GET /capture`: finds the ports that are meant, and sends what passes them as pcapng. */
import type { Writable } from "node:stream";
import { compileFilter, type Filter, FilterError } from "../capture/filter.js";
import type { CapturedPort, CaptureSink, Hub } from "../capture/hub.js";
import type { Containers } from "../control/containers.js";
import { VlaneError } from "../control/errors.js";
import type { View } from "../control/fabric/view.js";
import type { Networks } from "../control/networks.js";
import type { NetworkRecord } from "../control/types.js";
import { CAPTURED_BYTES_MAX } from "../pcap/format.js";
import { isErrno } from "../sys/errno.js";
import { SOL_SOCKET, setsockopt } from "../sys/libc.js";
import { Download } from "./download.js";

/** A reader may be so far behind, in bytes, before frames are lost. */
const BEHIND_BYTES_MAX = 64 << 20;
/**
 * What the kernel holds for a reader. With its default of 208 KiB, daemon and reader take turns a thousand times a
 * second at 1 Gb/s, which a busy machine does not grant them.
 */
const SOCKET_BYTES = 8 << 20;
const SO_SNDBUF = 7;
const SO_SNDBUFFORCE = 32;
const SNAP_BYTES_MIN = 64;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;
const SECONDS_MAX = 86_400;
/** How long a reader has for what was written, at the end. */
const FLUSH_MS_MAX = 1000;

export const CAPTURE_TYPE = "application/x-pcapng";
/** Its number, for `DELETE /captures/{number}`. */
export const CAPTURE_HEADER = "Capture-Id";

const TPIDS = [0x8100, 0x88a8];

/** What captures need to find their ports. */
export interface CaptureServices {
	hub: Hub;
	view: View;
	networks: Networks;
	containers: Containers;
	/** `vlane 0.1.0`. */
	application: string;
}

/**
 * @param query `of` (port, network or container), and optionally `filter`, `snaplen`, `count`, `seconds`
 * @throws VlaneError notFound, invalid
 */
export function startCapture(services: CaptureServices, query: URLSearchParams): Download {
	const { hub, application } = services;
	const select = selectorOf(services, query.get("of") ?? "");
	const order = {
		...{ select, application, filter: filterOf(query.get("filter") ?? ""), filterText: query.get("filter") ?? "" },
		snapBytes: numberOf(query, "snaplen", SNAP_BYTES_MIN, CAPTURED_BYTES_MAX) ?? CAPTURED_BYTES_MAX,
		countMax: numberOf(query, "count", 1, COUNT_MAX),
		secondsMax: numberOf(query, "seconds", 1, SECONDS_MAX),
	};
	const id = hub.newId();
	return new Download(CAPTURE_TYPE, { [CAPTURE_HEADER]: String(id) }, (target) => {
		enlargeBuffer(target);
		hub.open(id, order, sinkOf(target));
		target.once("close", () => hub.end(id));
		target.on("error", () => hub.end(id));
	});
}

function enlargeBuffer(target: Writable): void {
	// Node has no name for the descriptor of a connection.
	const { socket } = target as { socket?: { _handle?: { fd?: number } } };
	const fd = socket?._handle?.fd ?? -1;
	if (fd < 0) return;
	try {
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES, "SO_SNDBUFFORCE", "capture");
	} catch (error) {
		if (!isErrno(error, "EPERM")) throw error;
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BYTES, "SO_SNDBUF", "capture");
	}
}

function sinkOf(target: Writable): CaptureSink {
	return {
		write: (blocks, taken) => {
			if (!target.destroyed) target.write(blocks, taken);
		},
		isBehind: () => target.writableLength > BEHIND_BYTES_MAX,
		end: () =>
			new Promise((done) => {
				if (target.destroyed || target.writableEnded) return done();
				setTimeout(done, FLUSH_MS_MAX).unref();
				target.once("close", done);
				target.end(done);
			}),
	};
}

function filterOf(text: string): Filter {
	try {
		return compileFilter(text);
	} catch (error) {
		if (error instanceof FilterError) throw new VlaneError("invalid", error.message);
		throw error;
	}
}

function numberOf(query: URLSearchParams, key: string, min: number, max: number): number | undefined {
	const text = query.get(key);
	if (text === null) return undefined;
	const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
	if (number >= min && number <= max) return number;
	throw new VlaneError("invalid", `invalid ${key} ${JSON.stringify(text)}: a number from ${min} to ${max} is needed`);
}

/** A port by name or number, else a network, else a container. What comes later under the same name is meant, too. */
function selectorOf({ view, networks, containers }: CaptureServices, reference: string): () => CapturedPort[] {
	const port = view.ports().find(({ name, port: number }) => name === reference || String(number) === reference);
	if (port) return () => portsWhere(view, ({ name }) => name === port.name);
	const network = found(() => networks.find(reference));
	if (network) return () => portsOfNetwork(view, network);
	const container = found(() => containers.find(reference));
	if (container) {
		return () => portsWhere(view, ({ kind, name }) => kind === "endpoint" && name.endsWith(`/${container.name}`));
	}
	throw new VlaneError("notFound", `No such port, network or container: ${reference}`);
}

function found<T>(find: () => T): T | undefined {
	try {
		return find();
	} catch (error) {
		if (error instanceof VlaneError && error.kind === "notFound") return undefined;
		throw error;
	}
}

function portsWhere(view: View, isMeant: (port: ReturnType<View["ports"]>[number]) => boolean): CapturedPort[] {
	return view
		.ports()
		.filter(isMeant)
		.map((port) => ({ port: port.port, name: port.name, description: port.kind }));
}

/** Its endpoints, the host's interface, and of its uplink what wears its tags. */
function portsOfNetwork(view: View, network: NetworkRecord): CapturedPort[] {
	const ports = portsWhere(view, ({ kind, networks }) => kind !== "uplink" && networks.includes(network.name));
	for (const { networks, raised, parent } of view.viewed.fabric.segments()) {
		if (!networks.has(network.id) || !raised?.uplink) continue;
		const { port, link } = raised.uplink;
		const tags = parent?.vlans ?? [];
		ports.push({ port: port.number, name: link, description: "uplink", accepts: (bytes) => wears(bytes, tags) });
	}
	return ports;
}

/** Whether a frame's outer tags are these; without any it must have none, or a priority tag. */
function wears(bytes: Uint8Array, tags: { tpid: number; vid: number }[]): boolean {
	const u16 = (at: number) => ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
	if (tags.length === 0) return !TPIDS.includes(u16(12)) || (u16(14) & 0xfff) === 0;
	return tags.every(({ tpid, vid }, depth) => u16(12 + 4 * depth) === tpid && (u16(14 + 4 * depth) & 0xfff) === vid);
}
