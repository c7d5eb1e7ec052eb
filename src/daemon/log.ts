/** The daemon's log: one plain line per event on stderr, `time level message key=value`. */
import { writeSync } from "node:fs";
import { LOG_LEVELS, type Log, type LogFields, type LogLevel } from "../control/log.js";

const STDERR = 2;

/** A logger that drops what is less severe than `threshold`. */
export function createLog(threshold: LogLevel): Log {
	const lowest = LOG_LEVELS.indexOf(threshold);
	const at =
		(level: LogLevel) =>
		(message: string, fields: LogFields = {}) => {
			if (LOG_LEVELS.indexOf(level) < lowest) return;
			const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${quote(String(value))}`);
			writeLine(`${new Date().toISOString()} ${level} ${message.replace(/\s*\n\s*/g, "; ")}${pairs.join("")}`);
		};
	return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Writes at once, so that nothing is lost when the process ends; a reader that has gone away is no reason to end. */
function writeLine(line: string): void {
	try {
		writeSync(STDERR, `${line}\n`);
	} catch {
		// Nobody is left to be told.
	}
}

function quote(value: string): string {
	return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}
