/** The store on disk: atomic, durable, one daemon at a time; it survives kill -9 in the middle of writes. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { openLmdbStore } from "../../src/control/records/lmdbstore.js";
import { SCHEMA_VERSION } from "../../src/control/records/store.js";

const MODULE = new URL("../../src/control/records/lmdbstore.js", import.meta.url).href;

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

/**
 * Writes records of growing number, a pair in each transaction, and prints each number when its promise has
 * resolved.
 */
const WRITER = `
	const { openLmdbStore } = await import(process.argv[1]);
	const store = await openLmdbStore(process.argv[2]);
	const first = (store.get("last") ?? 0) + 1;
	for (let number = first; ; number++) {
		await store.transaction((batch) => {
			batch.put("last", number);
			batch.put("record/" + String(number).padStart(8, "0"), { number, filler: "x".repeat(number % 3000) });
		});
		process.stdout.write(number + "\\n");
	}
`;

async function writeUntil(child: ChildProcess, number: number): Promise<number> {
	let last = 0;
	assert.ok(child.stdout);
	const exited = once(child, "close");
	for await (const line of createInterface({ input: child.stdout })) {
		last = Number(line);
		if (last >= number) child.kill("SIGKILL");
	}
	await exited;
	return last;
}

store("loses nothing it promised when it is killed in the middle of writes", async ({ stateDir }) => {
	let promised = 0;
	for (let round = 1; round <= 5; round++) {
		const args = ["--input-type=module", "-e", WRITER, MODULE, stateDir];
		const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
		promised = await writeUntil(child, promised + 10 + round * 7);
		const db = await openLmdbStore(stateDir);
		const last = db.get<number>("last") ?? 0;
		assert.ok(last >= promised, `promised ${promised}, found ${last}`);
		const numbers = db.list<{ number: number }>("record/").map(({ value }) => value.number);
		assert.equal(
			numbers,
			Array.from({ length: last }, (_, index) => index + 1),
		);
		await db.close();
	}
	assert.ok(promised > 50);
});

store.run();
