#!/usr/bin/env node
"use strict";
require("../dist/cni/vlane-cni.cjs")
	.main()
	.then((status) => {
		process.exitCode = status;
	});
