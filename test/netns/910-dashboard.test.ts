/**
 * The dashboard in a real browser, beside a switch that forwards. With VLANE_SCREENSHOTS=DIRECTORY it leaves pictures.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readCapture } from "../../src/lib/index.js";
import { type Look, openPage, startBrowser } from "../support/browser.js";
import { makeLan } from "../support/lan.js";
import { needs, testOrSkip } from "../support/needs.js";
import type { Started } from "../support/netns.js";
import { Site } from "../support/site.js";
import { startVlane } from "../support/vlane.js";

const NEED = { root: true, tun: true, tools: ["ip", "ping", "chromium"] };
const BASE = "http://127.0.0.1:8080/";
const DASHBOARD = ["--dashboard", "127.0.0.1:8080"];
const DESKTOP: Look = { width: 1280, height: 800, colors: "light" };
const PHONE: Look = { width: 390, height: 844, colors: "dark" };

const tests = suite("dashboard");
let site: Site;
let browser: Browser;
let url: string;
let traffic: Started[] = [];

tests.before(async () => {
	if (needs(NEED)) return;
	const lan = await makeLan({ vlans: [50] });
	site = new Site(lan, await startVlane(lan.host, ...DASHBOARD));
	lan.host.must(["ip", "link", "set", "lo", "up"]);
	site.create("pub_net", "--subnet=172.16.86.0/24", "--gateway=172.16.86.1", "-o", "parent=eth0");
	site.create("lan50", "--subnet=192.168.50.0/24", "--gateway=192.168.50.1", "-o", "parent=eth0.50");
	site.create("back", "--subnet=10.9.0.0/24");
	for (const name of ["web", "api"]) site.run(name, "--network=pub_net");
	site.run("printer", "--network=lan50");
	for (const name of ["db", "cache", "queue"]) site.run(name, "--network=back");
	url = site.vlane.must("dashboard");
	const ping = (from: string, to: string) =>
		site.vlane.start("exec", from, "ping", "-q", "-i", "0.01", "-s", "1400", to);
	traffic = [ping("web", "172.16.86.3"), ping("db", "10.9.0.2")];
	browser = await startBrowser(lan.host);
});

tests.after(async () => {
	if (needs(NEED)) return;
	await browser.close();
	for (const started of traffic) await started.stop("SIGINT");
	await site.close();
});

/** A page with the dashboard in it, in which nothing may go wrong. */
async function withPage(look: Look, address: string, body: (page: Page) => Promise<void>): Promise<void> {
	const { page, complaints } = await openPage(browser, BASE, look);
	page.setDefaultTimeout(15_000);
	await page.goto(address);
	await body(page);
	assert.equal(complaints, []);
	await page.context().close();
}

async function picture(page: Page, name: string): Promise<void> {
	const directory = process.env.VLANE_SCREENSHOTS;
	if (directory) await page.screenshot({ path: join(directory, `${name}.png`) });
}

/** Nothing sticks out to the right. */
async function fits(page: Page): Promise<void> {
	const [content, screen] = (await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")) as [
		number,
		number,
	];
	assert.ok(content <= screen, `${content} > ${screen}`);
	// The views begin where their headings do, on a line of their own if they have to.
	const [title, views] = [await page.locator("h1").boundingBox(), await page.locator("#nav").boundingBox()];
	assert.ok(title && views && (views.x === title.x || views.y < title.y + title.height), `${views?.x}, ${views?.y}`);
}

const texts = (page: Page, selector: string): Promise<string[]> => page.locator(selector).allTextContents();

testOrSkip(
	tests,
	"the address has a token, which only its owner can read, and which goes from the address",
	NEED,
	async () => {
		assert.match(url, /^http:\/\/127\.0\.0\.1:8080\/#token=[0-9a-f]{64}$/);
		const file = join(site.vlane.stateDirectory, "dashboard.token");
		assert.is(statSync(file).mode & 0o777, 0o600);
		assert.is(url.split("=")[1], readFileSync(file, "utf8").trim());
		await withPage(DESKTOP, url, async (page) => {
			await page.locator("#status.live").waitFor();
			assert.is(page.url(), BASE);
		});
	},
);

/** The other two show the same in other colours: they are for pictures. */
const LOOKS: Record<string, Look> = {
	desktop: DESKTOP,
	phone: PHONE,
	...(process.env.VLANE_SCREENSHOTS && {
		"desktop-dark": { ...DESKTOP, colors: "dark" },
		"phone-light": { ...PHONE, colors: "light" },
	}),
};

for (const [name, look] of Object.entries(LOOKS)) {
	testOrSkip(tests, `${name}: every view shows the switch at work`, NEED, async () => {
		await withPage(look, url, async (page) => {
			await page.locator(".node.busy").first().waitFor();
			const titles = await texts(page, ".node .title");
			for (const title of [
				"eth0",
				"untagged",
				"VLAN 50",
				"pub_net",
				"web",
				"api",
				"printer",
				"this host",
				"back",
				"db",
			]) {
				assert.ok(titles.includes(title), `${title} in ${titles}`);
			}
			await page.locator(".node.endpoint.busy .rate", { hasText: "b/s" }).first().waitFor();
			await fits(page);
			await picture(page, `${name}-topology`);
			await page.locator(".node", { hasText: "web" }).click();
			await page.locator("#sheet", { hasText: "172.16.86.2/24" }).waitFor();
			await picture(page, `${name}-sheet`);
			await page.keyboard.press("Escape");
			assert.not.ok(await page.locator("#sheet").isVisible());

			await page.getByRole("link", { name: "Traffic" }).click();
			await page.locator(".ports button", { hasText: "pub_net/web" }).click();
			await page.locator(".chart h2", { hasText: "pub_net/web" }).waitFor();
			await page.locator(".legend .in", { hasText: /[1-9].*b\/s/ }).waitFor();
			assert.is(await page.locator(".figures canvas").count(), 2);
			if (process.env.VLANE_SCREENSHOTS) await page.waitForTimeout(5000);
			await fits(page);
			await picture(page, `${name}-traffic`);

			await page.getByRole("link", { name: "Addresses" }).click();
			await page.locator("tbody tr").nth(5).waitFor();
			await fits(page);
			await picture(page, `${name}-addresses`);
			// The host's own interface on the VLAN is a station, too.
			await page.locator("tbody tr", { hasText: "eth0.50" }).first().waitFor();
			await page.getByRole("searchbox").fill("back 10.9.0.2");
			assert.equal(await texts(page, "tbody td:nth-child(3)"), ["cache"]);
			await page.getByRole("searchbox").fill("nobody");
			assert.is(await page.locator("tbody tr").count(), 0);
		});
	});
}

testOrSkip(tests, "a capture is started, stopped and saved", NEED, async () => {
	await withPage(PHONE, url, async (page) => {
		await page.locator("#status.live").waitFor();
		await page.getByRole("link", { name: "Capture" }).click();
		await page.getByLabel("Port or network").first().selectOption("back");
		await page.getByLabel("Filter").fill("icmp or or");
		await page.getByRole("button", { name: "Start" }).click();
		await page.locator(".outcome .error").waitFor();
		await page.getByLabel("Filter").fill("icmp");
		await page.getByRole("button", { name: "Start" }).click();
		await page.locator(".outcome", { hasText: /[1-9][.\d]* kB so far/ }).waitFor();
		await fits(page);
		await picture(page, "capture");
		// It goes on while somebody looks elsewhere.
		await page.getByRole("link", { name: "Traffic" }).click();
		await page.getByRole("link", { name: "Capture" }).click();
		await page.getByRole("button", { name: "Stop" }).click();
		const saving = page.waitForEvent("download");
		await page.getByRole("link", { name: "Save back.pcapng" }).click();
		const path = join(site.vlane.directory, "back.pcapng");
		await (await saving).saveAs(path);
		await picture(page, "captured");
		let frames = 0;
		for (const { bytes } of readCapture(path)) {
			assert.equal([...bytes.subarray(12, 14)], [8, 0]);
			frames++;
		}
		assert.ok(frames > 0);
	});
});

testOrSkip(tests, "a page that is open goes on when the daemon has been started anew", NEED, async () => {
	await withPage(DESKTOP, url, async (page) => {
		await page.locator(".node.busy").first().waitFor();
		await page.evaluate("window.isSame = true");
		await site.vlane.stopDaemon();
		await page.locator("#status.away").waitFor();
		await picture(page, "away");
		await site.vlane.startDaemon(...DASHBOARD);
		await page.locator("#status.live").waitFor();
		await page.locator(".node.endpoint.busy").first().waitFor();
		site.create("fresh", "--subnet=10.10.0.0/24");
		await page.locator(".node", { hasText: "fresh" }).waitFor();
		assert.ok(await page.evaluate("window.isSame"), "it was not loaded anew");
	});
});

testOrSkip(tests, "names from the daemon are never read as markup", NEED, async () => {
	await site.ask("POST", "/networks/create", {
		Name: "x",
		Labels: {},
		Options: {},
		IPAM: { Config: [{ Subnet: "10.66.0.0/24" }] },
	});
	const ns = site.namespace("m");
	const name = '<img src=x onerror="document.title=1">';
	await site.ask("POST", "/networks/x/connect", { Target: `netns:${ns.path}`, Name: name }).catch(() => undefined);
	await withPage(DESKTOP, url, async (page) => {
		await page.locator(".node", { hasText: "10.66.0.0/24" }).waitFor();
		assert.is(await page.title(), "vlane");
		assert.is(await page.locator("img").count(), 0);
	});
});

testOrSkip(tests, "without the token there is a page, and nothing in it", NEED, async () => {
	await withPage(PHONE, BASE, async (page) => {
		await page.locator("pre", { hasText: "vlane dashboard" }).waitFor();
		await picture(page, "locked");
		assert.is(await page.locator(".node").count(), 0);
		// The address with the token, typed into the same tab.
		await page.goto(url);
		await page.locator("#status.live").waitFor();
	});
	const ask = (path: string, ...curl: string[]) =>
		site.lan.host.must([process.execPath, "-e", ASK, `${BASE}${path}`, JSON.stringify(curl)]).trim();
	const good = `Bearer ${url.split("=")[1]}`;
	assert.match(ask("api/info", "GET", good), /^200 .*"Version"/);
	for (const token of ["", "Bearer", `Bearer ${"0".repeat(64)}`, good.toUpperCase(), `Basic ${good.slice(7)}`]) {
		assert.match(ask("api/networks", "GET", token), /^401 .*vlane dashboard/);
	}
	assert.match(ask("api/networks/create", "POST", good), /^405 /);
	assert.match(ask("api/networks/fresh", "DELETE", good), /^405 /);
	for (const path of ["../package.json", "..%2fpackage.json", "nothing", "api/nothing"]) {
		assert.match(ask(path, "GET", good), /^404 /, path);
	}
});

/** Prints status and body of one request. */
const ASK = `
const [url, more] = process.argv.slice(1);
const [method, authorization] = JSON.parse(more);
fetch(url, { method, headers: authorization ? { authorization } : {} })
	.then(async (answer) => console.log(answer.status, await answer.text()));
`;

testOrSkip(tests, "it is served to this host only, unless the user insists, and never by default", NEED, async () => {
	const refused = (...flags: string[]) =>
		site.vlane.vlane(
			"daemon",
			"--socket",
			join(site.vlane.directory, "b.sock"),
			"--state-dir",
			join(site.vlane.directory, "b"),
			"--docker-plugin-dir",
			"none",
			...flags,
		);
	for (const address of ["0.0.0.0:8081", "[::]:8081", "172.16.86.250:8081"]) {
		const { status, stderr } = refused("--dashboard", address);
		assert.is(status, 1);
		assert.is(
			stderr,
			`--dashboard ${address} can be reached from other hosts, over plain HTTP; add --dashboard-remote to allow that\n`,
		);
	}
	for (const address of ["8081", "example.com:80", "127.0.0.1:99999", ":8081", "127.0.0.1"]) {
		const { status, stderr } = refused("--dashboard", address);
		assert.equal([status, stderr], [1, `invalid --dashboard "${address}": expected 127.0.0.1:PORT or [::1]:PORT\n`]);
	}
	const { stderr } = refused("--dashboard", "127.0.0.1:8080");
	assert.match(stderr, /cannot serve the dashboard on 127\.0\.0\.1:8080: .*EADDRINUSE.*; give another address\n$/);
	await site.vlane.stopDaemon();
	await site.vlane.startDaemon("--dashboard", "0.0.0.0:8080", "--dashboard-remote");
	assert.match(site.vlane.must("dashboard"), /^http:\/\/127\.0\.0\.1:8080\/#token=/);
	await site.vlane.stopDaemon();
	await site.vlane.startDaemon();
	assert.is(
		site.vlane.vlane("dashboard").stderr,
		"the daemon serves no dashboard; start it with: vlane daemon --dashboard 127.0.0.1:8080\n",
	);
});

tests.run();
