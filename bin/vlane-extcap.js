#!/usr/bin/env node
import { extcap } from "../dist/src/cli/extcap.js";

process.exit(await extcap(process.argv.slice(2)));
