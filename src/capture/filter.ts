/**
 * Capture filters: the part of pcap's language (pcap-filter(7)) that is about addresses, ports, protocols and VLANs.
 *
 *   filter    = term { ("and" | "or") term }           one after another, neither binds stronger, as in pcap
 *   term      = "not" term | "(" filter ")" | primitive
 *   primitive = [tcp|udp] [src|dst] (host A | net A/N | port P) | ether [src|dst] host M | vlan [V] | protocol ...
 *
 * Unlike pcap's, tags never hide what stands behind them: `port 80` finds tagged frames too, and `vlan 50` matches any
 * tag of the frame and leaves the rest of the filter alone.
 */
import ipaddr from "ipaddr.js";
import { type Decoded, decode, ETHERTYPE, PROTOCOL } from "./decode.js";

/** Whether a frame is wanted. */
export type Filter = (bytes: Uint8Array) => boolean;

/** A filter that can not be understood; the message is one line that says where. */
export class FilterError extends Error {
	override readonly name = "FilterError";
}

type Test = (frame: Uint8Array, decoded: Decoded) => boolean;
type Direction = "src" | "dst" | "any";

const isIp = ({ ethertype }: Decoded) => ethertype === ETHERTYPE.ipv4 || ethertype === ETHERTYPE.ipv6;
const ofProtocol =
	(number: number): Test =>
	(_, decoded) =>
		isIp(decoded) && decoded.protocol === number;

/** Words that are a filter by themselves. */
const PROTOCOLS: Record<string, Test> = {
	arp: (_, { ethertype }) => ethertype === ETHERTYPE.arp,
	broadcast: (frame) => frame.subarray(0, 6).every((byte) => byte === 0xff) && frame.length >= 6,
	icmp: ofProtocol(PROTOCOL.icmp),
	icmp6: ofProtocol(PROTOCOL.icmp6),
	igmp: ofProtocol(PROTOCOL.igmp),
	ip: (_, { ethertype }) => ethertype === ETHERTYPE.ipv4,
	ip6: (_, { ethertype }) => ethertype === ETHERTYPE.ipv6,
	multicast: (frame) => ((frame[0] ?? 0) & 1) === 1,
	sctp: ofProtocol(PROTOCOL.sctp),
	tcp: ofProtocol(PROTOCOL.tcp),
	udp: ofProtocol(PROTOCOL.udp),
};
const WITH_PORTS = ["tcp", "udp", "sctp"];
/** More than anybody types; each may be a call inside of another one. */
const WORDS_MAX = 1000;

/** Words that end a primitive. */
const JOINTS = ["and", "&&", "or", "||", ")", ""];

/**
 * @param text empty: everything is wanted
 * @throws FilterError
 */
export function compileFilter(text: string): Filter {
	if (text.trim() === "") return () => true;
	const test = new Parser(text).parse();
	return (bytes) => test(bytes, decode(bytes));
}

class Parser {
	readonly #words: string[];
	#at = 0;

	constructor(readonly text: string) {
		this.#words = text.match(/&&|\|\||[()!]|[^\s()!&|]+|./g)?.filter((word) => word.trim() !== "") ?? [];
	}

	parse(): Test {
		const count = this.#words.length;
		if (count > WORDS_MAX) throw new FilterError(`invalid filter: it has ${count} words; ${WORDS_MAX} are allowed`);
		const test = this.#filter();
		if (this.#next !== "") throw this.#fail(`"${this.#next}" can not stand there`);
		return test;
	}

	get #next(): string {
		return this.#words[this.#at] ?? "";
	}

	#take(): string {
		const word = this.#next;
		this.#at++;
		return word;
	}

	#takeIf(...words: string[]): string | undefined {
		return words.includes(this.#next) && this.#next !== "" ? this.#take() : undefined;
	}

	#fail(problem: string): FilterError {
		return new FilterError(`invalid filter "${this.text}": ${problem}`.replace(/\p{Cc}/gu, " "));
	}

	#filter(): Test {
		let left = this.#term();
		for (;;) {
			const joint = this.#takeIf("and", "&&", "or", "||");
			if (joint === undefined) return left;
			const [first, second] = [left, this.#term()];
			left =
				joint === "and" || joint === "&&"
					? (frame, decoded) => first(frame, decoded) && second(frame, decoded)
					: (frame, decoded) => first(frame, decoded) || second(frame, decoded);
		}
	}

	#term(): Test {
		if (this.#takeIf("not", "!")) {
			const test = this.#term();
			return (frame, decoded) => !test(frame, decoded);
		}
		if (this.#takeIf("(")) {
			const test = this.#filter();
			if (!this.#takeIf(")")) throw this.#fail("a parenthesis is not closed");
			return test;
		}
		return this.#primitive();
	}

	#primitive(): Test {
		const word = this.#next;
		if (word === "") throw this.#fail("it ends where a condition is missing");
		if (this.#takeIf("vlan")) return this.#vlan();
		if (this.#takeIf("ether")) return this.#ether();
		if (this.#takeIf("less", "greater")) {
			const bytes = this.#number(word, 0, 0xffffffff);
			return word === "less" ? (frame) => frame.length <= bytes : (frame) => frame.length >= bytes;
		}
		const test = Object.hasOwn(PROTOCOLS, word) ? PROTOCOLS[word] : undefined;
		if (!test) return this.#addressed();
		this.#take();
		if (JOINTS.includes(this.#next)) return test;
		if (!WITH_PORTS.includes(word)) throw this.#fail(`"${this.#next}" can not stand behind "${word}"`);
		const ports = this.#addressed(["port"]);
		return (frame, decoded) => test(frame, decoded) && ports(frame, decoded);
	}

	/** `[src|dst] host|net|port VALUE`; without a type, a host. */
	#addressed(types = ["host", "net", "port"]): Test {
		const direction = (this.#takeIf("src", "dst") ?? "any") as Direction;
		const type = this.#takeIf("host", "net", "port");
		if (type === undefined && direction === "any") throw this.#fail(`"${this.#next}" is not known`);
		if (!types.includes(type ?? "host")) throw this.#fail(`"${type ?? "host"}" can not stand there`);
		if (type === "port") {
			const port = this.#number("port", 0, 65535);
			return (_, { sourcePort, targetPort }) =>
				(direction !== "dst" && sourcePort === port) || (direction !== "src" && targetPort === port);
		}
		const { address, bits } = type === "net" ? this.#net() : this.#host();
		return (frame, { source, target, addressBytes }) =>
			addressBytes === address.length &&
			((direction !== "dst" && startsWith(frame, source, address, bits)) ||
				(direction !== "src" && startsWith(frame, target, address, bits)));
	}

	#host(): { address: Uint8Array; bits: number } {
		const word = this.#take();
		if (!ipaddr.isValid(word) || !/[.:].*[.:]/.test(word)) throw this.#fail(`"${word}" is not an IP address`);
		const address = Uint8Array.from(ipaddr.parse(word).toByteArray());
		return { address, bits: address.length * 8 };
	}

	#net(): { address: Uint8Array; bits: number } {
		const word = this.#take();
		if (!ipaddr.isValidCIDR(word)) throw this.#fail(`"${word}" is not a subnet, such as 10.0.0.0/8`);
		const [address, bits] = ipaddr.parseCIDR(word);
		return { address: Uint8Array.from(address.toByteArray()), bits };
	}

	#vlan(): Test {
		if (JOINTS.includes(this.#next)) return (_, { vids }) => vids.length > 0;
		const vid = this.#number("vlan", 0, 4095);
		return (_, { vids }) => vids.includes(vid);
	}

	#ether(): Test {
		const group = this.#takeIf("broadcast", "multicast");
		if (group) return PROTOCOLS[group]!;
		const direction = (this.#takeIf("src", "dst") ?? "any") as Direction;
		if (!this.#takeIf("host") && direction === "any") throw this.#fail(`"${this.#next}" is not known behind "ether"`);
		const word = this.#take();
		if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(word)) throw this.#fail(`"${word}" is not a MAC address`);
		const mac = Uint8Array.from(word.split(":"), (octet) => Number.parseInt(octet, 16));
		return (frame) =>
			(direction !== "src" && startsWith(frame, 0, mac, 48)) || (direction !== "dst" && startsWith(frame, 6, mac, 48));
	}

	#number(what: string, min: number, max: number): number {
		const word = this.#take();
		const number = /^\d{1,10}$/.test(word) ? Number(word) : Number.NaN;
		if (number >= min && number <= max) return number;
		throw this.#fail(`"${word}" can not stand behind "${what}": a number from ${min} to ${max} is needed`);
	}
}

function startsWith(frame: Uint8Array, at: number, address: Uint8Array, bits: number): boolean {
	const whole = bits >> 3;
	if (at + address.length > frame.length) return false;
	for (let i = 0; i < whole; i++) if (frame[at + i] !== address[i]) return false;
	const mask = (0xff00 >> (bits & 7)) & 0xff;
	return mask === 0 || (frame[at + whole]! & mask) === (address[whole]! & mask);
}
