/**
 * Natural order, as docker's lists have it: runs of digits compare as numbers, so `net9` comes before `net10`.
 */

/** Compares two names for `Array.prototype.sort`. */
export function compareNatural(left: string, right: string): number {
	const leftParts = left.match(/\d+|\D+/g) ?? [];
	const rightParts = right.match(/\d+|\D+/g) ?? [];
	const count = Math.min(leftParts.length, rightParts.length);
	for (let index = 0; index < count; index++) {
		const order = comparePart(leftParts[index] ?? "", rightParts[index] ?? "");
		if (order !== 0) return order;
	}
	return leftParts.length - rightParts.length || compareText(left, right);
}

function comparePart(left: string, right: string): number {
	if (!/^\d/.test(left) || !/^\d/.test(right)) return compareText(left, right);
	const difference = BigInt(left) - BigInt(right);
	return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

function compareText(left: string, right: string): number {
	return left < right ? -1 : left > right ? 1 : 0;
}
