/** Names, ids, references, and the error class they are refused with. */

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ErrorKind, httpStatus, VlaneError } from "../../src/control/errors.js";
import {
	checkContainerName,
	checkNetworkName,
	newId,
	randomName,
	resolveRef,
} from "../../src/control/request/names.js";

const names = suite("names");

function refuses(fn: () => unknown, kind: ErrorKind, message: string): void {
	assert.throws(fn, (error: unknown) => {
		assert.instance(error, VlaneError);
		assert.is((error as VlaneError).message, message);
		assert.is((error as VlaneError).kind, kind);
		return true;
	});
}

names("errors are one line and have a status", () => {
	const error = new VlaneError("invalid", "first\nsecond\r\n\tthird");
	assert.is(error.message, "first; second; third");
	assert.is(error.name, "VlaneError");
	const statuses = (["invalid", "forbidden", "notFound", "conflict", "internal", "unavailable"] as const).map((kind) =>
		httpStatus(new VlaneError(kind, "")),
	);
	assert.equal(statuses, [400, 403, 404, 409, 500, 503]);
	assert.is(httpStatus(new Error("x")), 500);
	assert.is(httpStatus(undefined), 500);
});

for (const name of ["pub_net", "a", "0", "macvlan50", "A.b-c_d", "a".repeat(255)]) {
	names(`accepts ${name.slice(0, 20)}`, () => {
		checkNetworkName(name);
		checkContainerName(name);
	});
}

const RULE = "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed";
for (const [name, shown] of [
	["-a", "-a"],
	[".a", "." + "a"],
	["_a", "_a"],
	["a b", "a b"],
	["a/b", "a/b"],
	["/a", "/a"],
	["ä", "ä"],
	["a\n", "a\\n"],
	["netns:/x", "netns:/x"],
	["\u001b[31m", "\\u001b[31m"],
] as const) {
	names(`refuses ${JSON.stringify(name)}`, () => {
		refuses(() => checkNetworkName(name), "invalid", `invalid name: ${shown} includes invalid characters, ${RULE}`);
		refuses(() => checkContainerName(name), "invalid", `Invalid container name (${shown}), ${RULE}`);
	});
}

names("refuses empty, long and predefined names", () => {
	for (const name of ["", "  "]) refuses(() => checkNetworkName(name), "invalid", "invalid name: name is empty");
	refuses(() => checkContainerName(""), "invalid", `Invalid container name (), ${RULE}`);
	const long = "a".repeat(256);
	refuses(() => checkNetworkName(long), "invalid", "invalid name: it has 256 characters, the limit is 255");
	assert.throws(() => checkContainerName(long), /it has 256 characters, the limit is 255$/);
	for (const name of ["bridge", "default", "host", "none"]) {
		refuses(() => checkNetworkName(name), "forbidden", `operation is not permitted on predefined ${name} network`);
		checkContainerName(name);
	}
});

const LIST = [
	{ id: `abc1${"0".repeat(60)}`, name: "one" },
	{ id: `abc2${"0".repeat(60)}`, name: "two" },
	{ id: `def${"0".repeat(61)}`, name: "abc1" },
	{ id: `eee${"0".repeat(61)}`, name: `abc2${"0".repeat(60)}` },
];
for (const [ref, name] of [
	["one", "one"],
	[LIST[0]?.id ?? "", "one"],
	["abc2", "two"],
	["d", "abc1"],
	["abc1", "abc1"],
	[`abc2${"0".repeat(60)}`, `abc2${"0".repeat(60)}`],
] as const) {
	names(`resolves ${ref.slice(0, 12)}`, () => assert.is(resolveRef(LIST, ref).name, name));
}

names("says what is missing or ambiguous", () => {
	refuses(() => resolveRef(LIST, "abc"), "invalid", "network abc is ambiguous (2 matches found based on ID prefix)");
	refuses(() => resolveRef(LIST, "abc", "container"), "invalid", "multiple IDs found with provided prefix: abc");
	for (const ref of ["zzz", "", "ONE", "/one", `${"abc1".padEnd(64, "0")}0`]) {
		refuses(() => resolveRef(LIST, ref), "notFound", `network ${ref} not found`);
	}
	refuses(() => resolveRef([], "x", "container"), "notFound", "No such container: x");
	assert.is(
		resolveRef(new Map([["k", LIST[0]]]).values() as Iterable<{ id: string; name: string }>, "/one", "container").name,
		"one",
	);
});

names("makes ids and names", () => {
	assert.match(newId(), /^[0-9a-f]{64}$/);
	assert.is.not(newId(), newId());
	const taken = new Set<string>();
	for (let count = 0; count < 3000; count++) {
		const name = randomName(taken);
		assert.not.ok(taken.has(name));
		checkContainerName(name);
		taken.add(name);
	}
	assert.match([...taken][0] ?? "", /^[a-z]+_[a-z]+$/);
});

names.run();
