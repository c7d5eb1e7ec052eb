/** What the control plane says to the operator: levels, and the shape of a logger (the daemon brings the real one). */

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields are printed as `key=value` behind the message. */
export type LogFields = Record<string, string | number | boolean>;

export type Log = Record<LogLevel, (message: string, fields?: LogFields) => void>;

/** The one line of an error that people get to see. */
export function messageOf(error: unknown): string {
	return error instanceof Error ? error.message : String(error);
}
