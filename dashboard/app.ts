/** The page: which view is shown, and the clock that asks the daemon. */
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { addressesView } from "./addresses.js";
import { type ApiEndpoint, type ApiNetwork, type ApiPort, get, type Info, takeToken, Unauthorized } from "./api.js";
import { captureView } from "./capture.js";
import { byId, h } from "./dom.js";
import { duration } from "./format.js";
import { Model } from "./model.js";
import { hideSheet } from "./sheet.js";
import { topologyView } from "./topology.js";
import { trafficView } from "./traffic.js";
import type { View } from "./view.js";

const PERIOD_MS = 1000;

const model = new Model();
let view: View | undefined;
let isLocked = false;

const VIEWS: Record<string, { title: string; make: () => View }> = {
	topology: { title: "Topology", make: () => topologyView(model) },
	traffic: { title: "Traffic", make: () => trafficView(model) },
	addresses: { title: "Addresses", make: () => addressesView(report) },
	capture: { title: "Capture", make: () => captureView(model) },
};

function route(): void {
	takeToken();
	const name = Object.hasOwn(VIEWS, location.hash.slice(1)) ? location.hash.slice(1) : "topology";
	const links = Object.entries(VIEWS).map(([key, { title }]) =>
		h("a", { href: `#${key}`, "aria-current": key === name ? "page" : undefined }, title),
	);
	byId("nav").replaceChildren(...links);
	hideSheet();
	view?.unmount?.();
	const main = byId("view");
	main.replaceChildren();
	view = VIEWS[name]?.make();
	view?.mount(main);
}

async function tick(): Promise<void> {
	try {
		const [info, ports, networks, endpoints] = await Promise.all([
			get<Info>("/info"),
			get<ApiPort[]>("/ports"),
			get<ApiNetwork[]>("/networks"),
			get<ApiEndpoint[]>("/endpoints"),
		]);
		model.networks = networks;
		model.endpoints = endpoints;
		model.update(info, ports, Date.now() / 1000);
		if (isLocked) location.reload();
		say("live", `${info.Version} · ${info.Datapath} · up ${duration(info.Uptime)}`);
		view?.update();
	} catch (error) {
		report(error);
	}
	setTimeout(tick, PERIOD_MS);
}

function report(error: unknown): void {
	if (error instanceof Unauthorized) lock();
	else if (error instanceof TypeError) say("away", "the daemon does not answer; trying again");
	else say("away", error instanceof Error ? error.message : String(error));
}

/** Nothing can be shown without a token. */
function lock(): void {
	say("away", "no access");
	if (isLocked) return;
	isLocked = true;
	view?.unmount?.();
	view = undefined;
	const how = h("p", {}, "Open the address that this command prints on the host:");
	byId("view").replaceChildren(h("div", { class: "empty" }, how, h("pre", {}, "vlane dashboard")));
}

function say(state: "live" | "away", text: string): void {
	const status = byId("status");
	status.className = state;
	status.textContent = text;
}

addEventListener("hashchange", () => {
	if (isLocked) {
		takeToken();
		location.reload();
	} else {
		route();
	}
});
addEventListener("keydown", (event) => event.key === "Escape" && hideSheet());
route();
void tick();
