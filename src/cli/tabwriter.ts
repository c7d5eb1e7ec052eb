/**
 * Elastic tab stops, the algorithm of Go's text/tabwriter that docker's tables are written with: a column is a run of
 * consecutive lines that have a tab-terminated cell at that place, and it is as wide as its widest cell.
 */

/** Narrowest column, in characters. */
const WIDTH_MIN = 10;
/** Blanks between the widest cell of a column and the next column. */
const PADDING = 3;

/** Lays out `text`, whose cells end in a tab; the last cell of a line belongs to no column. */
export function alignTabs(text: string): string {
	const lines = text.split("\n").map((line) => line.split("\t"));
	const widths: number[] = [];
	const output: string[] = [];

	function write(from: number, to: number): void {
		for (const cells of lines.slice(from, to)) {
			output.push(cells.map((cell, column) => pad(cell, widths[column] ?? 0)).join(""));
		}
	}

	/** Lays out the lines `from`..`to`, for which the columns before `widths.length` are settled. */
	function layOut(from: number, to: number): void {
		const column = widths.length;
		let start = from;
		let index = from;
		while (index < to) {
			if (!hasCell(lines[index], column)) {
				index++;
				continue;
			}
			write(start, index);
			start = index;
			let width = WIDTH_MIN;
			for (; index < to && hasCell(lines[index], column); index++) {
				width = Math.max(width, textWidth(lines[index]?.[column] ?? "") + PADDING);
			}
			widths.push(width);
			layOut(start, index);
			widths.pop();
			start = index;
		}
		write(start, to);
	}

	layOut(0, lines.length);
	return output.join("\n");
}

function hasCell(cells: string[] | undefined, column: number): boolean {
	return cells !== undefined && column < cells.length - 1;
}

/** Code points, not UTF-16 units: `…` and letters beyond the BMP count once. */
function textWidth(text: string): number {
	return [...text].length;
}

function pad(cell: string, width: number): string {
	return cell + " ".repeat(Math.max(0, width - textWidth(cell)));
}
