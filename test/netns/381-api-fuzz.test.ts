/** Requests that nobody should send, to the API and to Docker's socket. `VLANE_FUZZ_REQUESTS=N` sends more. */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fuzzApi } from "../fuzz/api.js";
import { testOrSkip } from "../support/needs.js";

const REQUESTS = Number(process.env.VLANE_FUZZ_REQUESTS ?? 2000);

const tests = suite("api fuzz");

testOrSkip(
	tests,
	"no request crashes the daemon, leaks, or changes anything when refused",
	{ root: true, tun: true },
	async () => {
		const { requests, refused } = await fuzzApi(REQUESTS);
		assert.ok(requests >= REQUESTS);
		assert.ok(refused > requests / 2 && refused < requests, `${refused} of ${requests} refused: some are right`);
	},
);

tests.run();
