/**
 * Manual pages in roff (man(7)), made from the command table: one for vlane, one for each command.
 */

import type { FlagSpec } from "./flags.js";
import { flagSyntax, usageLine } from "./help.js";
import { type CommandSpec, DEFAULT_PLUGIN_DIR, DEFAULT_SOCKET } from "./table/spec.js";
import { COMMANDS, GLOBAL_FLAGS, GROUPS } from "./table.js";

const ABOUT = "Docker-style macvlan and 802.1Q networks in userspace";

/** All pages by file name. @param version the package's */
export function manPages(version: string): Map<string, string> {
	const pages = new Map([["vlane.1", rootPage(version)]]);
	for (const spec of COMMANDS) pages.set(`${pageName(spec.path)}.1`, commandPage(spec, version));
	return pages;
}

function pageName(path: string): string {
	return `vlane-${path.replaceAll(" ", "-")}`;
}

function rootPage(version: string): string {
	const summaries = COMMANDS.map(({ path, summary }) =>
		item(`vlane ${path}`, `${summary}.`, `See ${reference(path)}.`),
	);
	return page("vlane", version, [
		section("NAME", `vlane \\- ${plain(ABOUT)}`),
		section("SYNOPSIS", bold("vlane [OPTIONS] COMMAND")),
		section(
			"DESCRIPTION",
			plain(
				"vlane gives processes network interfaces of their own on the LAN of a parent interface, untagged or on a " +
					"VLAN of it, without the kernel's macvlan, ipvlan, 8021q or bridge modules. A daemon forwards the frames; the commands ask it.",
			),
		),
		section("COMMANDS", summaries.join("\n")),
		section("OPTIONS", flagItems(GLOBAL_FLAGS)),
		section(
			"ENVIRONMENT",
			[
				item("VLANE_HOST", `Where the daemon listens, unix:///PATH. Default: unix://${DEFAULT_SOCKET}.`),
				item(
					"CACHE_DIRECTORY",
					"Where the daemon keeps its compiled code, which shortens its next start by a fifth; for the daemon's " +
						"owner only. systemd sets it. Default: it is not kept.",
				),
			].join("\n"),
		),
		section(
			"FILES",
			[
				item(DEFAULT_SOCKET, "The daemon's socket."),
				item("/var/lib/vlane", "Networks, endpoints, containers and their logs."),
				item("/var/cache/vlane", "The daemon's compiled code, below systemd; it can be removed at any time."),
				item(`${DEFAULT_PLUGIN_DIR}/vlane.sock`, "Where the daemon serves Docker Engine."),
			].join("\n"),
		),
		section(
			"EXIT STATUS",
			[
				item("0", "The command did what it was asked to do."),
				item("1", "It failed; one line on standard error says why."),
				item("2", "The command line could not be understood."),
				item("130", "It was interrupted from the keyboard."),
			].join("\n"),
		),
		section("SEE ALSO", [...COMMANDS.map(({ path }) => reference(path)), reference("", "ip", 8)].join(",\n")),
	]);
}

function commandPage(spec: CommandSpec, version: string): string {
	const stem = `vlane ${spec.path}`.replace(/[^ ]+$/, "");
	const aliases = (spec.aliases ?? []).map((alias) => bold(stem + alias)).join(", ");
	const siblings = COMMANDS.filter(({ path }) => path.includes(" ") && path.split(" ")[0] === spec.path.split(" ")[0]);
	const related = siblings.filter(({ path }) => path !== spec.path).map(({ path }) => reference(path));
	const group = GROUPS[spec.path.split(" ")[0] ?? ""];
	return page(pageName(spec.path), version, [
		section("NAME", `${plain(pageName(spec.path))} \\- ${plain(spec.summary)}`),
		section("SYNOPSIS", bold(usageLine(spec))),
		section("DESCRIPTION", plain(`${spec.summary}.`) + (group ? `\n${plain(`Part of: ${group}.`)}` : "")),
		aliases && section("ALIASES", aliases),
		section("OPTIONS", flagItems([...spec.flags, { name: "help", type: "bool", help: "Print usage" }])),
		spec.failsBeforeCommand && section("EXIT STATUS", EXITS_OF_COMMAND),
		section("SEE ALSO", [reference(""), ...related].join(",\n")),
	]);
}

function page(name: string, version: string, sections: (string | false | undefined)[]): string {
	const head = `.TH "${name.toUpperCase()}" "1" "" "vlane ${version}" "vlane"\n.nh\n.ad l\n`;
	return head + sections.filter(Boolean).join("");
}

function section(title: string, body: string): string {
	return `.SH "${title}"\n${body}\n`;
}

/** A term and what it means; `roff` behind it is taken as it is. */
function item(term: string, text: string, roff = ""): string {
	return `.TP\n${bold(term)}\n${plain(text)}${roff && `\n${roff}`}`;
}

function flagItems(flags: readonly FlagSpec[]): string {
	return flags.map((flag) => item(flagSyntax(flag), `${flag.help}.`)).join("\n");
}

const EXITS_OF_COMMAND = [
	item("125", "vlane itself failed before COMMAND was started."),
	item("126", "COMMAND exists and can not be executed."),
	item("127", "COMMAND does not exist."),
	item("other", "What COMMAND has ended with."),
].join("\n");

/** `vlane-run(1)`; with a name, another's page. */
function reference(path: string, name = path === "" ? "vlane" : pageName(path), number = 1): string {
	return `${bold(name)}(${number})`;
}

function bold(text: string): string {
	return `\\fB${plain(text)}\\fR`;
}

/** Text in which roff finds nothing of its own: backslashes, hyphens, and dots and quotes that begin a line. */
function plain(text: string): string {
	return text
		.replaceAll("\\", "\\e")
		.replaceAll("-", "\\-")
		.replace(/^(?=[.'])/gm, "\\&");
}
