// One file each: the adapters for Node, and the page for browsers. A test run starts the adapter many times; one file loads fastest.
import { build } from "esbuild";

const shared = { bundle: true, format: "esm", target: "es2022", outdir: "dist", logLevel: "warning" };
await build({ ...shared, platform: "node", entryPoints: ["adapter/adapter.ts", "adapter/codec-adapter.ts"] });
await build({ ...shared, platform: "browser", format: "iife", entryPoints: ["adapter/browser.ts"], minify: true });
