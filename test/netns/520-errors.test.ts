/**
 * What is refused, in Docker's words where Docker has some, typed into the real command line; nothing is left of it.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { linesOf, type Site, sharedSite } from "../support/site.js";
import { inspectAtRest } from "../support/vlane.js";

const errors = suite("errors");
const test = sharedSite(errors);

const DAEMON = "Error response from daemon: ";
const CONFIG = `${DAEMON}invalid network config: `;
const SETTINGS = `${DAEMON}invalid endpoint settings: `;
const NMSGS = "com.docker.network.advertise_addr_nmsgs";
const MS = "com.docker.network.advertise_addr_ms";
const SYSCTLS = "com.docker.network.endpoint.sysctls";

type Case = [line: string, message: string | RegExp];

/** Types each line; it must fail with exactly this message in one line, and change nothing that can be seen. */
function refused(site: Site, cases: Case[]): void {
	const view = () => [site.hostView(), site.vlane.must("network", "ls", "--no-trunc"), site.vlane.must("ps", "-a")];
	const before = view();
	for (const [line, message] of cases) {
		const { status, stdout, stderr } = site.vlane.vlane(...line.split(" "));
		assert.ok(status === 1 || status === 125, `${line}: status ${status}`);
		assert.is(stdout, "", line);
		assert.is(linesOf(stderr).length, 1, stderr);
		const said = stderr.trimEnd();
		if (typeof message === "string") assert.is(said, message, line);
		else assert.match(said, message, line);
	}
	assert.equal(view(), before);
}

test("addresses of a network", (site) => {
	const create = (flags: string) => `network create ${flags} x`;
	refused(site, [
		[create("--gateway=10.0.0.1"), "every ip-range or gateway must have a corresponding subnet"],
		[create("--subnet=10.0.0.0/24 --subnet=10.0.0.0/16"), "multiple overlapping subnet configuration is not supported"],
		[create("--subnet=10.0.0.0/24 --ip-range=10.1.0.0/25"), "no matching subnet for range 10.1.0.0/25"],
		[create("--subnet=10.0.0.0/24 --gateway=10.1.0.1"), "no matching subnet for gateway 10.1.0.1"],
		[create("--subnet=10.0.0.0/24 --aux-address=a=10.1.0.1"), "no matching subnet for aux-address 10.1.0.1"],
		[create("--subnet=junk"), "invalid subnet: invalid CIDR address: junk"],
		[create("--subnet=10.0.0.1/24"), `${CONFIG}invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24`],
		[
			create("--subnet=10.0.0.0/24 --ip-range=10.0.0.0/16"),
			`${CONFIG}invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24`,
		],
		[
			create("--subnet=10.0.0.0/24 --ip-range=10.0.0.129/25"),
			`${CONFIG}invalid ip-range 10.0.0.129/25: it should be 10.0.0.128/25`,
		],
		[
			create("--subnet=10.0.0.0/24 --gateway=10.0.0.255"),
			`${DAEMON}failed to allocate gateway (10.0.0.255): Address already in use`,
		],
		[
			create("--subnet=10.0.0.0/24 --gateway=10.0.0.1 --aux-address=a=10.0.0.1"),
			`${DAEMON}failed to allocate secondary ip address (a:10.0.0.1): Address already in use`,
		],
		[create("--subnet=2001:db8::/64 --gateway=fe80::1"), "no matching subnet for gateway fe80::1"],
		[create("--subnet=2001:db8::/64 --ipv6=false"), /IPv6 is disabled/],
		[create("--ipv4=false"), `${DAEMON}IPv4 or IPv6 must be enabled`],
		[create("--ipam-driver=null"), /^Error response from daemon: ipv4 pool is empty; /],
		[create("--ipam-driver=null --ipv4=false --ipv6"), /^Error response from daemon: ipv6 pool is empty; /],
		[
			create("--ipam-driver=null --subnet=10.0.0.0/24"),
			/invalid pool request: null ipam driver does not handle specific address pool requests/,
		],
		[create("--ipam-driver=dhcp"), `${DAEMON}ipam driver dhcp is not known; use --ipam-driver default or null`],
		[create("--ipam-opt=a=b"), /^Error response from daemon: unknown ipam option "a"; known options: com.docker/],
		[
			create("--ipam-opt=com.docker.network.ipam.serial=maybe"),
			/driver-opt "com.docker.network.ipam.serial" is not a valid bool/,
		],
	]);
});

test("names, drivers, parents and options of a network", (site) => {
	site.create("taken", "--subnet=10.9.0.0/24", "-o", "parent=eth0.9");
	const create = (flags: string) => `network create ${flags}`;
	const option = (flags: string) => create(`--subnet=10.0.0.0/24 -o ${flags} x`);
	refused(site, [
		[create("taken"), `${DAEMON}network with name taken already exists`],
		[create("bridge"), `${DAEMON}operation is not permitted on predefined bridge network`],
		[create("a/b"), /invalid name: a\/b includes invalid characters/],
		["network rm nothing", `${DAEMON}network nothing not found`],
		[create("-d overlay x"), /^Error response from daemon: network driver overlay is not known/],
		[create("--scope=swarm x"), /^Error response from daemon: scope swarm is not in this version/],
		[
			option("macvlan_mode=routed"),
			`${DAEMON}requested macvlan mode 'routed' is not valid, 'bridge' mode is the macvlan driver default`,
		],
		[option("parent=lo"), `${DAEMON}loopback interface is not a valid macvlan parent link`],
		[option("parent=eth9.50"), `${DAEMON}-o parent interface was not found on the host: eth9`],
		[option("parent=eth0.4095"), `${DAEMON}vlan id must be between 1-4094, received: 4095`],
		[option("parent=eth0.+5"), `${DAEMON}unable to parse a valid vlan id from: +5 (ex. eth0.10 for vlan 10)`],
		[option("parent=eth0.9"), /^Error response from daemon: network taken is already using parent interface eth0.9/],
		[
			`network create --subnet=10.9.0.0/25 -o parent=eth0.9 -o share_parent=true x`,
			/^Error response from daemon: invalid pool request: Pool overlaps with other one on this address space/,
		],
		[option("share_parent=perhaps"), /driver-opt "share_parent" is not a valid bool/],
		[option(`${NMSGS}=x`), `${DAEMON}value for option ${NMSGS} "x" must be an integer`],
		[option(`${NMSGS}=4`), `${DAEMON}value for option ${NMSGS} "4" must be in the range 0 to 3`],
		[option(`${NMSGS}=-1`), `${DAEMON}value for option ${NMSGS} "-1" must be in the range 0 to 3`],
		[option(`${MS}=1s`), `${DAEMON}value for option ${MS} "1s" must be integer milliseconds`],
		[option(`${MS}=99`), `${DAEMON}value for option ${MS} "99" must be in the range 100 to 2000`],
		[option(`${MS}=2001`), `${DAEMON}value for option ${MS} "2001" must be in the range 100 to 2000`],
	]);
});

const OPERATOR =
	"configuration network can only contain network specific fields. Network operator fields like " +
	"[ ingress | internal | attachable | scope ] are not supported.";
const OWN = "user-specified configurations are not supported if the network depends on a configuration network";

test("configuration networks", (site) => {
	site.create("base", "--config-only", "--subnet=10.9.0.0/24");
	site.create("plain", "--subnet=10.8.0.0/24");
	const from = (flags: string) => `network create --config-from=base ${flags} x`;
	refused(site, [
		...["--internal", "--attachable", "--scope=local"].map(
			(flag): Case => [`network create --config-only ${flag} x`, DAEMON + OPERATOR],
		),
		[from("--config-only"), `${DAEMON}a configuration network cannot depend on another configuration network`],
		...["--subnet=10.7.0.0/24", "--label=a", "--ipv6", "--ipam-opt=a=b", "--ipam-driver=null"].map(
			(flag): Case => [from(flag), DAEMON + OWN],
		),
		[
			from("-o parent=eth0"),
			`${DAEMON}network driver options are not supported if the network depends on a configuration network`,
		],
		["network create --config-from=nope x", `${DAEMON}configuration network "nope" does not exist`],
		["network create --config-from=plain x", `${DAEMON}configuration network "plain" does not exist`],
	]);
});

test("endpoints", async (site) => {
	site.create("n", "--subnet=10.9.0.0/24", "--gateway=10.9.0.1", "--subnet=2001:db8::/64", "-o", "parent=eth0");
	const held = await site.join("n");
	const free = site.namespace("free");
	const connect = (flags: string) => `network connect ${flags} n netns:${free.path}`;
	const before = inspectAtRest(site.vlane, "n");
	refused(site, [
		[connect("--ip=foo"), "invalid IPv4 address: foo"],
		[connect("--ip6=foo"), "invalid IPv6 address: foo"],
		[connect("--mac-address=foo"), "foo is not a valid mac address"],
		[connect("--ip=10.8.0.2"), `${SETTINGS}no configured subnet contains IP address 10.8.0.2`],
		[
			connect("--ip=10.8.0.2 --ip6=2001:db9::1"),
			`${SETTINGS}no configured subnet contains IP address 10.8.0.2; ` +
				"no configured subnet contains IP address 2001:db9::1",
		],
		[connect("--ip=10.9.0.1"), `${DAEMON}Address already in use: 10.9.0.1`],
		[connect("--ip=10.9.0.255"), `${DAEMON}Address already in use: 10.9.0.255`],
		[connect("--ip=10.9.0.2"), `${DAEMON}Address already in use: 10.9.0.2`],
		[connect(`--mac-address=${site.lan.parentMac}`), /is already in use by parent interface eth0/],
		[
			connect(`--driver-opt ${SYSCTLS}=net.ipv4.conf.eth0.x=1`),
			`${SETTINGS}unrecognised network interface sysctl 'net.ipv4.conf.eth0.x=1'; represent 'net.X.Y.ethN.Z=V' ` +
				"as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'",
		],
		[connect("--driver-opt mtu=9"), /^Error response from daemon: unknown endpoint driver option "mtu"; known options/],
		[`network connect n netns:${held.path}`, `${DAEMON}endpoint with name ${held.name} already exists in network n`],
		[`network disconnect n netns:${free.path}`, `${DAEMON}container netns:${free.path} is not connected to network n`],
		["network connect n nobody", `${DAEMON}No such container: nobody`],
		[
			"network rm n",
			new RegExp(
				'^Error response from daemon: error while removing network: network n has active endpoints \\(name:"' +
					`${held.name}" id:"[0-9a-f]{12}"\\)$`,
			),
		],
		["run --network=n --ip=10.9.0.2 true", `vlane: ${DAEMON}Address already in use: 10.9.0.2`],
		["run --network=nope true", `vlane: ${DAEMON}network nope not found`],
		["run --net=name=n,ip=10.9.0.9 --ip=10.9.0.8 true", /cannot specify both --ip and per-network IPv4 address$/],
		["run --net=n --net=n true", 'vlane: network "n" is specified multiple times'],
		["run --net=name=n,gw-priority=x true", "vlane: invalid gw-priority (x): invalid syntax"],
	]);
	assert.equal(inspectAtRest(site.vlane, "n"), before);
});

errors.run();
