/** The client behind JSON lines on stdin and stdout. */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { anyTransport, FileStore } from "../src/node.js";
import { answer } from "./lines.js";
import { about, clientOps, type Platform } from "./ops.js";

const platform: Platform = {
  transports: ["ws", "tcp", "tls"],
  store: (folder) => new FileStore(folder),
  transport: (ca, serverName) =>
    anyTransport({ ca: ca === undefined ? undefined : readFileSync(ca, "utf8"), serverName }),
};
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const ops = clientOps(platform, say);

// Requests are answered as they are done, in any order; an op of one client does not hold up another.
for await (const line of createInterface({ input: process.stdin })) void answer(line, about(platform), ops, say);
process.exit(0);
