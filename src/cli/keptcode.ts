/**
 * What V8 has compiled of a script, kept for the next process: to read and compile it takes a fifth of a start.
 *
 * It lies in the directory that CACHE_DIRECTORY names (systemd.exec(5), CacheDirectory=); without one, nothing is kept.
 * V8 believes what it is given, if only version, flags and length are those of the script: whether it is all there, and
 * of this very script, is looked at here.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { constants, Script } from "node:vm";
import { crc32 } from "node:zlib";

/** Last line of a script: a digest of what is above. */
const DIGEST = /\/\/ ([0-9a-f]{64})\n$/;
/** Names of what is kept, and of what somebody has begun to. The directory may be others', too. */
const KEPT = /^[0-9a-f]{64}-v[\w.-]+\.code(\.\d+)?$/;
const SUM_BYTES = 4;
/** A start is over by then, and what has run in it is what the next one wants. */
const KEEP_MS = 2500;

/**
 * Runs a script in ASCII, which is one function with the parameters of a CommonJS module; answers what it exports.
 * @throws Error when it can not be read, is not such a script, or throws
 */
export function runKept<T>(path: string): T {
	const source = readFileSync(path, "latin1");
	const digest = DIGEST.exec(source.slice(-80))?.[1];
	if (digest === undefined) throw new Error(`${path} is not complete; build it with: npm run build`);
	const directory = process.env.CACHE_DIRECTORY;
	const kept = directory ? join(directory, `${digest}-${process.version}-${process.arch}.code`) : undefined;
	const cachedData = kept === undefined ? undefined : read(kept);
	const script = new Script(source, {
		filename: path,
		cachedData,
		importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
	});
	const module = { exports: {} as T };
	script.runInThisContext()(module.exports, createRequire(path), module, path, dirname(path));
	if (kept !== undefined && (!cachedData || script.cachedDataRejected)) setTimeout(keep, KEEP_MS, script, kept).unref();
	return module.exports;
}

/** Undefined: there is none, or not all of it. */
function read(kept: string): Buffer | undefined {
	try {
		const bytes = readFileSync(kept);
		const data = bytes.subarray(SUM_BYTES);
		return bytes.readUInt32LE(0) === crc32(data) ? data : undefined;
	} catch {
		return undefined;
	}
}

/** In place of what there is of other scripts and other versions. A start that finds nothing takes longer, no more. */
function keep(script: Script, kept: string): void {
	const directory = dirname(kept);
	const fresh = `${kept}.${process.pid}`;
	try {
		const data = script.createCachedData();
		const sum = Buffer.alloc(SUM_BYTES);
		sum.writeUInt32LE(crc32(data));
		for (const name of readdirSync(directory)) if (KEPT.test(name)) rmSync(join(directory, name));
		writeFileSync(fresh, Buffer.concat([sum, data]), { mode: 0o600 });
		renameSync(fresh, kept);
	} catch {
		rmSync(fresh, { force: true });
	}
}
