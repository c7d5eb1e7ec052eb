/**
 * The documents as tests: examples that can be run, and names of files, functions and headings that must exist.
 *
 * A block marked `sh` is an example: its commands are run as they stand. A `text` block right behind it is what they
 * print, where `...` stands for anything within a line, and alone on a line for any number of lines. A block marked
 * `bash` is typed on a machine of its own. A block marked `shell` can not be typed, and has a reason here. Blocks with
 * other marks are no commands.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout, seen from dist/test/support. */
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Directories whose documents are the project's own. */
const DOCUMENT_DIRECTORIES = [".", "docs", "docs/adr", "test"];

/** Blocks of commands that no test types, by document and first line, and why. */
export const UNTYPED: Record<string, string> = {
	"README.md: npm start": "the tests themselves; .ci/run types them, and 870-demo what npm start runs",
	"README.md: vlane bench":
		"minutes of measuring; 860-bench types the first, bench.test.ts reads what the others print",
	"CONTRIBUTING.md: npm start": "as in README.md",
	"docs/cni.md: ctr run -d --cni docker.io/library/busybox:latest web sleep 300":
		"its image comes from a registry; 715-cni-containerd runs ctr with one of its own",
	"docs/cni.md: podman run -d --network vlan50 --ip 192.168.50.77 busybox sleep 300":
		"its image comes from a registry; 710-cni-podman runs podman with one of its own",
	"docs/docker.md: vlane docker install --enable":
		"systemd has to be process 1; 610-docker-life asks for the status, test/cli for the unit",
	"docs/group.md: vlane daemon --store etcd://10.0.0.11:2379,10.0.0.12:2379,10.0.0.13:2379":
		"it needs three members of etcd elsewhere; 740-etcd starts daemons like this with members of its own",
	"docs/group.md: docker network create -d vlane -o parent=eth0.50 --ipam-driver vlane \\":
		"it needs an engine on several hosts; 660-docker-addresses types it on one, 740-etcd asks for what it asks for",
	"docs/howto.md: unshare --user --map-root-user --net --mount --pid --fork --mount-proc":
		"its first line begins another shell; 490-rootless does it as an ordinary user",
	"docs/howto.md: npm pack": "it installs into the whole machine; 900-package installs both packages elsewhere",
	"docs/observe.md: vlane capture -w - web icmp | wireshark -k -i -":
		"Wireshark needs a screen; 705-capture reads the same stream with tshark",
	"docs/performance.md: vlane bench": "minutes of measuring; 860-bench types the first",
};

/** A block of commands in a document. */
export interface Example {
	/** Heading that it stands below, for people. */
	heading: string;
	/** Line of its first command. */
	line: number;
	script: string;
	/** What the document says that it prints; undefined: nothing is said. */
	expected: string | undefined;
}

/** Paths of all documents, from the root of the checkout. */
export function documents(): string[] {
	return DOCUMENT_DIRECTORIES.flatMap((directory) => {
		const names = readdirSync(join(ROOT, directory)).filter((name) => name.endsWith(".md"));
		return names.sort().map((name) => posix.join(directory, name));
	});
}

/** Text of a document. */
export function readDocument(document: string): string {
	return readFileSync(join(ROOT, document), "utf8");
}

/** Marks of all blocks in the documents, and what stands in their first lines. */
export function blocks(text: string): { mark: string; first: string }[] {
	return [...text.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].map(([, mark = "", body = ""]) => {
		const [first = ""] = body.split("\n");
		return { mark, first: first.replace(/\s+#.*/, "") };
	});
}

/** The examples of a document with this mark, in their order. */
export function examples(text: string, mark = "sh"): Example[] {
	const found: Example[] = [];
	const blocks = /^(?:#+ (?<heading>.*)|```(?<mark>\w*)\n(?<body>[\s\S]*?)^```)$/gm;
	let heading = "";
	let end = 0; // of the block before this one
	for (const { groups = {}, index, 0: whole } of text.matchAll(blocks)) {
		if (groups.heading !== undefined) heading = groups.heading;
		const body = groups.body ?? "";
		const line = text.slice(0, index).split("\n").length + 1;
		const last = found.at(-1);
		if (groups.mark === mark) found.push({ heading, line, script: body, expected: undefined });
		else if (groups.mark === "text" && last && text.slice(end, index).trim() === "") last.expected ??= body;
		end = index + whole.length;
	}
	return found;
}

/**
 * Whether an output is the one that is shown. How wide blanks are (columns fit their contents) and empty lines at the
 * end do not matter.
 */
export function isShown(expected: string, actual: string): boolean {
	const lines = tidy(expected)
		.split("\n")
		.map((line) => {
			if (line.trim() === "...") return "(?:.*\\n)*?";
			return `${line.split("...").map(quoted).join(".*")}\\n`;
		});
	return new RegExp(`^${lines.join("")}$`).test(`${tidy(actual)}\n`);
}

function tidy(text: string): string {
	return text
		.replace(/[ \t]+$/gm, "")
		.replace(/[ \t]+/g, " ")
		.trimEnd();
}

function quoted(text: string): string {
	return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** What a document names and the checkout does not have: files, functions (`path:name`), targets of links. */
export function brokenReferences(document: string): string[] {
	const text = readDocument(document);
	const names = text.matchAll(
		/(?<![\w./-])((?:assembly|bench|bin|docs|scripts|src|test)\/[\w./-]*\w)(?::([A-Za-z]\w*))?/g,
	);
	const links = text.matchAll(/\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)/g);
	return [
		...[...names].filter(([, path = "", name]) => !isThere(path, name)).map(([whole]) => whole),
		...[...links].filter(([, path = "", anchor]) => !leadsSomewhere(document, path, anchor)).map(([whole]) => whole),
	];
}

function isThere(path: string, name: string | undefined): boolean {
	if (!existsSync(join(ROOT, path))) return false;
	return name === undefined || new RegExp(`\\b${name}\\b`).test(readDocument(path));
}

function leadsSomewhere(document: string, path: string, anchor: string | undefined): boolean {
	const target = path === "" ? document : posix.join(dirname(document), path);
	if (!existsSync(join(ROOT, target))) return false;
	return anchor === undefined || headingAnchors(readDocument(target)).includes(anchor);
}

/** Anchors of headings, as GitHub makes them. */
function headingAnchors(text: string): string[] {
	const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading);
	return headings.map((heading) =>
		heading
			.toLowerCase()
			.replace(/[^\w\- ]/g, "")
			.replaceAll(" ", "-"),
	);
}
