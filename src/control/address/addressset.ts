/**
 * A set of numbers kept as maximal runs, for address pools: memory grows with the gaps between addresses in use, never
 * with the size of the subnet, and the lowest free address is found by one binary search, in a /30 as in a /64.
 */

interface Run {
	first: bigint;
	last: bigint;
}

/** See the file's comment. Runs are sorted, disjoint and never adjacent. */
export class AddressSet {
	readonly #runs: Run[] = [];

	has(value: bigint): boolean {
		return this.#runContaining(value) !== undefined;
	}

	/** Adds `value`; false when it was there. */
	add(value: bigint): boolean {
		const index = this.#firstRunEndingAtOrAfter(value);
		const next = this.#runs[index];
		if (next !== undefined && next.first <= value) return false;
		const previous = this.#runs[index - 1];
		const growsPrevious = previous?.last === value - 1n;
		const growsNext = next?.first === value + 1n;
		if (growsPrevious && growsNext) {
			previous.last = next.last;
			this.#runs.splice(index, 1);
		} else if (growsPrevious) {
			previous.last = value;
		} else if (growsNext) {
			next.first = value;
		} else {
			this.#runs.splice(index, 0, { first: value, last: value });
		}
		return true;
	}

	/** Removes `value`; false when it was not there. */
	delete(value: bigint): boolean {
		const index = this.#firstRunEndingAtOrAfter(value);
		const run = this.#runs[index];
		if (run === undefined || run.first > value) return false;
		const left = { first: run.first, last: value - 1n };
		const right = { first: value + 1n, last: run.last };
		this.#runs.splice(index, 1, ...[left, right].filter(({ first, last }) => first <= last));
		return true;
	}

	/** The smallest number in [first, last] that is not in the set. */
	lowestFree(first: bigint, last: bigint): bigint | undefined {
		const run = this.#runContaining(first);
		// Runs are maximal: the number after one is free.
		const free = run === undefined ? first : run.last + 1n;
		return free <= last ? free : undefined;
	}

	/** How many numbers in [first, last] are in the set. */
	count(first: bigint, last: bigint): bigint {
		let count = 0n;
		for (let index = this.#firstRunEndingAtOrAfter(first); index < this.#runs.length; index++) {
			const run = this.#runs[index] as Run;
			if (run.first > last) break;
			count += (run.last < last ? run.last : last) - (run.first > first ? run.first : first) + 1n;
		}
		return count;
	}

	#runContaining(value: bigint): Run | undefined {
		const run = this.#runs[this.#firstRunEndingAtOrAfter(value)];
		return run !== undefined && run.first <= value ? run : undefined;
	}

	#firstRunEndingAtOrAfter(value: bigint): number {
		let low = 0;
		let high = this.#runs.length;
		while (low < high) {
			const middle = (low + high) >>> 1;
			if ((this.#runs[middle] as Run).last < value) low = middle + 1;
			else high = middle;
		}
		return low;
	}
}
