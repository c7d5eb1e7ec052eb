/**
 * The systemd unit of the daemon: up before Docker, because an engine does not wait for a driver that is not there, and
 * confined to what it uses.
 */
import { DAEMON_CAPABILITIES } from "../control/capabilities.js";
import { SPARING_ARGV } from "../sys/memory.js";

/** Name of the unit. */
export const UNIT = "vlane.service";

/** What the unit starts. */
export interface UnitSpec {
	/** Absolute path of node. */
	node: string;
	/** Absolute path of bin/vlane.js. */
	command: string;
	/** Where the engine looks for drivers. */
	pluginDir: string;
	/** Who may use the API besides root: name or number of a group. */
	socketGroup?: string;
}

/** Without a sign of life for so long, of the control plane and of each forwarding thread, it is started again. */
const WATCHDOG_SECONDS = 30;

const CAPABILITIES = DAEMON_CAPABILITIES.join(" ");

/**
 * What the daemon can do without (systemd.exec(5), systemd.resource-control(5)). What is absent here is needed: code
 * made while it runs (V8), /proc of other processes, and directories in which namespaces have names, /tmp among them.
 * Mounts are followed, so that namespaces which get a name later are seen. The daemon does work that others cause: at
 * the same priority as senders without end it would get the less done the more they send (docs/reliability.md). Its
 * weight is among the groups of containers, where each has 100; its niceness counts where there are no such groups.
 * The cache is for what V8 has compiled (src/cli/keptcode.ts).
 */
const LIMITS = `\
StateDirectory=vlane
StateDirectoryMode=0700
CacheDirectory=vlane
CacheDirectoryMode=0700
RuntimeDirectoryPreserve=yes
NoNewPrivileges=yes
CapabilityBoundingSet=${CAPABILITIES}
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ReadWritePaths=/proc/sys/net
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_XDP
RestrictNamespaces=net
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service @pkey bpf
SystemCallFilter=~@keyring @resources @setuid process_vm_readv process_vm_writev
SystemCallFilter=sched_setaffinity sched_setattr
SystemCallErrorNumber=EPERM
LimitNOFILE=1048576
LimitMEMLOCK=infinity
CPUWeight=1000
Nice=-10
OOMScoreAdjust=-500`;

/** The unit file's text (systemd.unit(5), systemd.service(5)). */
export function unitText({ node, command, pluginDir, socketGroup }: UnitSpec): string {
	const group = socketGroup === undefined ? [] : ["--socket-group", socketGroup];
	const daemon = [node, ...SPARING_ARGV, command, "daemon", "--docker-plugin-dir", pluginDir, ...group]
		.map(quote)
		.join(" ");
	// A successor that ExecReload starts has to know where systemd listens, too: exec.
	return `[Unit]
Description=vlane, macvlan and 802.1Q networks for Docker
After=network.target
Before=docker.service
StartLimitIntervalSec=60
StartLimitBurst=30

[Service]
Type=notify
NotifyAccess=exec
ExecStart=${daemon}
ExecReload=${daemon} --replace --detach
FileDescriptorStoreMax=16384
TimeoutStartSec=30
WatchdogSec=${WATCHDOG_SECONDS}
Restart=always
RestartSec=0

${LIMITS}
${writable(pluginDir)}
${group.length > 0 ? `SupplementaryGroups=${socketGroup}\n` : ""}
[Install]
WantedBy=multi-user.target
`;
}

/** Makes a directory that the daemon may write to: below /run systemd makes it, elsewhere it has to be there. */
function writable(directory: string): string {
	const [, runtime] = /^\/run\/(.+)$/.exec(directory) ?? [];
	return `RuntimeDirectory=vlane${runtime ? ` ${quote(runtime)}` : `\nReadWritePaths=${quote(directory)}`}`;
}

/** One word of a command line: quotes and backslashes escaped, % and $ doubled. */
function quote(word: string): string {
	const escaped = word.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
	return /^[\w./:=-]+$/.test(word) ? word : `"${escaped}"`;
}
