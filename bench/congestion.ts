/**
 * How TCP senders of measurements react to congestion. A machine may have another one by default
 * (`net.ipv4.tcp_congestion_control`), and that decides how fast TCP is more than any switch does: BBR paces by timers.
 */
import { readFileSync } from "node:fs";

/** Linux's own default (tcp(7)). */
export const CUBIC = "cubic";
export const BBR = "bbr";

/** For a client of iperf3. */
export const congestionFlags = (control: string): string[] => ["-C", control];

/** Whether this kernel has it at hand. */
export function hasCongestionControl(control: string): boolean {
	return readFileSync("/proc/sys/net/ipv4/tcp_available_congestion_control", "latin1")
		.trim()
		.split(" ")
		.includes(control);
}
