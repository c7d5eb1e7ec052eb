/** A capture that is started here, grows in the browser, and is saved as pcapng. */
import { request } from "./api.js";
import { h } from "./dom.js";
import { scaled } from "./format.js";
import type { Model } from "./model.js";
import type { View } from "./view.js";

/** What a tab keeps at most, in bytes. */
const BYTES_MAX = 256 << 20;

/** A capture outlives the view: whoever comes back finds it running, or finished. */
interface Capture {
	of: string;
	chunks: Uint8Array<ArrayBuffer>[];
	bytes: number;
	/** Number for the daemon; undefined before its answer has begun. */
	id?: string;
	state: "running" | "stopping" | "finished" | "failed";
	problem: string;
	/** Of what was captured, once it is finished. */
	url?: string;
}

let current: Capture | undefined;
/** The view that is shown, if any. */
let show: () => void = () => undefined;

export function captureView(model: Model): View {
	const of = h("select", { name: "of", "aria-label": "Port or network" });
	const filter = h("input", {
		name: "filter",
		placeholder: "all frames; e.g. icmp or host 10.9.0.1",
		autocapitalize: "off",
		spellcheck: "false",
		size: 30,
	});
	const seconds = h("input", { name: "seconds", type: "number", min: 1, max: 3600, value: 30 });
	const start = h("button", { type: "submit", class: "button" }, "Start");
	const form = h(
		"form",
		{
			submit: (event) => {
				event.preventDefault();
				void run(of.value, filter.value, seconds.value);
			},
		},
		h("label", {}, "Port or network", of),
		h("label", {}, "Filter", filter),
		h("label", {}, "Seconds", seconds),
		start,
	);
	const outcome = h("div", { class: "outcome", role: "status" });
	let offered = "";
	let shown = "";

	const update = (): void => {
		const networks = model.networks.filter(({ ConfigOnly }) => !ConfigOnly).map(({ Name }) => Name);
		const ports = model.ports.map(({ name }) => name);
		const next = JSON.stringify([networks, ports]);
		if (next === offered) return;
		offered = next;
		const chosen = of.value;
		const group = (label: string, names: string[]) =>
			h("optgroup", { label }, ...names.map((name) => h("option", { value: name, selected: name === chosen }, name)));
		of.replaceChildren(group("Networks", networks), group("Ports", ports));
	};
	const refresh = (): void => {
		const isBusy = current?.state === "running" || current?.state === "stopping";
		start.toggleAttribute("disabled", isBusy);
		const state = `${current?.state} ${current?.of}`;
		// A button that is replaced at every frame can not be pressed.
		if (state !== shown) outcome.replaceChildren(...(current ? outcomeOf(current) : []));
		else if (isBusy && current) outcome.querySelector("p")?.replaceChildren(progress(current));
		shown = state;
	};
	return {
		mount(main) {
			main.append(h("section", { class: "capture" }, form, outcome));
			show = refresh;
			update();
			refresh();
		},
		update,
		unmount() {
			show = () => undefined;
		},
	};
}

async function run(of: string, filter: string, seconds: string): Promise<void> {
	if (current?.url !== undefined) URL.revokeObjectURL(current.url);
	const capture: Capture = { of, chunks: [], bytes: 0, state: "running", problem: "" };
	current = capture;
	show();
	try {
		const query = new URLSearchParams({ of, seconds });
		if (filter.trim() !== "") query.set("filter", filter);
		const response = await request(`/capture?${query}`);
		capture.id = response.headers.get("Capture-Id") ?? undefined;
		const reader = response.body?.getReader();
		for (let read = await reader?.read(); read?.value; read = await reader?.read()) {
			capture.chunks.push(read.value);
			capture.bytes += read.value.length;
			if (capture.bytes > BYTES_MAX) void stop(capture);
			show();
		}
		capture.state = "finished";
	} catch (error) {
		capture.state = capture.chunks.length > 0 ? "finished" : "failed";
		capture.problem = error instanceof TypeError ? "the daemon has ended" : (error as Error).message;
	}
	show();
}

/** What is on its way still comes, and with it the counts of what was lost. */
async function stop(capture: Capture): Promise<void> {
	if (capture.state !== "running" || capture.id === undefined) return;
	capture.state = "stopping";
	show();
	await request(`/captures/${capture.id}`, { method: "DELETE" }).catch(() => undefined);
}

function progress({ of, bytes }: Capture): string {
	return `Capturing ${of}: ${scaled(bytes)}B so far`;
}

function outcomeOf(capture: Capture): HTMLElement[] {
	const { of, bytes, state, problem } = capture;
	if (state === "failed") return [h("p", { class: "error" }, problem)];
	if (state !== "finished") {
		const button = h("button", { type: "button", class: "button second", click: () => void stop(capture) }, "Stop");
		return [h("p", {}, progress(capture)), button];
	}
	capture.url ??= URL.createObjectURL(new Blob(capture.chunks, { type: "application/x-pcapng" }));
	const name = `${of.replace(/[^\w.-]+/g, "-")}.pcapng`;
	const link = h("a", { class: "button", href: capture.url, download: name }, `Save ${name}`);
	const said = h("p", {}, `Captured ${of}: ${scaled(bytes)}B`);
	return problem === "" ? [said, link] : [said, link, h("p", { class: "error" }, problem)];
}
