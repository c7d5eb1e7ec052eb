/** The systemd unit of the daemon: up before Docker, because an engine does not wait for a driver that is not there. */

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
}

/** The unit file's text (systemd.unit(5), systemd.service(5)). */
export function unitText({ node, command, pluginDir }: UnitSpec): string {
	const daemon = [node, command, "daemon", "--docker-plugin-dir", pluginDir].map(quote).join(" ");
	// The unit counts as started when the driver answers: /run is empty after a boot, so the socket is not an old one.
	const isThere = `until [ -S "${pluginDir}/vlane.sock" ]; do sleep 0.1; done`;
	return `[Unit]
Description=vlane, macvlan and 802.1Q networks for Docker
After=network.target
Before=docker.service

[Service]
ExecStart=${daemon}
ExecStartPost=/bin/sh -c ${quote(isThere)}
TimeoutStartSec=30
Restart=always
RestartSec=1
LimitNOFILE=1048576

[Install]
WantedBy=multi-user.target
`;
}

/** One word of a command line: quotes and backslashes escaped, % and $ doubled. */
function quote(word: string): string {
	const escaped = word.replace(/[\\"]/g, "\\$&").replaceAll("%", "%%").replaceAll("$", "$$$$");
	return /^[\w./:=-]+$/.test(word) ? word : `"${escaped}"`;
}
