/** The forwarding database: which port has an address. Every word of the search has to be found somewhere in a row. */
import { type ApiStation, get } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";
import type { View } from "./view.js";

/** More rows than a reader reads; the search finds the others. */
const ROWS_MAX = 500;
const REFRESH_MS = 3000;

export function addressesView(onError: (error: unknown) => void): View {
	let stations: ApiStation[] = [];
	let timer: ReturnType<typeof setInterval> | undefined;
	const search = h("input", {
		type: "search",
		placeholder: "Address, name, network or parent",
		"aria-label": "Search",
		autocapitalize: "off",
		spellcheck: "false",
		input: () => show(),
	});
	const summary = h("p", { class: "summary" });
	const body = h("tbody");
	const headers = ["Addresses", "MAC", "Name", "Network", "Parent", "Kind"];
	const table = h("table", {}, h("thead", {}, h("tr", {}, ...headers.map((text) => h("th", {}, text)))), body);

	const show = (): void => {
		const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
		const found = stations.filter((station) => {
			const text = Object.values(station).flat().join(" ").toLowerCase();
			return words.every((word) => text.includes(word));
		});
		const more = found.length > ROWS_MAX ? `, of which ${ROWS_MAX} are shown` : "";
		summary.textContent = `${count(found.length)} of ${count(stations.length)} stations${more}`;
		const rows = found.slice(0, ROWS_MAX).map((station) => {
			const { addresses, mac, name, network, parent, type } = station;
			const cells = [addresses.join(" "), mac, name.slice(name.indexOf("/") + 1), network, parent, type];
			return h("tr", {}, ...cells.map((text, column) => h("td", { "data-label": headers[column] }, text)));
		});
		body.replaceChildren(...rows);
	};
	const load = async (): Promise<void> => {
		try {
			stations = await get<ApiStation[]>("/fdb");
			show();
		} catch (error) {
			onError(error);
		}
	};
	return {
		mount(main) {
			main.append(h("section", { class: "addresses" }, search, summary, table));
			void load();
			timer = setInterval(load, REFRESH_MS);
		},
		update: () => undefined,
		unmount: () => clearInterval(timer),
	};
}
