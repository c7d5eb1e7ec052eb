/** Records over releases and hosts: migrations, exports and imports, and what a check finds. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { VlaneError } from "../../src/control/errors.js";
import { openLmdbStore, readLmdbStore } from "../../src/control/records/lmdbstore.js";
import { migrate, type Records } from "../../src/control/records/migrations.js";
import { problemsOf } from "../../src/control/records/statecheck.js";
import { checkState, exportState, importState } from "../../src/control/records/stateexport.js";
import { SCHEMA_VERSION } from "../../src/control/records/store.js";

const state = suite<{ stateDir: string }>("state");

state.before.each((context) => {
	context.stateDir = mkdtempSync(join(tmpdir(), "vlane-state-"));
});
state.after.each(({ stateDir }) => rmSync(stateDir, { recursive: true, force: true }));

const idOf = (digit: string): string => digit.repeat(64);

const NETWORK = {
	id: idOf("1"),
	name: "macvlan50",
	driver: "macvlan",
	created: "2026-03-01T10:00:00.000Z",
	enableIPv4: true,
	enableIPv6: false,
	internal: false,
	options: { parent: "eth0.50" },
	labels: {},
	ipam: [{ subnet: "192.168.50.0/24", gateway: "192.168.50.1" }],
	number: 1,
	parent: { name: "eth0.50", link: "eth0", vlans: [{ tpid: 0x8100, vid: 50 }] },
	createdLink: true,
};

/** As the first release wrote it: without `created`. */
const OLD_ENDPOINT = {
	id: idOf("2"),
	networkId: NETWORK.id,
	name: "c1",
	target: "netns:/run/netns/c1",
	netnsId: "4:4026532",
	ifname: "eth0",
	mac: "02:00:00:00:00:01",
	ipv4: "192.168.50.2/24",
	gateway4: "192.168.50.1",
	mtuBytes: 1500,
};
const ENDPOINT = { ...OLD_ENDPOINT, created: NETWORK.created };

const CONTAINER = {
	id: idOf("3"),
	name: "web",
	command: ["sleep", "infinity"],
	created: NETWORK.created,
	pid: 17,
	pidStart: "4711",
	status: "running",
	autoRemove: false,
	hostname: "web",
};

function records(endpoint: object = ENDPOINT, schema = SCHEMA_VERSION): Records {
	return new Map<string, unknown>([
		[`container/${CONTAINER.id}`, CONTAINER],
		[`endpoint/${OLD_ENDPOINT.id}`, endpoint],
		["meta/hostId", idOf("f")],
		["meta/schema", schema],
		[`network/${NETWORK.id}`, NETWORK],
	]);
}

async function fill(stateDir: string, content: Records): Promise<void> {
	const store = await openLmdbStore(stateDir);
	await store.transaction((batch) => {
		for (const [key, value] of content) batch.put(key, value);
	});
	await store.close();
}

async function refusal(promise: Promise<unknown>): Promise<string> {
	const error = await promise.then(
		() => assert.unreachable("it was accepted"),
		(reason: unknown) => reason,
	);
	assert.instance(error, VlaneError);
	return (error as VlaneError).message;
}

state("a directory of the first release is opened, and is one of this release from then on", async ({ stateDir }) => {
	await fill(stateDir, records(OLD_ENDPOINT, 1));
	assert.equal((await readLmdbStore(stateDir)).get("meta/schema"), 1);
	assert.equal(await checkState(stateDir), []);
	const store = await openLmdbStore(stateDir);
	assert.equal(store.get(`endpoint/${ENDPOINT.id}`), ENDPOINT);
	assert.is(store.get("meta/schema"), SCHEMA_VERSION);
	await store.close();
	assert.equal(await readLmdbStore(stateDir), records());
});

state("migrating changes nothing of what is up to date, and refuses what is newer or no version", () => {
	assert.equal(migrate(records(), "it"), records());
	assert.throws(() => migrate(records(ENDPOINT, SCHEMA_VERSION + 1), "it"), /^it was written by a newer vlane/);
	for (const version of ["2", 0, 1.5, null]) {
		assert.throws(() => migrate(new Map([["meta/schema", version]]), "it"), /^it is damaged: meta\/schema is /);
	}
});

state("an export is read again, on another host and from another release", async ({ stateDir }) => {
	await fill(stateDir, records());
	const text = await exportState(stateDir);
	const other = join(stateDir, "other");
	assert.is(await importState(other, text, false), 3);
	assert.equal(await readLmdbStore(other), records());
	const old = JSON.stringify({ format: "vlane state", records: Object.fromEntries(records(OLD_ENDPOINT, 1)) });
	assert.match(await refusal(importState(other, old, false)), /has 3 records; give --force to replace them/);
	assert.is(await importState(other, old, true), 3);
	assert.equal(await readLmdbStore(other), records());
});

state("a damaged export is refused in one line and changes nothing, or it is whole", async ({ stateDir }) => {
	await fill(stateDir, records());
	const text = await exportState(stateDir);
	const other = join(stateDir, "other");
	await importState(other, text, false);
	const change = fc.record({
		at: fc.nat({ max: text.length - 1 }),
		by: fc.constantFrom("", "0", '"', "}", "null", "\\"),
	});
	const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
		let damaged = text;
		for (const { at, by } of changes) damaged = damaged.slice(0, at) + by + damaged.slice(at + 1);
		const before = await readLmdbStore(other);
		try {
			await importState(other, damaged, true);
			assert.equal(await checkState(other), []);
		} catch (error) {
			assert.instance(error, VlaneError);
			assert.not((error as Error).message.includes("\n"), (error as Error).message);
			assert.equal(await readLmdbStore(other), before);
		}
	});
	await fc.assert(property, { numRuns: 60, includeErrorInReport: true });
});

state("an export is one moment's, also while the daemon writes", async ({ stateDir }) => {
	await fill(stateDir, records());
	const store = await openLmdbStore(stateDir);
	assert.match(
		await refusal(importState(stateDir, await exportState(stateDir), true)),
		/in use by another vlane daemon/,
	);
	assert.equal(await checkState(stateDir), []);
	await store.put(`network/${idOf("9")}`, { ...NETWORK, id: idOf("9") });
	assert.equal((await checkState(stateDir)).length, 2);
	await store.close();
});

state("an import that is not one, or not consistent, changes nothing", async ({ stateDir }) => {
	for (const text of ["", "{}", "[1]", '{"format":"vlane state"}', "null"]) {
		assert.is(
			await refusal(importState(stateDir, text, true)),
			"the import is not what vlane state export has written",
		);
	}
	const wrong = records({ ...ENDPOINT, networkId: idOf("8") });
	const text = JSON.stringify({ format: "vlane state", records: Object.fromEntries(wrong) });
	assert.is(
		await refusal(importState(stateDir, text, true)),
		"the import is not consistent: endpoint c1: its network 888888888888 does not exist; nothing was changed",
	);
	assert.match(await refusal(exportState(stateDir)), /^there is no state in .*; name the right directory/);
	assert.match(await refusal(checkState(join(stateDir, "nowhere"))), /^there is no state in /);
});

const twin = {
	...ENDPOINT,
	id: idOf("4"),
	name: "c2",
	target: "pid:5",
	mac: "02:00:00:00:00:02",
	ipv4: "192.168.50.3/24",
};
const elsewhere = { ...NETWORK, id: idOf("5"), name: "shared", number: 2, options: { share_parent: "true" } };

for (const [what, more, expected] of [
	["nothing", [], []],
	["two endpoints", [twin], []],
	["an address", [{ ...twin, ipv4: ENDPOINT.ipv4 }], ["the address 192.168.50.2 on eth0/8100.50"]],
	["a MAC address", [{ ...twin, mac: ENDPOINT.mac }], ["the MAC address 02:00:00:00:00:01 on eth0/8100.50"]],
	["a name", [{ ...twin, name: "c1" }], ["the name c1 in network macvlan50"]],
	["a target", [{ ...twin, target: ENDPOINT.target }], ["the target netns:/run/netns/c1 in network macvlan50"]],
	["a foreign address", [{ ...twin, ipv4: "10.0.0.1/24" }], ["10.0.0.1/24 is in no subnet of network macvlan50"]],
	["a network's name", [{ ...elsewhere, name: NETWORK.name }], ["the name macvlan50"]],
	["a network's number", [{ ...elsewhere, number: 1 }], ["the number 1"]],
	["a configuration network", [{ ...elsewhere, configFrom: "base" }], ["configuration network base does not exist"]],
	[
		"an address on a shared parent",
		[elsewhere, { ...twin, networkId: elsewhere.id, ipv4: ENDPOINT.ipv4 }],
		["the address 192.168.50.2 on eth0/8100.50"],
	],
	["a container's name", [{ ...CONTAINER, id: idOf("6"), pid: 18 }], ["the name web"]],
	["a container's process", [{ ...CONTAINER, id: idOf("6"), name: "x" }], ["the process 17"]],
	["a shape", [{ ...twin, mac: "x", ipv4: 7 }], ["mac: must be a MAC address"]],
] as [string, { id: string; networkId?: string; pid?: number }[], string[]][]) {
	state(`the check finds ${what}`, () => {
		const content = records();
		for (const row of more) {
			const kind = row.networkId ? "endpoint" : row.pid === undefined ? "network" : "container";
			content.set(`${kind}/${row.id}`, row);
		}
		const problems = problemsOf(content);
		assert.is(problems.length, expected.length, problems.join("\n"));
		for (const [index, text] of expected.entries()) assert.ok(problems[index]?.includes(text), problems[index]);
	});
}

state("the check finds strangers and records under a wrong key", () => {
	const content = records()
		.set("stranger/1", {})
		.set(`network/${idOf("7")}`, NETWORK);
	assert.equal(problemsOf(content), [
		"stranger/1: there are no records of this kind",
		`network/${idOf("7")}: its id is ${NETWORK.id}`,
	]);
});

state.run();
