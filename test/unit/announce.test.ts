/** Announcements in bytes, and endpoint options. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { announcement } from "../../src/control/namespace/announce.js";
import { parseEndpointOptions, sysctlFile } from "../../src/control/request/endpointopts.js";

const announce = suite("announce");

const MAC = "02:42:ac:10:56:0a";

announce("an ARP announcement asks everybody for its own address", () => {
	const hex =
		"ffffffffffff 0242ac10560a 0806 0001 0800 06 04 0001 0242ac10560a ac10560a 000000000000 ac10560a".replaceAll(
			" ",
			"",
		);
	assert.is(announcement(MAC, "172.16.86.10").toString("hex"), hex);
});

announce("an unsolicited neighbour advertisement overrides what all nodes know", () => {
	const frame = announcement(MAC, "2001:db8::a");
	const address = "20010db800000000000000000000000a";
	const hex =
		`333300000001 0242ac10560a 86dd 6000000000203aff ${address} ff020000000000000000000000000001 8800`.replaceAll(
			" ",
			"",
		);
	assert.is(frame.toString("hex").slice(0, hex.length), hex);
	assert.is(frame.toString("hex").slice(hex.length + 4), `20000000${address}02010242ac10560a`);
	// RFC 4443 2.3: over addresses, length, next header and message, the sum is all ones.
	const words = Buffer.concat([frame.subarray(22, 54), Buffer.from([0, 0, 0, 32, 0, 0, 0, 58]), frame.subarray(54)]);
	let sum = 0;
	for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
	assert.is((sum & 0xffff) + (sum >>> 16), 0xffff);
});

const IFNAME = "com.docker.network.endpoint.ifname";
const SYSCTLS = "com.docker.network.endpoint.sysctls";

announce("endpoint options are read", () => {
	assert.equal(parseEndpointOptions(), { sysctls: [] });
	const sysctls = ["net.ipv4.conf.IFNAME.log_martians=1", "net.ipv6.conf.ifname.accept_ra=2"];
	assert.equal(parseEndpointOptions({ [IFNAME]: "lan0", [SYSCTLS]: sysctls.join(",") }), { ifname: "lan0", sysctls });
	assert.equal(sysctlFile(sysctls[1] ?? "", "lan.7"), { path: "/proc/sys/net/ipv6/conf/lan.7/accept_ra", value: "2" });
});

const FORM = "represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V', 'X' must be 'ipv4', 'ipv6' or 'mpls'";

for (const sysctl of [
	"net.ipv4.conf.eth0.log_martians=1",
	"net.ipv4.ip_forward=1",
	"kernel.hostname=x",
	"net.core.conf.IFNAME.x=1",
	"net.ipv4...IFNAME.x=1",
	"net.ipv4.conf.IFNAME.../../x=1",
	"",
]) {
	announce(`refuses sysctl '${sysctl}'`, () => {
		assert.throws(
			() => parseEndpointOptions({ [SYSCTLS]: sysctl }),
			(error: Error) =>
				error.message === `invalid endpoint settings: unrecognised network interface sysctl '${sysctl}'; ${FORM}`,
		);
	});
}

announce("refuses a sysctl without value, and unknown options", () => {
	assert.throws(
		() => parseEndpointOptions({ [SYSCTLS]: "net.ipv4.conf.IFNAME.x" }),
		/^expected sysctl 'net.ipv4.conf.IFNAME.x' to have format name=value$/,
	);
	assert.throws(
		() => parseEndpointOptions({ ifname: "x" }),
		/^unknown endpoint driver option "ifname"; known options: /,
	);
});

announce.run();
