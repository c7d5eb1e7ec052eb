/** How measured values are called and written. */

/** One value of a case for people. */
export interface Column {
	key: string;
	title: string;
	/** Decimal places. */
	digits: number;
	/** What one unit of the table is in units of the value. */
	scale?: number;
}

const throughParent: Column[] = [
	{ key: "tcpUpGbps", title: "TCP up Gb/s", digits: 1 },
	{ key: "tcpDownGbps", title: "TCP down Gb/s", digits: 1 },
	{ key: "upFps", title: "64 B up kf/s", digits: 0, scale: 1000 },
	{ key: "downFps", title: "64 B down kf/s", digits: 0, scale: 1000 },
	{ key: "upCpuUs", title: "up CPU us/f", digits: 2 },
	{ key: "downCpuUs", title: "down CPU us/f", digits: 2 },
	{ key: "pingP50Us", title: "ping p50 us", digits: 0 },
	{ key: "pingP99Us", title: "ping p99 us", digits: 0 },
	{ key: "tcpUpRetransmits", title: "up resent", digits: 0 },
	{ key: "tcpDownRetransmits", title: "down resent", digits: 0 },
	{ key: "tcpUpReorders", title: "up reordered", digits: 0 },
	{ key: "tcpDownReorders", title: "down reordered", digits: 0 },
];

const tcp: Column[] = [
	{ key: "tcpGbps", title: "TCP Gb/s", digits: 1 },
	{ key: "tcpCpuShare", title: "CPUs", digits: 2 },
	{ key: "tcpRetransmits", title: "resent", digits: 0 },
	{ key: "tcpReorders", title: "reordered", digits: 0 },
];

const flood: Column[] = [
	{ key: "pairFps", title: "64 B kf/s", digits: 0, scale: 1000 },
	{ key: "pairCpuUs", title: "CPU us/f", digits: 2 },
];

const COLUMNS: Record<string, Column[]> = {
	ping: [
		{ key: "pingP50Us", title: "p50 us", digits: 0 },
		{ key: "pingP99Us", title: "p99 us", digits: 0 },
	],
	tcp,
	"tcp-bbr": tcp,
	frames: flood,
	loss: [64, 512, 1500].map((bytes) => ({
		key: `zeroLoss${bytes}Fps`,
		title: `${bytes} B kf/s`,
		digits: 0,
		scale: 1000,
	})),
	udp: [{ key: "datagramsPerSecond", title: "k datagrams/s", digits: 0, scale: 1000 }],
	lan: throughParent,
	tagged: throughParent,
	qinq: throughParent,
	idle: [
		{ key: "wakeupsPerSecond", title: "wake-ups/s", digits: 1 },
		{ key: "processWakeupsPerSecond", title: "of the process", digits: 1 },
		{ key: "iowaitShare", title: "iowait", digits: 3 },
		{ key: "residentMiB", title: "RSS MiB", digits: 0 },
	],
	ports: [...flood, { key: "residentMiB", title: "RSS MiB", digits: 0 }],
};

/** Headings of the cases. */
const TITLES: Record<string, string> = {
	ping: "Container to container: 300 echo requests",
	tcp: "Container to container: one TCP stream",
	"tcp-bbr": "Container to container: one TCP stream, with BBR instead of CUBIC",
	frames: "Container to container: 64-byte frames, as many as get through",
	loss: "Container to container: highest rate without a lost frame",
	udp: "Container to container: UDP datagrams of 18 bytes that arrive",
	lan: "Container and LAN host, untagged",
	tagged: "Container and LAN host, VLAN 50",
	qinq: "Container and LAN host, VLAN 200 inside VLAN 20",
	idle: "After the load: nothing to do",
};

/** Columns of a case. */
export function columnsOf(name: string): Column[] {
	return COLUMNS[name.replace(/-\d+$/, "")] ?? [];
}

/** Heading of a case. */
export function titleOf(name: string): string {
	return TITLES[name] ?? `${name.replace(/^ports-/, "")} containers: 64-byte frames between two of them`;
}
