/** What the demo prints: the commands as typed, their output, and at the end the table of what held. */
import Table from "cli-table3";
import type { Outcome } from "./stage.js";

const hasColour = process.stdout.isTTY && !process.env.NO_COLOR;

function styled(text: string, code: number): string {
	return hasColour ? `\u001b[${code}m${text}\u001b[0m` : text;
}

interface Finding {
	statement: string;
	held: boolean;
	detail: string;
}

/** Collects findings; every one that does not hold makes the demo fail. */
export class Report {
	readonly #findings: Finding[] = [];

	heading(text: string): void {
		console.log(`\n${styled(`== ${text}`, 1)}`);
	}

	note(text: string): void {
		console.log(styled(`# ${text}`, 2));
	}

	/** Shows a command with its output, indented. */
	command(words: string[], { stdout, stderr }: Outcome): void {
		console.log(`$ ${words.map(quoted).join(" ")}`);
		const output = `${stdout}${stderr}`.trimEnd();
		if (output !== "") console.log(output.replace(/^/gm, "  "));
	}

	check(statement: string, held: boolean, detail = ""): void {
		this.#findings.push({ statement, held, detail });
		if (!held) console.log(styled(`! does not hold: ${statement} ${detail}`, 31));
	}

	/** Prints the table; answers whether everything held. */
	close(elapsedMs: number): boolean {
		const table = new Table({ head: ["", "statement", "seen"], style: { head: [], border: [], compact: true } });
		for (const { statement, held, detail } of this.#findings) table.push([held ? "ok" : "NO", statement, detail]);
		const failed = this.#findings.filter(({ held }) => !held).length;
		console.log(`\n${table.toString()}`);
		const held = this.#findings.length - failed;
		console.log(`${held} of ${this.#findings.length} held, ${(elapsedMs / 1000).toFixed(1)} s, nothing left behind`);
		return failed === 0;
	}
}

/** As a user would have to type it. */
function quoted(word: string): string {
	return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
