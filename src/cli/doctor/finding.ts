/** What `vlane doctor` finds out, one thing at a time, and how it says it. */
import { errnoName, SysError } from "../../sys/errno.js";

/** `skip`: could not be looked at, or was not asked for. */
export type Status = "ok" | "warn" | "fail" | "skip";

/** One thing that was looked at. The fields are those of `vlane doctor --json`. */
export interface Finding {
	status: Status;
	/** What was looked at: a word that stays the same from release to release. */
	check: string;
	/** What was found. */
	text: string;
	/** What follows from it for users of vlane; empty: nothing. */
	consequence: string;
	/** What to do about it, the command if there is one; empty: nothing. */
	remedy: string;
}

/** Makes the findings of one check. */
export class Check {
	constructor(readonly name: string) {}

	ok(text: string, consequence = "", remedy = ""): Finding {
		return this.#finding("ok", text, consequence, remedy);
	}

	warn(text: string, consequence: string, remedy: string): Finding {
		return this.#finding("warn", text, consequence, remedy);
	}

	fail(text: string, consequence: string, remedy: string): Finding {
		return this.#finding("fail", text, consequence, remedy);
	}

	skip(text: string, remedy: string): Finding {
		return this.#finding("skip", text, "", remedy);
	}

	#finding(status: Status, text: string, consequence: string, remedy: string): Finding {
		return { status, check: this.name, text, consequence, remedy };
	}
}

const STATUS_CHARACTERS = 4;
const CHECK_CHARACTERS = 14;

/** One line for people. */
export function lineOf({ status, check, text, consequence, remedy }: Finding): string {
	const sentence = [text, consequence, remedy].filter(Boolean).join("; ");
	return `${status.padEnd(STATUS_CHARACTERS)}  ${check.padEnd(CHECK_CHARACTERS)}  ${sentence}`;
}

/** The errno's name of a failed call. @throws whatever else it is */
export function errnoOf(error: unknown): string {
	if (error instanceof SysError) return errnoName(error.errno);
	const { code } = error as NodeJS.ErrnoException;
	if (typeof code === "string") return code;
	throw error;
}
