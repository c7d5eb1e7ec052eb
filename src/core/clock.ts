/** Wall-clock time in nanoseconds: the steady clock's resolution, with the wall clock's zero. */

/** The two clocks are compared anew so often: the wall clock may be set. */
const COMPARE_NS = 1_000_000_000n;
/** What Date.now rounds away, and a little more, is no news. */
const STEP_NS_MIN = 2_000_000n;

let offsetNs = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n - steadyClockNs();
let comparedNs = steadyClockNs();

function steadyClockNs(): bigint {
	return process.hrtime.bigint();
}

/** Nanoseconds since 1970-01-01 00:00 UTC. */
export function wallClockNs(): bigint {
	const nowNs = steadyClockNs();
	if (nowNs - comparedNs >= COMPARE_NS) {
		const foundNs = BigInt(Date.now()) * 1_000_000n - nowNs;
		const stepNs = foundNs - offsetNs;
		if (stepNs > STEP_NS_MIN || stepNs < -STEP_NS_MIN) offsetNs = foundNs;
		comparedNs = nowNs;
	}
	return nowNs + offsetNs;
}
