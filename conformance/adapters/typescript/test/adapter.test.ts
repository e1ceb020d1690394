/** The adapters as programs: a conversation over their pipes, with a server that speaks WebSocket and TCP. */

import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { Plain } from "../src/codec/plain.js";
import { Conversation } from "./conversation.js";
import { TinyServer } from "./tiny.js";

/** An adapter in a process of its own. */
class Program extends Conversation {
  private readonly child: ChildProcessWithoutNullStreams;
  readonly exit: Promise<number | null>;

  constructor(name: string) {
    const child = spawn("node", [new URL(`../${name}`, import.meta.url).pathname]);
    super((line) => child.stdin.write(`${line}\n`));
    this.child = child;
    child.stderr.pipe(process.stderr);
    createInterface({ input: child.stdout }).on("line", (line) => this.heard(line));
    this.exit = new Promise((resolve) => child.on("exit", resolve));
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  end(): void {
    this.child.stdin.end();
  }
}

test("the client's adapter connects, sends, hands over, and goes on after a crash", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-"));
  const server = await TinyServer.start();
  try {
    for (const url of [server.ws, server.tcp]) {
      const client = { client: "k1" };
      const first = new Program("adapter.js");
      first.say({ hello: { protocol: 1, runner: "test" } });
      const { hello } = await first.line({});
      assert.deepEqual((hello as Plain).roles, ["client"]);
      assert.deepEqual(await first.ask("nobody-knows"), { id: 1, unsupported: true });
      const store = join(folder, url.slice(0, 3));
      const open = { ...client, url, token: "token", store, device: "0f".repeat(16), manual_clock: true, seed: 1 };
      assert.deepEqual((await first.ask("open", open)).ok, {});
      assert.equal((await first.line({ event: "connected" })).result, "FRESH");
      await first.line({ event: "synced" });
      await first.ask("send", {
        ...client,
        message: "m1",
        body: { to_user: "self", delivery: "STORE", content: "6869" },
      });
      assert.deepEqual((await first.line({ event: "accepted" })).msg_id, "1");
      const entry = await first.line({ event: "entry" });
      assert.deepEqual(
        [entry.type, (entry.body as Plain).content, (entry.body as Plain).pos],
        ["MESSAGE", "6869", "1"],
      );
      await first.ask("request", { ...client, request: "r1", type: "STATUS_GET", body: { user: "bob", msg_id: "9" } });
      assert.equal((await first.line({ event: "refused" })).code, "UNSUPPORTED_FRAME");
      assert.deepEqual((await first.ask("fence", client)).ok, {});
      assert.deepEqual((await first.ask("state", client)).ok, { connected: true, pos: "1", outbox: [], attempts: 1 });
      const pings = server.pings;
      assert.deepEqual((await first.ask("clock", { ...client, advance_ms: 61_000 })).ok, {});
      assert.equal(server.pings, pings + 2);
      server.mute = true;
      await first.ask("send", { ...client, message: "m2", body: { to_user: "bob", delivery: "STORE" } });
      first.kill();
      await first.exit;
      server.mute = false;

      const second = new Program("adapter.js");
      second.say({ hello: { protocol: 1, runner: "test" } });
      await second.ask("open", open);
      assert.equal((await second.line({ event: "connected" })).result, "RESUMED");
      assert.equal((await second.line({ event: "accepted" })).message, "m2");
      const refused = await second.ask("request", {
        ...client,
        request: "r2",
        type: "MARK",
        body: { no_such_field: 1 },
      });
      assert.equal((refused.err as Plain).code, "INVALID_ARGUMENT");
      assert.deepEqual((await second.ask("close", client)).ok, {});
      assert.equal(((await second.ask("state", client)).err as Plain).code, "NO_CLIENT");
      second.end();
      assert.equal(await second.exit, 0);
    }
  } finally {
    await server.stop();
    await rm(folder, { recursive: true });
  }
});

test("the codec's adapter decodes, encodes, judges and negotiates", async () => {
  const codec = new Program("codec-adapter.js");
  const bytes = "000002000204000000000807";
  const frame = { type: "ACK", flags: 0, ref: 0, body: { pos: "7" }, unknown: "" };
  const decoded = await codec.ask("decode", {
    from: "client",
    pieces: [bytes.slice(0, 6), bytes.slice(6), "0000"],
    max_frame: 65_536,
  });
  assert.deepEqual(decoded.ok, { frames: [frame], rest: "0000" });
  assert.deepEqual((await codec.ask("encode", frame)).ok, { hex: bytes });
  const judged = await codec.ask("judge", { state: "after-login", max_frame: 65_536, hex: "0000000006aa00000001" });
  assert.deepEqual(judged.ok, { reply: "ERROR", code: "UNSUPPORTED_FRAME" });
  const broken = await codec.ask("decode", { from: "server", pieces: ["000001000203000000000a"], max_frame: 65_536 });
  assert.equal(((broken.ok as Plain).violation as Plain).code, "MALFORMED_FRAME");
  const chosen = await codec.ask("negotiate", {
    table: "version",
    input: { ours: [1, 1], version_min: 1, version_max: 7 },
  });
  assert.deepEqual(chosen.ok, { version: 1 });
  assert.equal(((await codec.ask("encode", { type: "NOBODY" })).err as Plain).code, "UNKNOWN_TYPE");
  codec.end();
  assert.equal(await codec.exit, 0);
});
