/** What `vlane daemon` is told. */
import type { GroupFlags } from "./group.js";

export interface DaemonOptions extends GroupFlags {
	stateDir: string;
	/** Path of the API's unix socket. */
	socket: string;
	/** Who may write to it besides its owner: a group that this process is in. Absent: nobody. */
	socketGid?: number;
	logLevel: string;
	/** Put neighbouring frames of a flow together before they leave. */
	coalesce: boolean;
	/** Take over from the daemon that runs, if there is one. */
	replace?: boolean;
	/** Threads that move frames. */
	workers: number;
	/** Where Docker looks for drivers, or `none`. Absent: its usual place, unless that can not be used. */
	dockerPluginDir?: string;
	/** `ADDRESS:PORT`. Absent: there is none. */
	dashboard?: string;
	/** It may be reached from other hosts. */
	dashboardRemote?: boolean;
	/** `unix:PATH` or `ADDRESS:PORT`. Absent: there are none. */
	metrics?: string;
	/** They may be reached from other hosts, by who has the token. */
	metricsRemote?: boolean;
}
