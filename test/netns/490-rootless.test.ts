/** The whole product as an ordinary user: in a user namespace with a network namespace of its own. */
import { chmodSync, chownSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { onCleanup } from "../support/cleanup.js";
import { testOrSkip } from "../support/needs.js";
import { run, start } from "../support/netns.js";

const rootless = suite("rootless");
const need = { root: true, tun: true, tools: ["ip", "ping", "setpriv", "unshare"] };

const VLANE = fileURLToPath(new URL("../../../bin/vlane.js", import.meta.url));
/** A user that nobody is, and that is in no group. */
const UID = 54_321;
const AS_USER = ["setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups"];

/** On most machines everybody may open the device; on some, as in containers, root only. */
const TUN_FOR_ALL = `
mknod -m 666 "$XDG_RUNTIME_DIR/tun" c 10 200
mount --bind "$XDG_RUNTIME_DIR/tun" /dev/net/tun
exec "$@"
`;

/** What docs/howto.md says; $1 is node, $2 vlane. The daemon is killed and started again in the middle. */
const SCRIPT = `
set -e
vlane() { "$node" "$program" "$@"; }
node=$1 program=$2
export VLANE_HOST="unix://$XDG_RUNTIME_DIR/vlane.sock"
begin() {
	set -- --socket "$XDG_RUNTIME_DIR/vlane.sock" --state-dir "$XDG_RUNTIME_DIR/vlane" --docker-plugin-dir none
	"$node" "$program" daemon "$@" &
	daemon=$!
	for i in $(seq 200); do vlane network ls >/dev/null 2>&1 && return; sleep 0.1; done
	exit 1
}
ip link add eth0 type veth peer name lan
ip link set eth0 up
ip link set lan up
begin
vlane network create --subnet=10.9.0.0/24 -o parent=eth0.50 blue
vlane run -d --net=blue --ip=10.9.0.10 --name=one sleep infinity
vlane run -d --net=blue --ip=10.9.0.20 --name=two sleep infinity
vlane exec one ping -c1 -W5 10.9.0.20
kill -9 $daemon
wait $daemon || true
begin
vlane exec one ping -c1 -W5 10.9.0.20
vlane rm -f one two
vlane network rm blue
grep -E '^(CapPrm|NoNewPrivs)' /proc/$daemon/status
kill $daemon
wait $daemon
echo ended well
`;

testOrSkip(rootless, "containers ping each other, also after the daemon was killed", need, async () => {
	const directory = mkdtempSync(join(tmpdir(), "vlane-rootless-"));
	const remove = onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	try {
		chownSync(directory, UID, UID);
		chmodSync(directory, 0o700);
		const unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child"];
		const open = ["unshare", "--mount", "--propagation=private", "sh", "-ec", TUN_FOR_ALL, "sh"];
		const inside = [...open, ...AS_USER, ...unshare, "--mount-proc"];
		inside.push("sh", "-c", SCRIPT, "sh", process.execPath, VLANE);
		const { status, stdout, stderr } = await start(inside, { env: { XDG_RUNTIME_DIR: directory } }).ended;
		assert.is(status, 0, stdout + stderr);
		assert.is(stdout.match(/1 received/g)?.length, 2, stdout);
		assert.match(stdout, /^CapPrm:\t0000000000283020\nNoNewPrivs:\t1$/m);
		assert.match(stdout, /^ended well$/m);
	} finally {
		remove();
		rmSync(directory, { recursive: true, force: true });
	}
});

testOrSkip(rootless, "without a namespace the daemon says what it lacks", need, () => {
	const { status, stderr } = run([...AS_USER, process.execPath, VLANE, "daemon", "--state-dir=/x", "--socket=/x/y"]);
	assert.is(status, 1);
	const missing = "CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN";
	assert.is(stderr, `the daemon needs ${missing} and does not have them; run it as root\n`);
});

rootless.run();
