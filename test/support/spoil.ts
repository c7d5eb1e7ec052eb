/** Requests and files that are nearly right. */

/** A value of the wrong kind for every field. */
export const HOSTILE: unknown[] = [
	...[
		null,
		0,
		-1,
		1e308,
		true,
		"",
		"x",
		[],
		{},
		[[]],
		"../../etc/passwd",
		"\0",
		"a".repeat(65),
		"\u202e",
		"'; rm -rf /",
	],
	{ toString: 1 },
	JSON.parse('{"__proto__": {"polluted": true}}'),
	{ constructor: { prototype: { polluted: true } } },
];

/** A copy with one of its values, perhaps deep inside, replaced; `undefined` takes it out. */
export function spoiled(good: unknown, path: readonly number[], value: unknown): unknown {
	const [step, ...rest] = path;
	if (step === undefined || typeof good !== "object" || good === null) return value;
	const keys = Object.keys(good);
	const key = keys[step % keys.length];
	if (key === undefined) return value;
	const copy: Record<string, unknown> = { ...good };
	copy[key] = spoiled(copy[key], rest, value);
	return Array.isArray(good) ? Object.values(copy) : copy;
}
