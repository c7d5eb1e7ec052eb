/** Bars with whiskers as SVG, readable on light and on dark pages. */

/** One bar. */
export interface Bar {
	label: string;
	value: number;
	/** Ends of the whisker. */
	lowest: number;
	highest: number;
	/** Whether it is the one that the diagram is about. */
	isOurs: boolean;
}

/** Bars that share an axis. */
export interface Panel {
	title: string;
	bars: Bar[];
	/** Decimal places of the numbers. */
	digits: number;
}

const WIDTH = 760;
const LABEL_WIDTH = 90;
const NUMBER_WIDTH = 70;
const MARGIN = 16;
const BAR_HEIGHT = 16;
const BAR_STEP = 22;
const TITLE_HEIGHT = 26;
const FOOTER_HEIGHT = 22;
const OURS_FILL = "#d9480f";
const OTHER_FILL = "#74849a";
const FONT = "font-family='ui-sans-serif,system-ui,sans-serif'";

/** Text in an element or an attribute. */
function escaped(text: string): string {
	return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function text(x: number, y: number, size: number, content: string, more = ""): string {
	return `<text x="${x}" y="${y}" font-size="${size}" fill="#1c2430" ${FONT} ${more}>${escaped(content)}</text>`;
}

function panelSvg({ title, bars, digits }: Panel, top: number): string {
	const room = WIDTH - 2 * MARGIN - LABEL_WIDTH - NUMBER_WIDTH;
	const most = Math.max(...bars.map(({ highest }) => highest));
	const left = MARGIN + LABEL_WIDTH;
	const at = (value: number) => left + (value / most) * room;
	const parts = [text(MARGIN, top + 17, 14, title, "font-weight='600'")];
	for (const [index, { label, value, lowest, highest, isOurs }] of bars.entries()) {
		const y = top + TITLE_HEIGHT + index * BAR_STEP;
		const middle = y + BAR_HEIGHT / 2;
		const fill = isOurs ? OURS_FILL : OTHER_FILL;
		const width = (at(value) - left).toFixed(1);
		parts.push(
			text(left - 8, y + 12, 12, label, `text-anchor="end"${isOurs ? " font-weight='600'" : ""}`),
			`<rect x="${left}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${fill}"/>`,
			`<path d="M${at(lowest).toFixed(1)} ${middle}H${at(highest).toFixed(1)}" stroke="#1c2430" stroke-width="1.5"/>`,
			text(at(highest) + 8, y + 12, 12, value.toFixed(digits)),
		);
	}
	return parts.join("\n");
}

/** A picture of panels below each other, with a line about the conditions at its foot. */
export function panelsSvg(panels: Panel[], footer: string): string {
	const heights = panels.map(({ bars }) => TITLE_HEIGHT + bars.length * BAR_STEP + MARGIN);
	const height = MARGIN + heights.reduce((sum, value) => sum + value, 0) + FOOTER_HEIGHT;
	const tops = heights.map((_, index) => MARGIN + heights.slice(0, index).reduce((sum, value) => sum + value, 0));
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">`,
		`<title>${escaped(panels.map(({ title }) => title).join("; "))}</title>`,
		`<rect width="100%" height="100%" fill="#fbfbf9"/>`,
		...panels.map((panel, index) => panelSvg(panel, tops[index]!)),
		text(MARGIN, height - 8, 10, footer),
		"</svg>\n",
	].join("\n");
}
