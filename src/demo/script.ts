/**
 * The tutorial, typed. Each part is a section of it; each check one of its statements, seen from outside: exit codes,
 * `ip`, `ping`.
 */
import type { Report } from "./report.js";
import type { Outcome, Stage } from "./stage.js";

const PARENT_ADDRESS = "172.16.86.250";

/** What the router must offer before the script runs. */
export const LAN = {
	parentAddress: `${PARENT_ADDRESS}/24`,
	untagged: ["172.16.86.1/24", "192.168.32.254/24"],
	vlans: [
		{ vid: 50, gateways: ["192.168.50.1/24"] },
		{ vid: 60, gateways: ["192.168.60.1/24"] },
		{ vid: 218, gateways: ["192.168.216.1/24", "192.168.218.1/24", "2001:db8:abc8::10/64"] },
	],
};

/** Runs everything; findings are left in the report. */
export function perform(stage: Stage, report: Report): void {
	const demo = new Script(stage, report);
	const before = demo.parentState();
	demo.bridgeMode();
	demo.ipRange();
	demo.trunk();
	demo.dualStack();
	demo.checkUndisturbed(before);
}

class Script {
	constructor(
		private readonly stage: Stage,
		private readonly report: Report,
	) {}

	/** Types `vlane ...`. */
	#vlane(...args: string[]): Outcome {
		const outcome = this.stage.vlane(args);
		this.report.command(["vlane", ...args], outcome);
		return outcome;
	}

	/** Types a command that must work for the rest to make sense. */
	#must(...args: string[]): string {
		const outcome = this.#vlane(...args);
		if (outcome.status !== 0) this.report.check(`vlane ${args.slice(0, 2).join(" ")}`, false, outcome.stderr.trim());
		return outcome.stdout;
	}

	#host(...words: string[]): Outcome {
		const outcome = this.stage.onHost(words);
		this.report.command(words, outcome);
		return outcome;
	}

	#pings(statement: string, expected: boolean, ...args: string[]): void {
		const { status, stdout } = this.#vlane(...args);
		const loss = /[\d.]+% packet loss/.exec(stdout)?.[0] ?? `exit code ${status}`;
		this.report.check(statement, (status === 0) === expected, loss);
	}

	#shows(statement: string, pattern: RegExp, text: string): void {
		const found = pattern.exec(text);
		this.report.check(
			statement,
			found !== null,
			(found?.[1] ?? found?.[0])?.replace(/\s+/g, " ").trim() ?? "not found",
		);
	}

	parentState(): string {
		const show = (...words: string[]) => this.stage.onHost(["ip", ...words]).stdout;
		return show("address", "show", "eth0") + show("route") + show("-6", "route");
	}

	bridgeMode(): void {
		const { report } = this;
		report.heading("Bridge mode: containers with their own MAC and address on eth0");
		const created = this.#must(
			...words("network create -d macvlan --subnet=172.16.86.0/24 --gateway=172.16.86.1 -o parent=eth0 pub_net"),
		);
		this.#shows("a network on a parent, named by its id", /^([0-9a-f]{12})[0-9a-f]{52}$/m, created);
		this.#must("network", "ls");
		this.#must(...words("run --net=pub_net --ip=172.16.86.10 --name c1 -itd /bin/sh"));
		this.#pings(
			"containers of one network reach each other",
			true,
			...words("run --net=pub_net --rm ping -c 4 -i 0.2 172.16.86.10"),
		);
		const addresses = this.#must(...words("run --net=pub_net --rm ip address show eth0"));
		this.#shows("the lowest free address, the parent's MTU", /mtu 1500[\s\S]*(inet 172\.16\.86\.2\/24)/, addresses);
		this.#shows("a locally administered MAC of its own", /link\/ether (.[26ae](?::[0-9a-f]{2}){5})/, addresses);
		const routes = this.#must(...words("run --net=pub_net --rm ip route"));
		this.#shows("the default route leads to the gateway", /^default via 172\.16\.86\.1 dev eth0/m, routes);
		this.#pings("the gateway is out there on the LAN", true, ...words("run --net=pub_net --rm ping -c 1 172.16.86.1"));
		this.#pings(
			"a container can not reach its host's own address",
			false,
			...words(`run --net=pub_net --rm ping -c 1 -W 1 ${PARENT_ADDRESS}`),
		);
		const reverse = this.#host("ping", "-c", "1", "-W", "1", "172.16.86.10");
		report.check("nor the host the container", reverse.status !== 0, `exit code ${reverse.status}`);
		const second = this.#vlane(...words("network create -d macvlan --subnet=172.16.87.0/24 -o parent=eth0 second_net"));
		report.check("one network for each parent", second.status !== 0, "refused");
		this.#throughput();
		this.#must("rm", "-f", "c1");
		this.#must("network", "rm", "pub_net");
	}

	/** Two seconds of TCP between two containers. */
	#throughput(): void {
		this.#must(...words("run --net=pub_net --ip=172.16.86.20 --name sink -d blast sink"));
		const { stdout, status } = this.#vlane(...words("run --net=pub_net --rm blast 172.16.86.20 2"));
		this.report.check("container to container, two seconds of TCP", status === 0, stdout.trim());
		this.#must("rm", "-f", "sink");
	}

	ipRange(): void {
		this.report.heading("A range of the subnet: --ip-range");
		this.#must(
			...words("network create -d macvlan --subnet=192.168.32.0/24 --ip-range=192.168.32.128/25"),
			...words("--gateway=192.168.32.254 -o parent=eth0 macnet32"),
		);
		const addresses = this.#must(...words("run --net=macnet32 --rm ip address show eth0"));
		this.#shows("addresses come from the range", /inet 192\.168\.32\.128\/24/, addresses);
		this.#pings("and reach the gateway", true, ...words("run --net=macnet32 --rm ping -c 1 192.168.32.254"));
		this.#must("network", "rm", "macnet32");
	}

	trunk(): void {
		const { report } = this;
		report.heading("802.1Q trunk: VLAN 50 and VLAN 60 on eth0");
		this.#must(
			...words("network create -d macvlan --subnet=192.168.50.0/24 --gateway=192.168.50.1 -o parent=eth0.50 macvlan50"),
		);
		this.#must(
			...words("network create -d macvlan --subnet=192.168.60.0/24 --gateway=192.168.60.1"),
			...words("-o parent=eth0.60 -o macvlan_mode=bridge macvlan60"),
		);
		const link = this.#host("ip", "link", "show", "eth0.50");
		this.#shows("the host sees the sub-interface", /(eth0\.50): .*UP/, link.stdout);
		this.#must(...words("run --net=macvlan50 --name macvlan_test5 -itd /bin/sh"));
		this.#must(...words("run --net=macvlan60 --name macvlan_test7 -itd /bin/sh"));
		this.#pings(
			"VLAN 50: containers reach each other",
			true,
			...words("run --net=macvlan50 --rm ping -c 2 -i 0.2 192.168.50.2"),
		);
		this.#pings(
			"VLAN 50: the gateway answers, tagged",
			true,
			...words("run --net=macvlan50 --rm ping -c 1 192.168.50.1"),
		);
		this.#pings(
			"VLAN 60: containers reach each other",
			true,
			...words("run --net=macvlan60 --rm ping -c 2 -i 0.2 192.168.60.2"),
		);
		this.#pings(
			"VLAN 60: the gateway answers, tagged",
			true,
			...words("run --net=macvlan60 --rm ping -c 1 192.168.60.1"),
		);
		this.#pings(
			"50 and 60 are isolated from each other",
			false,
			...words("run --net=macvlan60 --rm ping -c 2 -i 0.2 -W 1 192.168.50.2"),
		);
		report.note("now the external router forwards between its VLANs");
		this.stage.route(true);
		this.#pings(
			"unless a router connects them",
			true,
			...words("run --net=macvlan60 --rm ping -c 2 -i 0.2 192.168.50.2"),
		);
		this.stage.route(false);
		this.#must("rm", "-f", "macvlan_test5", "macvlan_test7");
		this.#must("network", "rm", "macvlan50", "macvlan60");
		const gone = this.#host("ip", "link", "show", "eth0.50");
		report.check("the sub-interface goes with its network", gone.status !== 0, "gone");
	}

	dualStack(): void {
		this.report.heading("Several subnets, dual stack, on VLAN 218");
		this.#must(
			...words("network create -d macvlan --subnet=192.168.216.0/24 --subnet=192.168.218.0/24 --gateway=192.168.216.1"),
			...words("--gateway=192.168.218.1 --subnet=2001:db8:abc8::/64 --gateway=2001:db8:abc8::10"),
			...words("-o parent=eth0.218 -o macvlan_mode=bridge macvlan216"),
		);
		this.#must(...words("run --net=macvlan216 --name=macnet216_test --ip=192.168.216.10 -itd /bin/sh"));
		this.#must(...words("run --net=macvlan216 --name=macnet218_test --ip=192.168.218.10 -itd /bin/sh"));
		this.#pings(
			"subnet 216: same-subnet ping",
			true,
			...words("run --net=macvlan216 --ip=192.168.216.11 --rm ping -c 2 -i 0.2 192.168.216.10"),
		);
		this.#pings(
			"subnet 218: same-subnet ping",
			true,
			...words("run --net=macvlan216 --ip=192.168.218.11 --rm ping -c 2 -i 0.2 192.168.218.10"),
		);
		const addresses = this.#must(...words("run --net=macvlan216 --ip=192.168.216.11 --rm ip address show eth0"));
		this.#shows("the chosen IPv4 address", /inet 192\.168\.216\.11\/24/, addresses);
		this.#shows("and an IPv6 address", /inet6 2001:db8:abc8::[0-9a-f]+\/64/, addresses);
		const v4 = this.#must(...words("run --net=macvlan216 --ip=192.168.218.11 --rm ip route"));
		this.#shows("the gateway of its own subnet", /^default via 192\.168\.218\.1 dev eth0/m, v4);
		const v6 = this.#must(...words("run --net=macvlan216 --ip=192.168.216.11 --rm ip -6 route"));
		this.#shows("IPv6 default route", /^default via 2001:db8:abc8::10 dev eth0/m, v6);
		this.#pings("IPv6 to the gateway", true, ...words("run --net=macvlan216 --rm ping -c 1 2001:db8:abc8::10"));
		this.#must("rm", "-f", "macnet216_test", "macnet218_test");
		this.#must("network", "rm", "macvlan216");
	}

	checkUndisturbed(before: string): void {
		const isSame = this.parentState() === before;
		this.report.check(
			"the parent's link, addresses and routes are untouched",
			isSame,
			isSame ? "identical" : "changed",
		);
	}
}

function words(line: string): string[] {
	return line.split(" ");
}
