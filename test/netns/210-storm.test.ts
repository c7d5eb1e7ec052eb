/**
 * Frames between many ports, broadcasts among them, while networks, endpoints and containers come and go at random:
 * each frame is found again, and nothing else is lost or left. `VLANE_SEED=N` repeats the choices of a run; 200 ports
 * for a minute are `VLANE_STORM_PORTS=200 VLANE_STORM_SECONDS=60 npm test -- 210-storm`.
 */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { difference, type Flow, type Member, Senders } from "../../bench/reliability/senders.js";
import type { ApiContainer, ApiPort } from "../../src/control/types.js";
import { close } from "../../src/sys/libc.js";
import { newNetns } from "../../src/sys/netns.js";
import { BROADCAST } from "../support/frames.js";
import { ask, Kills, randomOf } from "../support/kills.js";
import { makeLan } from "../support/lan.js";
import { testOrSkip } from "../support/needs.js";
import { startVlane } from "../support/vlane.js";

const PORTS = Number(process.env.VLANE_STORM_PORTS ?? 20);
const SECONDS = Number(process.env.VLANE_STORM_SECONDS ?? 2);
const SEED = Number(process.env.VLANE_SEED ?? Date.now() % 1_000_000);
const PORTS_OF_A_NETWORK = 10;
const VLAN_FIRST = 100;
/** Of each sender. A broadcast is as many frames as there are ports in its network. */
const FRAMES_PER_SECOND = 800;

const storm = suite("storm");

storm.before.each(() => console.log(`seed ${SEED}`));

testOrSkip(
	storm,
	`frames between ${PORTS} ports add up while others come and go`,
	{ root: true, tun: true, tools: ["ip", "unshare"], linux: "5.18" },
	async () => {
		const lan = await makeLan();
		// Nobody is to send but the senders.
		for (const which of ["all", "default"]) lan.host.sysctl(`net/ipv6/conf/${which}/disable_ipv6`, 1);
		const vlane = await startVlane(lan.host, "--log-level=warn");
		const must = async (method: string, path: string, body?: object): Promise<unknown> => {
			const outcome = await ask(vlane.socket, method, path, body);
			assert.is(outcome.answer, "yes", `${method} ${path} ${JSON.stringify(body)}`);
			return outcome.answer === "yes" ? outcome.body : undefined;
		};
		const ports = async (): Promise<Map<string, ApiPort>> =>
			new Map(((await must("GET", "/ports")) as ApiPort[]).map((port) => [port.name, port]));

		const namespaces = Array.from({ length: PORTS }, () => newNetns());
		const networkOf = (index: number): number => Math.floor(index / PORTS_OF_A_NETWORK);
		const nameOf = (index: number): string => `storm${networkOf(index)}`;
		const members: Member[] = [];
		for (const [index, fd] of namespaces.entries()) {
			const number = networkOf(index);
			if (index % PORTS_OF_A_NETWORK === 0) {
				const IPAM = { Config: [{ Subnet: `10.${VLAN_FIRST + number}.0.0/24` }] };
				// Nor is the daemon to announce who is new, for two seconds from then on.
				const Options = { parent: `eth0.${VLAN_FIRST + number}`, "com.docker.network.advertise_addr_nmsgs": "0" };
				await must("POST", "/networks/create", { Name: nameOf(index), IPAM, Options });
			}
			const path = `/proc/${process.pid}/fd/${fd}`;
			const wish = { Target: `netns:${path}`, Name: `p${index}` };
			const made = (await must("POST", `/networks/${nameOf(index)}/connect`, wish)) as ApiContainer["Networks"][string];
			members.push({ path, mac: made.MacAddress });
		}
		/** Each sends to the next one of its network; the first one of each network to all of them, too. */
		const neighbours = members.map((_, index) => members.filter((_, other) => networkOf(other) === networkOf(index)));
		const flows: Flow[] = members.flatMap((from, index) => {
			const around = neighbours[index]!;
			const to = around[(around.indexOf(from) + 1) % around.length]!.mac;
			return from === around[0]
				? [
						{ from, to },
						{ from, to: BROADCAST },
					]
				: [{ from, to }];
		});
		const senders = new Senders(members, flows, vlane.directory);
		await senders.ready();
		const [before, portsBefore] = [await senders.settle(), await ports()];

		senders.setRate(flows.length * FRAMES_PER_SECOND);
		const run = new Kills(vlane, lan.host, randomOf(SEED));
		const problems = await run.churn(SECONDS * 1000);
		const [after, portsAfter] = [await senders.settle(), await ports()];
		run.close();
		await senders.stop();

		const total = (list: number[]): number => list.reduce((sum, value) => sum + value, 0);
		const { taken, dropped, arrived } = difference(after, before);
		const since = (index: number) => {
			const name = `${nameOf(index)}/p${index}`;
			const [now, then] = [portsAfter.get(name)!, portsBefore.get(name)!];
			const drops = total(Object.values(now.drops)) - total(Object.values(then.drops));
			return { rx: now.rxFrames - then.rxFrames, tx: now.txFrames - then.txFrames, drops };
		};
		const counted = members.map((_, index) => since(index));
		const figures = { ...run.counts, taken: total(taken), dropped: total(dropped), arrived: total(arrived) };
		console.log(JSON.stringify({ ports: portsAfter.size, ...figures, lost: total(counted.map(({ drops }) => drops)) }));
		assert.equal(problems, [], `with VLANE_SEED=${SEED}`);
		assert.ok(run.counts.yes > 0 && run.counts.none === 0, JSON.stringify(run.counts));
		for (const [index, { rx, tx }] of counted.entries()) {
			assert.is(rx, taken[index], `p${index}: the switch has read what its interface counts as sent`);
			assert.is(tx, arrived[index], `p${index}: its interface has got what the switch has written`);
		}
		for (let first = 0; first < PORTS; first += PORTS_OF_A_NETWORK) {
			const [outs, sent] = [counted, taken].map((list) => list.slice(first, first + PORTS_OF_A_NETWORK)) as [
				typeof counted,
				number[],
			];
			// Besides broadcasts, each gets what its neighbour sends; the second one all of the first one's, of both kinds.
			const more = outs.map(({ tx, drops }, index) => tx + drops - sent.at(index - 1)!);
			const broadcasts = more[2]!;
			assert.equal(
				more,
				[0, 0, ...sent.slice(2).map(() => broadcasts)],
				`${nameOf(first)}: frames more than its neighbours have sent`,
			);
			assert.ok(broadcasts > 0 && broadcasts < sent[0]!, `${nameOf(first)}: ${broadcasts} broadcasts`);
		}

		for (const [index] of members.entries()) {
			await must("POST", `/networks/${nameOf(index)}/disconnect`, { Target: `p${index}` });
		}
		for (let first = 0; first < PORTS; first += PORTS_OF_A_NETWORK) await must("DELETE", `/networks/${nameOf(first)}`);
		const left = [...(await ports()).keys()].filter((name) => /^storm|^eth0\.1\d\d/.test(name));
		assert.equal(left, []);
		for (const fd of namespaces) close(fd);
		await vlane.cleanup();
		lan.close();
	},
);

storm.run();
