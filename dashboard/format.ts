/** Numbers as people read them. */

const DIGITS = 3;

/** `1.25 Mb/s`; a dash for what is not known yet. */
export function bitRate(bitsPerSecond: number | undefined): string {
	return bitsPerSecond === undefined ? "–" : `${scaled(bitsPerSecond)}b/s`;
}

/** `12 k`, `1.5 M`: with the prefix that leaves at most three digits in front of the point. */
export function scaled(value: number): string {
	if (value < 1) return value < 0.05 ? "0 " : `${value.toFixed(1)} `;
	const step = Math.min(4, Math.floor(Math.log10(value) / 3));
	const number = value / 1000 ** step;
	const text = number >= 100 ? number.toFixed(0) : String(Number(number.toPrecision(DIGITS)));
	return `${text} ${["", "k", "M", "G", "T"][step]}`;
}

/** `12,345,678`. */
export function count(value: number): string {
	return value.toLocaleString("en");
}

/** `3 d 4 h`, `5 min`, `12 s`: the two largest units. */
export function duration(seconds: number): string {
	const parts: string[] = [];
	let rest = Math.floor(seconds);
	for (const [unit, size] of [
		["d", 86400],
		["h", 3600],
		["min", 60],
		["s", 1],
	] as const) {
		if (rest >= size || (unit === "s" && parts.length === 0)) parts.push(`${Math.floor(rest / size)} ${unit}`);
		rest %= size;
	}
	return parts.slice(0, 2).join(" ");
}
