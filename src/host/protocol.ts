/** Messages between the main thread and the datapath's thread. */
import type { MessagePort } from "node:worker_threads";
import type { RingKind } from "./ring.js";
import type { PortSpec, SegmentSpec, XskSpec } from "./types.js";

/** What the worker is started with. */
export interface WorkerSetup {
	module: WebAssembly.Module;
	memory: WebAssembly.Memory;
	mode: "auto" | RingKind;
	/** Put neighbours of a flow together. */
	coalesce: boolean;
	/** Written by the main thread after each message and to stop. */
	eventFd: number;
	/** Nothing is read from the ports before `release`. */
	held: boolean;
	/** [0] becomes STOP or SUSPEND when the worker shall return. */
	stop: Int32Array;
	port: MessagePort;
	/** What there is already, when a thread takes over from one that has died. */
	revive?: { fixtures: Fixture[]; previous: WebAssembly.Memory };
}

/** The worker closes its descriptors and returns. */
export const STOP = 1;
/** It returns once nothing is under way in it, and leaves the descriptors open. */
export const SUSPEND = 2;

/** What a request has made, in the order of the requests. */
export type Fixture =
	| { op: "addPort"; number: number; spec: PortSpec }
	| { op: "addSegment"; number: number; spec: SegmentSpec }
	| { op: "allowSource"; segment: number; network: number; mac: string };

export type Operation =
	| { op: "addPort"; spec: PortSpec }
	| { op: "removePort"; port: number }
	/** Answers a number for `removePort`. It ends with the thread. */
	| { op: "addXsk"; spec: XskSpec }
	| { op: "setMtu"; port: number; mtuBytes: number }
	| { op: "release" }
	/** Does nothing but answer. */
	| { op: "answer" }
	| { op: "addSegment"; spec: SegmentSpec }
	| { op: "removeSegment"; segment: number }
	| { op: "allowSource"; segment: number; network: number; mac: string }
	| { op: "disallowSource"; segment: number; mac: string };

export type Request = Operation & { id: number };

export type Reply =
	/** `ringFd`: the ring's descriptor, -1 when it has none. */
	| { ready: RingKind; ringFd: number }
	| { id: number; value: number }
	| { id: number; error: string }
	| { failed: number; errno: number }
	/** Nothing is under way any more: what SUSPEND asks for. The thread is about to end. */
	| { suspended: true };
