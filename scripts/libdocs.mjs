/**
 * Writes the reference in docs/library.md, below its marker, from the doc comments of what src/lib/index.ts exports:
 * `node scripts/libdocs.mjs`. With `--check` it changes nothing and fails when the document is out of date.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const DOCUMENT = join(root, "docs/library.md");
const MARKER = "<!-- From here on written by scripts/libdocs.mjs: change the doc comments instead. -->\n";

const entry = join(root, "src/lib/index.ts");
const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
const program = ts.createProgram([entry], { ...options, noEmit: true });
const checker = program.getTypeChecker();

const resolve = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
const text = (parts) =>
	ts
		.displayPartsToString(parts)
		.replace(/\s*\n\s*/g, " ")
		.trim();

/** Doc comment of a symbol or signature with its tags, as sentences. */
function documented(commented) {
	const tags = commented.getJsDocTags().map(({ name, text: parts }) => {
		const said = text(parts).replace(/^- /, "");
		if (name === "throws") return `Throws ${said.replace(/[.]?$/, ".")}`;
		if (name === "param") return `\`${said.replace(/^(\w+) -? ?/, "$1`: ").replace(/[.]?$/, ".")}`;
		return said;
	});
	return [text(commented.getDocumentationComment(checker)), ...tags].filter((part) => part !== "").join(" ");
}

/** A declaration without its body, initial value and comments, on one line. */
function signature(node) {
	const from = node.getStart();
	const end = node.body?.getFullStart() ?? node.getEnd();
	return node
		.getSourceFile()
		.text.slice(from, end)
		.replace(/\/\*\*[\s\S]*?\*\//g, "")
		.replace(/^(export |async |override )+/, "")
		.replace(/^function\* /, "function ")
		.replace(/= \|/, "=")
		.replace(/\s+/g, " ")
		.replace(/([([{]) | ([)\]])/g, "$1$2")
		.replace(/,([)\]])/g, "$1")
		.replace(/[;\s]+$/, "");
}

const isPublic = (node) =>
	!ts.isConstructorDeclaration(node) &&
	!(node.name && ts.isPrivateIdentifier(node.name)) &&
	!(ts.getCombinedModifierFlags(node) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected));

/** Own members, inherited ones of options included: a reader should not have to look for them. */
function members(symbol) {
	const type = checker.getDeclaredTypeOfSymbol(symbol);
	const lines = [];
	for (const member of type.getProperties()) {
		const [first, ...others] = member.getDeclarations().filter(isPublic);
		if (!first || first.getSourceFile().fileName.includes("/node_modules/")) continue;
		// Of an overloaded method the last declaration is the one with the body: not for callers.
		const shown = others.length > 0 ? [first, ...others].filter((node) => !node.body) : [first];
		// Tags of a property are its class's constructor's.
		const said = ts.isMethodDeclaration(first) ? documented(member) : text(member.getDocumentationComment(checker));
		lines.push(`- ${shown.map((node) => `\`${signature(node)}\``).join(", ")}${said && `: ${said}`}`);
	}
	return lines.length > 0 ? `\n${lines.join("\n")}\n` : "";
}

function section(exported) {
	const symbol = resolve(exported);
	const [declaration] = symbol.getDeclarations();
	const head = `### ${exported.getName()}\n\n${documented(symbol)}\n`;
	if (ts.isClassDeclaration(declaration) || ts.isInterfaceDeclaration(declaration)) return head + members(symbol);
	if (ts.isVariableDeclaration(declaration)) {
		const type = checker.typeToString(checker.getTypeOfSymbol(symbol));
		return `${head}\n\`\`\`ts\nconst ${exported.getName()}: ${type}\n\`\`\`\n`;
	}
	return `${head}\n\`\`\`ts\n${signature(declaration)}\n\`\`\`\n`;
}

/** Functions first, then classes, then what they take and answer. */
function rank(symbol) {
	const { flags } = resolve(symbol);
	return flags & ts.SymbolFlags.Function ? 0 : flags & ts.SymbolFlags.Class ? 1 : 2;
}

const exports = checker
	.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))
	.sort((a, b) => rank(a) - rank(b) || (a.getName() < b.getName() ? -1 : 1));
const reference = `\n## Reference\n\n${exports.map(section).join("\n")}`;

const old = readFileSync(DOCUMENT, "utf8");
const marker = old.indexOf(MARKER);
if (marker < 0) throw new Error(`${DOCUMENT} has lost its marker`);
const written = old.slice(0, marker) + MARKER + reference;
if (!process.argv.includes("--check")) {
	writeFileSync(DOCUMENT, written);
} else if (written !== old) {
	console.error("docs/library.md is not what the doc comments say: run `node scripts/libdocs.mjs`");
	process.exitCode = 1;
}
