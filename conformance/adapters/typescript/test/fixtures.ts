/** Reads the fixtures of the repository. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fromHex } from "../src/codec/bytes.js";
import type { Plain } from "../src/codec/plain.js";

const root = new URL("../../../../../fixtures/", import.meta.url).pathname;

/** A JSON file with the bytes beside it. */
export interface Fixture {
  readonly json: Plain & { name: string };
  readonly bytes: Uint8Array;
}

/** Every fixture of a folder and those below it. */
export function fixtures(folder: string): Fixture[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return names
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => {
      const path = join(root, folder, name);
      const json = JSON.parse(readFileSync(path, "utf8")) as Fixture["json"] & { hex: string };
      const text = readFileSync(join(dirname(path), json.hex), "utf8");
      return { json, bytes: fromHex(text.replaceAll(/\s/g, "")) };
    });
}

/** A table of `negotiation/`. */
export function table(name: string): { name: string; input: Plain; expected: Plain }[] {
  return (JSON.parse(readFileSync(join(root, "negotiation", `${name}.json`), "utf8")) as { cases: [] }).cases;
}
