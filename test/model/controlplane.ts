/**
 * What a client of the daemon may believe after a crash: what was acknowledged is there, what was acknowledged as gone
 * is not, and of a request without an answer either all or nothing has happened.
 */

/** An endpoint as the API shows it. */
export interface SeenEndpoint {
	network: string;
	/** `netns:PATH` or the container's name. */
	holder: string;
	ip: string;
	mac: string;
}

/** Everything that the API shows. */
export interface Seen {
	networks: string[];
	endpoints: SeenEndpoint[];
	/** Names of running containers. */
	containers: string[];
}

const keyOf = ({ network, holder }: Pick<SeenEndpoint, "network" | "holder">): string => `${network} ${holder}`;

/** `sure`: acknowledged; `perhaps`: asked for, without an answer, with what it was before. */
type Fact<T> = { sure: T } | { perhaps: T | undefined };

class Facts<T> {
	readonly #facts = new Map<string, Fact<T>>();

	/** Made or changed, and acknowledged. */
	set(key: string, value: T): void {
		this.#facts.set(key, { sure: value });
	}

	/** Removed, and acknowledged. */
	delete(key: string): void {
		this.#facts.delete(key);
	}

	/** Something was asked for and nobody answered. */
	doubt(key: string): void {
		const fact = this.#facts.get(key);
		this.#facts.set(key, { perhaps: fact && "sure" in fact ? fact.sure : fact?.perhaps });
	}

	has(key: string): boolean {
		return this.#facts.has(key);
	}

	keys(): string[] {
		return [...this.#facts.keys()];
	}

	/** What is wrong with what is seen, which is believed from then on. */
	compare(kind: string, seen: Map<string, T>): string[] {
		const problems: string[] = [];
		for (const [key, fact] of this.#facts) {
			if (!("sure" in fact)) continue;
			const found = seen.get(key);
			if (found === undefined) problems.push(`lost: ${kind} ${key}`);
			else if (JSON.stringify(found) !== JSON.stringify(fact.sure)) {
				problems.push(`changed: ${kind} ${key}: ${JSON.stringify(fact.sure)}, now ${JSON.stringify(found)}`);
			}
		}
		for (const key of seen.keys()) if (!this.#facts.has(key)) problems.push(`came back: ${kind} ${key}`);
		this.#facts.clear();
		for (const [key, value] of seen) this.set(key, value);
		return problems;
	}
}

export class ControlPlaneModel {
	readonly networks = new Facts<true>();
	readonly containers = new Facts<true>();
	readonly endpoints = new Facts<{ ip: string; mac: string }>();

	/** An endpoint's key. */
	key = keyOf;

	/** What is wrong; what is seen is believed from then on. */
	compare({ networks, endpoints, containers }: Seen): string[] {
		const addressed = endpoints.map(({ ip, mac, ...place }): [string, { ip: string; mac: string }] => [
			keyOf(place),
			{ ip, mac },
		]);
		return [
			...this.networks.compare("network", new Map(networks.map((name) => [name, true]))),
			...this.endpoints.compare("endpoint", new Map(addressed)),
			...this.containers.compare("container", new Map(containers.map((name) => [name, true]))),
			...twice("address", endpoints, ({ network, ip }) => `${ip} in ${network}`),
			...twice("MAC address", endpoints, ({ mac }) => mac),
		];
	}
}

function twice<T>(kind: string, items: T[], keyFor: (item: T) => string): string[] {
	const keys = items.map(keyFor);
	return keys.filter((key, index) => keys.indexOf(key) !== index).map((key) => `given twice: ${kind} ${key}`);
}
