/** The daemon's answers. The token stands behind `#token=` in the address that `vlane dashboard` prints. */

import type { ApiEndpoint, ApiNetwork, ApiPort, ApiStation } from "../src/control/types.js";

export type { ApiEndpoint, ApiNetwork, ApiPort, ApiStation };

/** What GET /info says. */
export interface Info {
	Version: string;
	Pid: number;
	/** Seconds. */
	Uptime: number;
	Datapath: string;
}

/** The daemon does not know the token, or none was given. */
export class Unauthorized extends Error {}

const KEY = "vlane.token";

/** Keeps the token of the page's address for this tab, and takes it out of the address. */
export function takeToken(): void {
	const token = new URLSearchParams(location.hash.slice(1)).get("token");
	if (token === null) return;
	sessionStorage.setItem(KEY, token);
	history.replaceState(undefined, "", location.pathname);
}

/**
 * An answer as it comes.
 * @throws Unauthorized; Error with the daemon's message; TypeError when it can not be reached
 */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
	const headers = { Authorization: `Bearer ${sessionStorage.getItem(KEY) ?? ""}` };
	const response = await fetch(`api${path}`, { ...init, headers, cache: "no-store" });
	if (response.status === 401) throw new Unauthorized("the token is missing, or another daemon's");
	if (response.ok) return response;
	const { message } = (await response.json().catch(() => ({}))) as { message?: string };
	throw new Error(message ?? `status ${response.status}`);
}

/** An answer's JSON. Throws as `request` does. */
export async function get<T>(path: string): Promise<T> {
	return (await request(path)).json() as Promise<T>;
}
