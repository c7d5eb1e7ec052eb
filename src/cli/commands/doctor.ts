/** `vlane doctor`. */
import { isIPv4 } from "node:net";
import { readVersion } from "../../daemon/version.js";
import { type Finding, lineOf } from "../doctor/finding.js";
import { checkKernel } from "../doctor/kernel.js";
import { checkParent } from "../doctor/parent.js";
import { probe, probeSkipped } from "../doctor/probe.js";
import { checkProcess } from "../doctor/process.js";
import { EXIT_FAILED, UsageError } from "../errors.js";
import { printLine } from "../output.js";
import type { Invocation } from "../table/spec.js";

/** Prints a line for each thing that was looked at; the exit code is 1 when one of them is wrong. */
export async function run({ args, flags, host }: Invocation): Promise<number> {
	const [parent] = args;
	const target = flags.string("probe");
	if (target !== undefined && parent === undefined) throw new UsageError('"--probe" needs a PARENT to send from');
	if (target !== undefined && !isIPv4(target))
		throw new UsageError(`invalid argument "${target}" for "--probe" flag: expected an IPv4 address`);
	const findings = [
		...checkKernel(),
		...(await checkProcess(host, flags.string("state-dir"), readVersion())),
		...(parent === undefined ? [] : await aboutParent(parent, target)),
	];
	const hasFailed = findings.some(({ status }) => status === "fail");
	if (flags.bool("json")) printLine(JSON.stringify({ ok: !hasFailed, parent: parent ?? null, findings }, undefined, 4));
	else for (const finding of findings) printLine(lineOf(finding));
	return hasFailed ? EXIT_FAILED : 0;
}

async function aboutParent(name: string, target: string | undefined): Promise<Finding[]> {
	const { findings, found } = checkParent(name);
	if (!found) return findings;
	return [...findings, ...(target === undefined ? probeSkipped(found, name) : await probe(found, target))];
}
