#!/usr/bin/env node
import("../dist/src/cli/extcap.js")
	.then(({ extcap }) => extcap(process.argv.slice(2)))
	.then((status) => process.exit(status));
