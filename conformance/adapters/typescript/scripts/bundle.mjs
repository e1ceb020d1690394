// One file each: the adapters for Node, and the page for browsers. A test run starts the adapter many times; one file loads fastest.
import { build } from "esbuild";

const shared = { bundle: true, target: "es2022", outdir: "dist", logLevel: "warning" };
// `ws` is made of CommonJS modules, which ask for those of Node by `require`.
const js = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
await build({
  ...shared,
  platform: "node",
  format: "esm",
  banner: { js },
  entryPoints: ["adapter/adapter.ts", "adapter/codec-adapter.ts"],
});
await build({ ...shared, platform: "browser", format: "iife", minify: true, entryPoints: ["adapter/browser.ts"] });
