/** What vlane wants to be beside the others, and the least that it has to be. */
import type { Results } from "./samples.js";

interface Target {
	case: string;
	/** Keys that all have to reach it. */
	keys: string[];
	what: string;
	peer: string;
	goal: number;
	/** The least; absent when only the goal is of interest. */
	floor?: number;
	/** Smaller is better. */
	isCost?: boolean;
}

interface Limit {
	case: string;
	key: string;
	what: string;
	most: number;
}

const frames = { case: "frames", keys: ["pairFps"], what: "64-byte frames between containers" };
const tcp = { case: "tcp", keys: ["tcpGbps"], what: "TCP between containers" };
const parentFrames = { case: "lan", keys: ["upFps", "downFps"], what: "64-byte frames through the parent" };
const parentTcp = { case: "tagged", keys: ["tcpUpGbps", "tcpDownGbps"], what: "TCP through the parent, tagged" };
const ping = { case: "ping", keys: ["pingP50Us", "pingP99Us"], what: "round trip", isCost: true };

/** Ratios of vlane to a peer of the same round. */
const TARGETS: Target[] = [
	{ ...frames, peer: "ovs-tso", goal: 2.0, floor: 1.4 },
	{ ...tcp, peer: "ovs-tso", goal: 1.25, floor: 1.0 },
	{ ...parentFrames, peer: "ovs-tso", goal: 2.0, floor: 1.3 },
	{ ...parentTcp, peer: "ovs-tso", goal: 1.2, floor: 0.9 },
	{ ...ping, peer: "ovs-tso", goal: 1.0 },
	{ ...frames, peer: "vde", goal: 2.5, floor: 1.5 },
	{ ...tcp, peer: "vde", goal: 12, floor: 8 },
	{ ...ping, peer: "vde", goal: 1.0 },
	{ ...frames, peer: "macvlan", goal: 0.75, floor: 0.5 },
	{ ...tcp, peer: "macvlan", goal: 1.0, floor: 0.75 },
	{ ...parentFrames, peer: "macvlan", goal: 0.75 },
	{ ...parentTcp, peer: "macvlan", goal: 0.9 },
	{ ...frames, peer: "c-loop", goal: 1.5 },
	{ ...tcp, peer: "c-loop", goal: 1.1 },
	{
		case: "udp",
		keys: ["datagramsPerSecond"],
		what: "small UDP datagrams between containers",
		peer: "macvlan",
		goal: 1.0,
		floor: 0.6,
	},
];

/** Values of vlane itself. */
const LIMITS: Limit[] = [
	{ case: "idle", key: "wakeupsPerSecond", what: "wake-ups per second without traffic", most: 0 },
	{ case: "ports-16", key: "residentMiB", what: "MiB resident with 16 containers", most: 80 },
	{ case: "ports-1000", key: "residentMiB", what: "MiB resident with 1,000 containers", most: 160 },
];

/** Cost of a frame with the most containers, in units of that with two. */
const FLAT = { few: "ports-2", many: ["ports-16", "ports-100", "ports-1000"], key: "pairCpuUs", most: 1.15 };

const OURS = "vlane";

/** What was judged. */
export interface Verdict {
	text: string;
	reachesGoal: boolean;
	/** True where there is no floor. */
	reachesFloor: boolean;
}

function judgeTarget(results: Results, target: Target, key: string): Verdict[] {
	const { isCost = false, peer, goal, floor, what } = target;
	const value = results.ratio(target.case, key, OURS, peer)?.median;
	if (value === undefined) return [];
	const reaches = (bound: number) => (isCost ? value <= bound : value >= bound);
	const floorText = floor === undefined ? "" : `, floor ${floor}`;
	return [
		{
			text: `${what} (${key}): ${value.toFixed(2)} x ${peer}; goal ${isCost ? "at most " : ""}${goal}${floorText}`,
			reachesGoal: reaches(goal),
			reachesFloor: floor === undefined || reaches(floor),
		},
	];
}

function judgeLimit(what: string, value: number | undefined, most: number): Verdict[] {
	if (value === undefined) return [];
	const isReached = value <= most;
	return [{ text: `${what}: ${value.toFixed(2)}; at most ${most}`, reachesGoal: isReached, reachesFloor: isReached }];
}

/** Judges what was measured; what was not is left out. */
export function judge(results: Results): Verdict[] {
	return [
		...TARGETS.flatMap((target) => target.keys.flatMap((key) => judgeTarget(results, target, key))),
		...LIMITS.flatMap(({ case: name, key, what, most }) =>
			judgeLimit(what, results.summary(name, OURS, key)?.median, most),
		),
		...FLAT.many.flatMap((name) => {
			const ratio = results.ratio(name, FLAT.key, OURS, OURS, FLAT.few);
			return judgeLimit(`cost of a frame, ${name} / ${FLAT.few}`, ratio?.median, FLAT.most);
		}),
	];
}
