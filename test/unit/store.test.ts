/** The store on disk: atomic, durable, one daemon at a time; it survives kill -9 in the middle of writes. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { damageOf } from "../../src/control/records/lmdbfile.js";
import { openLmdbStore } from "../../src/control/records/lmdbstore.js";
import { SCHEMA_VERSION } from "../../src/control/records/store.js";

const MODULE = new URL("../../src/control/records/lmdbstore.js", import.meta.url).href;
const SHAPES = new URL("../../src/control/records/recordschema.js", import.meta.url).href;

const store = suite<{ base: string; stateDir: string }>("store");

store.before.each((context) => {
	context.base = mkdtempSync(join(tmpdir(), "vlane-store-"));
	context.stateDir = join(context.base, "lib", "vlane");
});
store.after.each((context) => rmSync(context.base, { recursive: true, force: true }));

async function refuses(promise: Promise<unknown>, kind: string, message: RegExp): Promise<void> {
	const error = await promise.then(
		() => assert.unreachable("it was opened"),
		(reason: unknown) => reason,
	);
	assert.instance(error, VlaneError);
	assert.is((error as VlaneError).kind, kind);
	assert.match((error as VlaneError).message, message);
}

store("reads what was written, also after it is opened again", async ({ stateDir }) => {
	const first = await openLmdbStore(stateDir);
	const record = { id: "1", nested: { list: [1, "ä", null] } };
	const written = first.put("network/1", record);
	record.id = "changed";
	await written;
	assert.equal(first.get("network/1"), { id: "1", nested: { list: [1, "ä", null] } });
	assert.is(first.get("network/2"), undefined);
	await first.put("network/1", { id: "new" });
	await first.put("network/2", { id: "2" });
	await first.del("network/2");
	await first.del("network/3");
	await first.close();

	const second = await openLmdbStore(stateDir);
	assert.equal(second.list("network/"), [{ key: "network/1", value: { id: "new" } }]);
	await second.close();
});

store("lists by prefix in order", async ({ stateDir }) => {
	const db = await openLmdbStore(stateDir);
	for (const key of ["b/2", "a/9", "b/10", "b/1", "b", "c/1", "b0"]) await db.put(key, key);
	assert.equal(
		db.list<string>("b/").map(({ key }) => key),
		["b/1", "b/10", "b/2"],
	);
	assert.equal(db.list("d/"), []);
	await db.close();
});

store("writes a transaction whole or not at all", async ({ stateDir }) => {
	const db = await openLmdbStore(stateDir);
	await db.put("a", 1);
	await db.transaction((batch) => {
		batch.del("a");
		batch.put("b", 2);
		batch.put("b", 3);
	});
	assert.is(db.get("a"), undefined);
	assert.is(db.get("b"), 3);
	const failure = await db
		.transaction((batch) => {
			batch.put("c", 4);
			throw new Error("stop");
		})
		.catch((error: Error) => error.message);
	assert.is(failure, "stop");
	assert.is(db.get("c"), undefined);
	await db.close();
});

store("keeps directory and files to its owner", async ({ stateDir }) => {
	const db = await openLmdbStore(stateDir);
	assert.is(statSync(stateDir).mode & 0o777, 0o700);
	assert.is(statSync(join(stateDir, "vlane.lmdb")).mode & 0o077, 0);
	assert.is(statSync(join(stateDir, "vlane.lmdb-lock")).mode & 0o077, 0);
	await db.close();
});

store("leaves the mode of an existing directory alone", async ({ base }) => {
	chmodSync(base, 0o755);
	await (await openLmdbStore(base)).close();
	assert.is(statSync(base).mode & 0o777, 0o755);
});

store("refuses a second opener, under any name of the directory", async ({ base, stateDir }) => {
	const db = await openLmdbStore(stateDir);
	const message = / is in use by another vlane daemon; stop it or use another --state-dir$/;
	await refuses(openLmdbStore(stateDir), "conflict", message);
	await refuses(openLmdbStore(join(base, "lib", ".", "x", "..", "vlane")), "conflict", message);
	const other = await openLmdbStore(join(base, "other"));
	await other.close();
	await db.close();
	await (await openLmdbStore(stateDir)).close();
});

store("refuses a newer schema and gives the directory back", async ({ stateDir }) => {
	const db = await openLmdbStore(stateDir);
	assert.is(db.get("meta/schema"), SCHEMA_VERSION);
	await db.put("meta/schema", SCHEMA_VERSION + 1);
	await db.close();
	const message = new RegExp(
		`^state directory ${stateDir} was written by a newer vlane \\(its schema is ${SCHEMA_VERSION + 1}, `,
	);
	await refuses(openLmdbStore(stateDir), "unavailable", message);
	await refuses(openLmdbStore(stateDir), "unavailable", message);
});

store("says why a directory can not be used", async ({ base }) => {
	const file = join(base, "file");
	writeFileSync(file, "");
	const notADirectory = "it is not a directory; move it away or give another --state-dir";
	await refuses(openLmdbStore(file), "internal", new RegExp(`^cannot use state directory ${file}: ${notADirectory}$`));
	await refuses(openLmdbStore(join(file, "below")), "internal", /^cannot use state directory .*: ENOTDIR/);
	for (const content of ["this is no database ".repeat(1000), "short"]) {
		writeFileSync(join(base, "vlane.lmdb"), content);
		const message = new RegExp(
			`^cannot open state directory ${base}: vlane.lmdb is not a vlane database; move it away$`,
		);
		await refuses(openLmdbStore(base), "internal", message);
	}
	writeFileSync(join(base, "vlane.lmdb"), "");
	await (await openLmdbStore(base)).close();
});

/** How many kills, and damaged files; by default about 3 s of them. */
const KILLS = Number(process.env.VLANE_KILLS ?? 5);
const DAMAGES = Number(process.env.VLANE_RUNS ?? 20) * 3;

/**
 * Writes as fast as it can: in each transaction the number of the last one, one record more, and changes and removals
 * of others, small and large. Prints each number when its promise has resolved.
 */
const WRITER = `
	const { openLmdbStore } = await import(process.argv[1]);
	const { writeSync } = await import("node:fs");
	const store = await openLmdbStore(process.argv[2]);
	for (let number = (store.get("last") ?? 0) + 1; ; number++) {
		const filler = "x".repeat(number % 50 === 0 ? 20_000 : number % 1500);
		await store.transaction((batch) => {
			batch.put("last", number);
			batch.put("record/" + number, { number, filler });
			batch.put("record/" + (number - 7), { number: number - 7, filler: "again" });
			batch.del("record/" + (number - 100));
			batch.put("twin/" + number % 10, number);
			batch.put("twin/" + (number % 10 + 10), number);
		});
		writeSync(1, number + "\\n");
	}
`;

/** What the writer has left after `last` transactions, by key. */
function written(last: number): Record<string, number> {
	const rest = Array.from({ length: Math.min(last + 7, 107) }, (_, index) => last - index);
	// The first ones were changed before they were written themselves.
	const isThere = (number: number) => number > last - 100 && (number >= 1 || number <= last - 7);
	const records = rest.filter(isThere).map((number) => [`record/${number}`, number] as const);
	const twins = Array.from({ length: Math.min(last, 10) }, (_, index) => last - index).flatMap((number) => [
		[`twin/${number % 10}`, number] as const,
		[`twin/${(number % 10) + 10}`, number] as const,
	]);
	return Object.fromEntries([["last", last], ...records, ...twins]);
}

store("loses nothing it promised when it is killed at any instant of writes", async ({ stateDir }) => {
	let promised = 0;
	const waits = fc.sample(fc.integer({ min: 0, max: 60 }), { numRuns: KILLS, seed: Date.now() });
	for (const [kill, waitMs] of waits.entries()) {
		const args = ["--input-type=module", "-e", WRITER, MODULE, stateDir];
		const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
		let text = "";
		child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
			// Not before its first one: until then it is Node that starts.
			if (text === "") setTimeout(() => child.kill("SIGKILL"), waitMs);
			text += chunk;
		});
		await once(child, "close");
		promised = Number(text.trimEnd().split("\n").at(-1));
		assert.is(damageOf(join(stateDir, "vlane.lmdb")), undefined);
		const db = await openLmdbStore(stateDir);
		const last = db.get<number>("last") ?? 0;
		assert.ok(last === promised || last === promised + 1, `kill ${kill}: promised ${promised}, found ${last}`);
		const found = db.list<number | { number: number }>("").filter(({ key }) => !key.startsWith("meta/"));
		const numbers = found.map(({ key, value }) => [key, typeof value === "number" ? value : value.number] as const);
		assert.equal(Object.fromEntries(numbers), written(last));
		await db.close();
	}
	assert.ok(promised > KILLS);
});

/** Opens, reads and writes a store as the daemon does, in a process of its own, which damage may end. */
const OPENER = `
	const { openLmdbStore } = await import(process.argv[1]);
	const { requireShapes } = await import(process.argv[2]);
	for (const directory of process.argv.slice(3)) {
		try {
			const store = await openLmdbStore(directory);
			const content = store.list("");
			requireShapes(content, "state directory " + directory);
			for (let number = 0; number < 20; number++) await store.put("later/" + number, "y".repeat(3000));
			await store.close();
			console.log(JSON.stringify({ content }));
		} catch (error) {
			console.log(JSON.stringify({ refused: error.message }));
		}
	}
`;

/** The file of a store with some pages of each kind: branches, leaves, pages for large records, free ones. */
async function makeStore(directory: string): Promise<Buffer> {
	const db = await openLmdbStore(directory);
	const idOf = (number: number) => `${number}`.padStart(64, "0");
	const put = (number: number, fillerBytes: number) => {
		const id = idOf(number);
		const process = { pid: 0, pidStart: "", status: "exited", autoRemove: false, hostname: "h" };
		return db.put(`container/${id}`, { id, name: "n", command: ["x".repeat(fillerBytes)], created: "", ...process });
	};
	for (let number = 0; number < 150; number++) await put(number, (number * 37) % 1300);
	await put(150, 20_000);
	for (let number = 0; number < 150; number += 4) await db.del(`container/${idOf(number)}`);
	// The last transaction takes pages out of the list of free ones, and leaves holes in it.
	await db.del(`container/${idOf(1)}`);
	await db.close();
	return readFileSync(join(directory, "vlane.lmdb"));
}

store("what LMDB would believe unseen is noticed", async ({ base }) => {
	const bytes = await makeStore(base);
	const path = join(base, "damaged");
	const damage = (edit: (file: Buffer) => void) => {
		const file = Buffer.from(bytes);
		edit(file);
		writeFileSync(path, file);
		return damageOf(path);
	};
	// Offsets of the heads' fields, and of the only page of the tree of free pages, are in lmdbfile.ts.
	const [first, second] = [152, 4096 + 152].map((at) => bytes.readBigUInt64LE(at)) as [bigint, bigint];
	const root = Number(bytes.readBigUInt64LE((first > second ? 0 : 4096) + 88)) * 4096;
	const nodeAt = (entry: number) => root + 24 + bytes.readUInt16LE(root + 24 + 2 * entry);
	// Behind the node's head and its key: the count, then words that are 0, and pages.
	const word = (index: number) => nodeAt(0) + 16 + 8 * index;
	assert.equal([bytes.readBigInt64LE(word(1)), bytes.readBigInt64LE(word(2))], [0n, 0n]);
	const head = "its head is damaged";
	const free = "the list of free pages is damaged";
	const cases: [what: string, edit: (file: Buffer) => void, found: string | undefined][] = [
		["nothing", () => undefined, undefined],
		["it says that it is encrypted", (file) => file.writeUInt8(0x60, 53), head],
		["both heads are the second", (file) => file.writeBigUInt64LE(second, 152), head],
		["a node that ends within another", (file) => file.writeUInt32LE(80, nodeAt(2)), `page ${root / 4096} is damaged`],
		["freed by no transaction", (file) => file.writeBigUInt64LE(0n, nodeAt(0) + 8), free],
		["freed by one that is to come", (file) => file.writeBigUInt64LE(first + 9n, nodeAt(0) + 8), free],
		["a run at page 0", (file) => file.writeBigInt64LE(-0x20000n, word(1)), free],
		["a run of one page at page 0", (file) => file.writeBigInt64LE(-1n, word(2)), free],
		["a run at page -2", (file) => [1, 2].map((index) => file.writeBigInt64LE(-2n, word(index))), free],
		["a page that no number is next to", (file) => file.writeBigInt64LE(1n << 60n, word(1)), free],
	];
	for (const [what, edit, found] of cases) assert.is(damage(edit), found, what);
});

store("a damaged file is refused in one line, or has lost nothing; it never ends the process", async ({ base }) => {
	const whole = join(base, "whole");
	const bytes = await makeStore(whole);
	const shape = (content: { key: string; value: unknown }[]) => content.map(({ key }) => key).sort();
	const reader = await openLmdbStore(whole);
	const expected = shape(reader.list(""));
	await reader.close();

	const pages = bytes.length / 4096;
	const at = fc.oneof(
		fc.nat({ max: bytes.length - 1 }),
		// Heads of pages and their offsets of nodes.
		fc.tuple(fc.nat({ max: pages - 1 }), fc.nat({ max: 180 })).map(([page, offset]) => page * 4096 + offset),
	);
	const patch = fc.record({ at, octets: fc.uint8Array({ minLength: 1, maxLength: 8 }) });
	const damage = fc.record({
		patches: fc.array(patch, { maxLength: 3 }),
		cut: fc.option(fc.nat({ max: bytes.length }), { freq: 3 }),
		lock: fc.option(fc.uint8Array({ maxLength: 64 }), { freq: 5 }),
	});
	const directories = fc.sample(damage, { numRuns: DAMAGES, seed: Date.now() }).map(({ patches, cut, lock }, index) => {
		const directory = join(base, `${index}`);
		const damaged = Buffer.from(bytes);
		for (const { at: place, octets } of patches) damaged.set(octets.subarray(0, damaged.length - place), place);
		mkdirSync(directory);
		writeFileSync(join(directory, "vlane.lmdb"), damaged.subarray(0, cut ?? damaged.length));
		if (lock) writeFileSync(join(directory, "vlane.lmdb-lock"), lock);
		return { directory, isEmpty: cut === 0 };
	});
	const names = directories.map(({ directory }) => directory);
	const child = spawn(process.execPath, ["--input-type=module", "-e", OPENER, MODULE, SHAPES, ...names]);
	let said = "";
	let complaints = "";
	child.stdout.setEncoding("utf8").on("data", (chunk) => {
		said += chunk;
	});
	child.stderr.setEncoding("utf8").on("data", (chunk) => {
		complaints += chunk;
	});
	const [status, signal] = await once(child, "close");
	const answers = said.trimEnd().split("\n");
	assert.equal([status, signal, complaints], [0, null, ""], names[answers.length]);
	for (const [index, answer] of answers.entries()) {
		const { content, refused } = JSON.parse(answer);
		const { directory, isEmpty } = directories[index]!;
		const prefix = `cannot open state directory ${directory}: `;
		if (refused !== undefined) {
			assert.ok(
				refused.startsWith(prefix) || /^state directory .* (is damaged|was written by a newer)/.test(refused),
				refused,
			);
			assert.not.match(refused, "\n");
		} else if (!isEmpty) assert.equal(shape(content), expected, directory);
	}
	const refusals = answers.filter((answer) => answer.includes("refused")).length;
	assert.ok(refusals > DAMAGES / 10 && refusals < DAMAGES, `${refusals} of ${DAMAGES} were refused`);
});

store.run();
