/**
 * Times as docker writes them.
 */

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;

/** Roughly how long `milliseconds` is: `5 seconds`, `About a minute`, `3 weeks` (docker/go-units HumanDuration). */
export function humanDuration(milliseconds: number): string {
	const seconds = Math.floor(milliseconds / 1000);
	if (seconds < 1) return "Less than a second";
	if (seconds === 1) return "1 second";
	if (seconds < MINUTE_SECONDS) return `${seconds} seconds`;
	const minutes = Math.floor(seconds / MINUTE_SECONDS);
	if (minutes === 1) return "About a minute";
	if (minutes < 60) return `${minutes} minutes`;
	const hours = Math.round(seconds / HOUR_SECONDS);
	if (hours === 1) return "About an hour";
	if (hours < 48) return `${hours} hours`;
	if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
	if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
	if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
	return `${Math.floor(hours / 24 / 365)} years`;
}

/** An RFC 3339 time in UTC as Go prints it: `2024-05-01 10:00:00.5 +0000 UTC`. */
export function goTime(rfc3339: string): string {
	const parts = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(rfc3339);
	if (parts === null) return rfc3339;
	const fraction = (parts[3] ?? "").replace(/\.?0+$/, "");
	return `${parts[1]} ${parts[2]}${fraction} +0000 UTC`;
}
