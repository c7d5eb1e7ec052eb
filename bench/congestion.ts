/**
 * How TCP senders of measurements react to congestion, as flags for a client of iperf3. A machine may have another one
 * by default (`net.ipv4.tcp_congestion_control`), and that decides how fast TCP is more than any switch does: BBR paces
 * by timers.
 */
import { readFileSync } from "node:fs";

/** Linux's own default (tcp(7)). */
export const CUBIC = ["-C", "cubic"];
export const BBR = ["-C", "bbr"];

/** Whether this kernel has BBR at hand. */
export const hasBbr = (): boolean =>
	/\bbbr\b/.test(readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "latin1"));
