// A learning switch: it floods what is for a station that nobody has seen, and forwards to the one port afterwards.
import { createSwitch } from "vlane";

const stations = ["02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"];
const bytesOf = (mac) => mac.split(":").map((byte) => Number.parseInt(byte, 16));
const frame = (to, from) => Uint8Array.from([...bytesOf(to), ...bytesOf(from), 0x88, 0xb5, ...new Uint8Array(46)]);

const lan = await createSwitch({ offline: true });
const segment = await lan.addSegment({ learning: true });
const reached = [];
const ports = [];
for (const name of ["port 1", "port 2", "port 3"]) {
	ports.push(await lan.addPort({ type: "memory", name, segment, onFrame: () => reached.push(name) }));
}
for (const turn of ["0 to 1", "1 to 0", "0 to 1", "2 to 0"]) {
	const [from, to] = turn.split(" to ");
	await ports[from].send(frame(stations[to], stations[from]));
	console.log(`${stations[from]} -> ${stations[to]}: ${reached.splice(0).sort().join(", ")}`);
}
await lan.close();
