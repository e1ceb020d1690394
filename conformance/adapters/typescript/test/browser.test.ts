/** The page in a real browser: it dials in as it would to the runner, and its client speaks to a server on loopback. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type WebSocket, WebSocketServer } from "ws";
import type { Plain } from "../src/codec/plain.js";
import { Conversation } from "./conversation.js";
import { TinyServer } from "./tiny.js";

const chromium = process.env.CHROMIUM ?? "/usr/bin/chromium";
const page = new URL("../../browser.html", import.meta.url);
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Opens the page in a browser with this profile; done when it dialled in. */
async function browse(runner: WebSocketServer, profile: string): Promise<[ChildProcess, Conversation]> {
  const url = new URL(page);
  url.searchParams.set("runner", `ws://127.0.0.1:${(runner.address() as AddressInfo).port}`);
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, "--remote-debugging-port=0", url.href], {
    stdio: "ignore",
  });
  const dialled = new Promise<WebSocket>((resolve) => runner.once("connection", resolve));
  const gone = new Promise<never>((_, reject) =>
    browser.once("exit", (code) => reject(new Error(`the browser left with ${code}`))),
  );
  gone.catch(() => {});
  const socket = await Promise.race([dialled, gone]);
  const runnerSide = new Conversation((line) => socket.send(line));
  socket.on("message", (text) => runnerSide.heard(String(text)));
  return [browser, runnerSide];
}

async function quit(browser: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => browser.once("exit", resolve));
  browser.kill("SIGKILL");
  await gone;
}

test(
  "a page is a client under test, and IndexedDB keeps its outbox",
  { skip: !existsSync(chromium) && `there is no ${chromium}` },
  async () => {
    const profile = await mkdtemp(join(tmpdir(), "tidewire-browser-"));
    const server = await TinyServer.start();
    const runner = new WebSocketServer({ host: "127.0.0.1", port: 0 });
    await new Promise((resolve) => runner.once("listening", resolve));
    const open = { client: "k1", url: server.ws, token: "token", store: "one", seed: 1 };
    const client = { client: "k1" };
    let browser: ChildProcess | undefined;
    try {
      const [started, first] = await browse(runner, profile);
      browser = started;
      first.say({ hello: { protocol: 1, runner: "test" } });
      const { hello } = (await first.line({})) as { hello: Plain };
      assert.deepEqual([hello.roles, hello.transports], [["client"], ["ws"]]);
      assert.deepEqual((await first.ask("nobody-knows")).unsupported, true);
      await first.ask("open", open);
      assert.equal((await first.line({ event: "connected" })).result, "FRESH");
      await first.ask("send", {
        ...client,
        message: "m1",
        body: { to_user: "self", delivery: "STORE", content: "6869" },
      });
      await first.line({ event: "accepted" });
      assert.equal(((await first.line({ event: "entry" })).body as Plain).content, "6869");
      assert.deepEqual((await first.ask("fence", client)).ok, {});
      server.mute = true;
      await first.ask("send", { ...client, message: "m2", body: { to_user: "bob", delivery: "STORE" } });
      assert.deepEqual((await first.ask("state", client)).ok, {
        connected: true,
        pos: "1",
        outbox: ["m2"],
        attempts: 1,
      });
      // IndexedDB is told to be strict: what is stored survives the browser.
      await quit(browser);
      server.mute = false;
      const [again, second] = await browse(runner, profile);
      browser = again;
      await second.ask("open", open);
      assert.equal((await second.line({ event: "connected" })).result, "RESUMED");
      assert.equal((await second.line({ event: "accepted" })).message, "m2");
      assert.deepEqual((await second.ask("close", client)).ok, {});
    } finally {
      if (browser !== undefined) await quit(browser);
      for (const socket of runner.clients) socket.terminate();
      await new Promise((resolve) => runner.close(resolve));
      await server.stop();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  },
);
