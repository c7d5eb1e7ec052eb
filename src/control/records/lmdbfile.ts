/**
 * Looks over an LMDB file before LMDB maps it: LMDB believes what stands in its pages, so a page that is damaged or
 * missing ends the process (SIGSEGV, SIGBUS), or hides records. Follows mdb.c of lmdb 3.5.6, data version 2, little
 * endian:
 *
 *   page   0 number  8 transaction  16 pad  18 flags  20 lower, upper (overflow: u32 pages)  24 offsets of nodes, u16
 *   node   0 size of the data, or low bits of the child's page  4 flags, or high bits  6 size of the key  8 key, data
 *   meta   24 magic  28 version  48 tree of free pages  96 main tree  144 last page  152 transaction
 *   tree   0 page size (of the first one)  4 flags  6 depth  8, 16, 24 pages of each kind  32 entries  40 root
 */
import { readFileSync } from "node:fs";

const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const PAGE_HEADER_BYTES = 24;
const NODE_HEADER_BYTES = 8;
/** What a node has instead of its data: where that is, of which transaction, and how many pages. */
const OVERFLOW_BYTES = 24;
const META_BYTES = 160;
const METAS = 2;
const META = { magic: 24, version: 28, freeTree: 48, mainTree: 96, lastPage: 144, transaction: 152 };
const TREE = { flags: 4, depth: 6, entries: 32, root: 40 };
const P_BRANCH = 1;
const P_LEAF = 2;
const P_OVERFLOW = 4;
const P_META = 8;
const F_BIGDATA = 1;
const MDB_INTEGERKEY = 8;
const MDB_NOSUBDIR = 0x4000;
/** Kept with the first tree: how the file was opened. */
const FREE_TREE_FLAGS = MDB_INTEGERKEY | MDB_NOSUBDIR;
const PAGE_BYTES_MIN = 256;
const PAGE_BYTES_MAX = 65536;
/** A file that is read while a daemon writes may be of two moments. */
const READS_MAX = 20;
const NO_PAGE = 0xffffffffffffffffn;

const FREE_PAGES = "the list of free pages is damaged";

/** What `damageOf` says of a file that was never LMDB's. */
export const NO_DATABASE = "it is no database";

/** What is wrong; the message says where. */
class Damage extends Error {}

/** What is wrong with the file, in a few words; undefined: nothing, or it is empty. @throws file system errors */
export function damageOf(path: string): string | undefined {
	let found: string | undefined;
	let seen = -1n;
	for (let reads = 0; reads < READS_MAX; reads++) {
		const bytes = readFileSync(path);
		if (bytes.length === 0) return undefined;
		try {
			const file = new LmdbFile(bytes);
			// Damage stays when nobody writes.
			if (found !== undefined && file.transaction === seen) return found;
			seen = file.transaction;
			file.check();
			return undefined;
		} catch (error) {
			if (!(error instanceof Damage)) throw error;
			if (error.message === found) return found;
			found = error.message;
		}
	}
	return found;
}

class LmdbFile {
	/** Number of the newest transaction. */
	readonly transaction: bigint;
	readonly #pageBytes: number;
	readonly #meta: number;
	readonly #lastPage: number;
	/** Pages that a tree or the list of free ones has, none twice. */
	readonly #used = new Set<number>();

	constructor(readonly bytes: Buffer) {
		if (bytes.length < META_BYTES || bytes.readUInt32LE(META.magic) !== MAGIC) throw new Damage(NO_DATABASE);
		this.#pageBytes = bytes.readUInt32LE(META.freeTree);
		const isSize = this.#pageBytes >= PAGE_BYTES_MIN && this.#pageBytes <= PAGE_BYTES_MAX;
		if (!isSize || (this.#pageBytes & (this.#pageBytes - 1)) !== 0) throw new Damage("its head is damaged");
		if (bytes.length < METAS * this.#pageBytes) throw new Damage("it is cut off");
		const metas = [0, this.#pageBytes];
		const isSound = metas.every(
			(at) =>
				bytes.readUInt32LE(at + META.magic) === MAGIC &&
				(bytes.readUInt32LE(at + META.version) & 0xffff) === DATA_VERSION &&
				bytes.readUInt32LE(at + META.freeTree) === this.#pageBytes &&
				// How the file is to be opened, LMDB reads in the first head even when the other one is newer.
				bytes.readUInt16LE(at + META.freeTree + TREE.flags) === FREE_TREE_FLAGS &&
				(bytes.readUInt16LE(at + 18) & P_META) !== 0,
		);
		if (!isSound) throw new Damage("its head is damaged");
		const [first, second] = metas.map((at) => bytes.readBigUInt64LE(at + META.transaction)) as [bigint, bigint];
		// Each transaction writes the other one: those with even numbers the first. Of a new file both are 0.
		const isInTurn = first % 2n === 0n && (first - second === 1n || second - first === 1n);
		if (!isInTurn && first + second !== 0n) throw new Damage("its head is damaged");
		this.#meta = first >= second ? 0 : this.#pageBytes;
		this.transaction = bytes.readBigUInt64LE(this.#meta + META.transaction);
		this.#lastPage = Number(bytes.readBigUInt64LE(this.#meta + META.lastPage));
	}

	/** @throws Damage */
	check(): void {
		this.#checkTree(META.mainTree, 0, () => undefined);
		const free: [number, number][] = [];
		let last = 0n;
		this.#checkTree(META.freeTree, FREE_TREE_FLAGS, (key, data) => {
			// The transaction that has freed them.
			const transaction = key.length === 8 ? key.readBigUInt64LE(0) : 0n;
			if (transaction <= last || transaction > this.transaction) throw new Damage(FREE_PAGES);
			last = transaction;
			free.push(...runsOf(data));
		});
		for (const [page, pages] of free) {
			// Not number by number: beyond 2^53 there is none between a page and the next.
			if (page < METAS || page + pages - 1 > this.#lastPage) throw new Damage(FREE_PAGES);
			for (let number = page; number < page + pages; number++) {
				if (this.#used.has(number)) {
					throw new Damage(`page ${number} is in use, and in the list of free pages`);
				}
				this.#used.add(number);
			}
		}
		const missing = this.#lastPage + 1 - METAS - this.#used.size;
		if (missing !== 0) throw new Damage(`${missing} pages are neither in use nor free`);
	}

	#checkTree(place: number, flags: number, onEntry: (key: Buffer, data: Buffer) => void): void {
		const at = this.#meta + place;
		const { bytes } = this;
		const depth = bytes.readUInt16LE(at + TREE.depth);
		const entries = Number(bytes.readBigUInt64LE(at + TREE.entries));
		const root = bytes.readBigUInt64LE(at + TREE.root);
		if (bytes.readUInt16LE(at + TREE.flags) !== flags) throw new Damage("its head is damaged");
		let found = 0;
		let last: Buffer | undefined;
		if (root !== NO_PAGE || depth > 0) {
			this.#checkPage(Number(root), depth, (key, data) => {
				const isBehind = last !== undefined && Buffer.compare(last, key) >= 0;
				// Keys that are numbers have an order of their own.
				if (isBehind && flags === 0) throw new Damage("its records are out of order");
				last = key;
				found++;
				onEntry(key, data);
			});
		}
		if (found !== entries) throw new Damage(`it has ${found} records, and should have ${entries}`);
	}

	/** A page and all below it, which are `depth` levels. */
	#checkPage(number: number, depth: number, onEntry: (key: Buffer, data: Buffer) => void): void {
		const at = this.#take(number, 1);
		const { bytes } = this;
		const page = bytes.subarray(at, at + this.#pageBytes);
		const broken = () => new Damage(`page ${number} is damaged`);
		const [kind, lower, upper] = [18, 20, 22].map((offset) => page.readUInt16LE(offset)) as [number, number, number];
		const room = this.#pageBytes - PAGE_HEADER_BYTES;
		if (kind !== (depth > 1 ? P_BRANCH : P_LEAF) || lower % 2 !== 0 || lower > upper || upper > room) throw broken();
		if (lower === 0) throw broken();
		const nodes: [offset: number, nodeBytes: number][] = [];
		for (let entry = 0; entry < lower / 2; entry++) {
			const offset = page.readUInt16LE(PAGE_HEADER_BYTES + 2 * entry);
			if (offset < upper || offset + NODE_HEADER_BYTES > room) throw broken();
			const node = page.subarray(PAGE_HEADER_BYTES + offset);
			const low = node.readUInt32LE(0);
			const high = node.readUInt16LE(4);
			const keyBytes = node.readUInt16LE(6);
			if (NODE_HEADER_BYTES + keyBytes > node.length) throw broken();
			const key = node.subarray(NODE_HEADER_BYTES, NODE_HEADER_BYTES + keyBytes);
			const rest = node.subarray(NODE_HEADER_BYTES + keyBytes);
			const dataBytes = depth > 1 ? 0 : high === F_BIGDATA ? OVERFLOW_BYTES : low;
			nodes.push([offset, NODE_HEADER_BYTES + keyBytes + dataBytes]);
			if (depth > 1) this.#checkPage(low + high * 2 ** 32, depth - 1, onEntry);
			else if (high === F_BIGDATA && rest.length >= OVERFLOW_BYTES) onEntry(key, this.#overflow(rest, low));
			else if (high === 0 && low <= rest.length && keyBytes > 0) onEntry(key, rest.subarray(0, low));
			else throw broken();
		}
		// One begins where another ends: LMDB moves them by their sizes.
		let end = upper;
		for (const [offset, nodeBytes] of nodes.sort(([one], [other]) => one - other)) {
			if (offset !== end) throw broken();
			end += nodeBytes + (nodeBytes % 2);
		}
		if (end !== room) throw broken();
	}

	/** The data of a node that has pages of its own for it. */
	#overflow(node: Buffer, dataBytes: number): Buffer {
		const number = Number(node.readBigUInt64LE(0));
		const pages = Number(node.readBigUInt64LE(16));
		const at = this.#take(number, pages);
		const isOurs = node.readBigUInt64LE(8) <= this.transaction && this.bytes.readUInt32LE(at + 20) === pages;
		const isSound = isOurs && this.bytes.readUInt16LE(at + 18) === P_OVERFLOW;
		if (!isSound || PAGE_HEADER_BYTES + dataBytes > pages * this.#pageBytes) {
			throw new Damage(`page ${number} is damaged`);
		}
		return this.bytes.subarray(at + PAGE_HEADER_BYTES, at + PAGE_HEADER_BYTES + dataBytes);
	}

	/** Offset of pages that nobody else has. */
	#take(number: number, pages: number): number {
		const end = number + pages;
		if (!(number >= METAS && pages > 0 && end - 1 <= this.#lastPage)) throw new Damage(`there is no page ${number}`);
		if (end * this.#pageBytes > this.bytes.length) throw new Damage("it is cut off");
		const at = number * this.#pageBytes;
		const isLater = this.bytes.readBigUInt64LE(at + 8) > this.transaction;
		if (isLater || Number(this.bytes.readBigUInt64LE(at)) !== number) throw new Damage(`page ${number} is damaged`);
		for (let page = number; page < end; page++) {
			if (this.#used.has(page)) throw new Damage(`page ${page} is in use twice`);
			this.#used.add(page);
		}
		return at;
	}
}

/** Runs of free pages: a count of words, then page numbers, in front of which -N says that N follow each other. */
function runsOf(data: Buffer): [page: number, pages: number][] {
	const count = data.length < 8 ? -1 : Number(data.readBigUInt64LE(0));
	if (count < 0 || 8 + 8 * count > data.length) throw new Damage(FREE_PAGES);
	const runs: [number, number][] = [];
	const word = (index: number) => Number(data.readBigInt64LE(8 * index));
	for (let index = 1; index <= count; index++) {
		const pages = Math.max(1, -word(index));
		// LMDB takes what follows a length for a page, whatever it is.
		if (word(index) < 0 && (++index > count || word(index) <= 0)) throw new Damage(FREE_PAGES);
		if (pages > data.length * PAGE_BYTES_MAX) throw new Damage(FREE_PAGES);
		if (word(index) > 0) runs.push([word(index), pages]);
	}
	return runs;
}
