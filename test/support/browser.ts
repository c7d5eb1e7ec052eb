/** A real Chromium in a namespace of a test. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { onCleanup } from "./cleanup.js";
import { which } from "./needs.js";
import type { Namespace } from "./netns.js";

/** How a page is looked at. */
export interface Look {
	width: number;
	height: number;
	colors: "light" | "dark";
}

export interface OpenPage {
	page: Page;
	/** What went wrong in the page: its errors, and requests to elsewhere. */
	complaints: string[];
}

/** A browser whose network is the namespace's; ends with the test. */
export async function startBrowser(ns: Namespace): Promise<Browser> {
	const directory = mkdtempSync(join(tmpdir(), "vlane-browser-"));
	onCleanup(() => rmSync(directory, { recursive: true, force: true }));
	const command = join(directory, "chromium");
	writeFileSync(command, `#!/bin/sh\nexec ip netns exec ${ns.name} ${which("chromium")} "$@"\n`);
	chmodSync(command, 0o755);
	const browser = await chromium.launch({
		executablePath: command,
		args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
		env: { ...(process.env as Record<string, string>), HOME: directory },
	});
	onCleanup(() => void browser.close());
	return browser;
}

/** A page that asks nobody but `base`. */
export async function openPage(browser: Browser, base: string, { width, height, colors }: Look): Promise<OpenPage> {
	const context = await browser.newContext({ viewport: { width, height }, colorScheme: colors, acceptDownloads: true });
	const page = await context.newPage();
	const complaints: string[] = [];
	page.on("pageerror", (error) => complaints.push(error.message));
	page.on("request", (request) => {
		const url = request.url();
		if (!url.startsWith(base) && !url.startsWith("blob:")) complaints.push(`asks ${url}`);
	});
	page.on("console", (message) => {
		// Answers that do not come, or say no, are what some tests are about.
		if (message.type() === "error" && !/Failed to load resource/.test(message.text())) complaints.push(message.text());
	});
	return { page, complaints };
}
