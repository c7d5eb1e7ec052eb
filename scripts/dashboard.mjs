/**
 * Bundles the dashboard's page: `node scripts/dashboard.mjs DIST` writes DIST/dashboard, which needs nothing from
 * elsewhere.
 */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const source = fileURLToPath(new URL("../dashboard/", import.meta.url));
const output = join(process.argv[2] ?? "dist", "dashboard");
mkdirSync(output, { recursive: true });
await build({
	entryPoints: [join(source, "app.ts")],
	outdir: output,
	bundle: true,
	minify: true,
	format: "esm",
	target: "es2022",
	legalComments: "inline",
	logLevel: "warning",
});
for (const name of ["index.html", "icon.svg"]) copyFileSync(join(source, name), join(output, name));
