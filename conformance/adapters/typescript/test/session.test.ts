/** One session at a time, against a server that does what the test says. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBody } from "../src/codec/body.js";
import { FLAGS, nameOf, PREFACE } from "../src/codec/frame.js";
import { CODES, FEATURES } from "../src/generated/registry.js";
import { ResumeResult } from "../src/generated/tidewire/v1/login_pb.js";
import type { MessageState } from "../src/generated/tidewire/v1/status_pb.js";
import { FakeServer, turn } from "./fake.js";

const NOTHING = new Uint8Array(0);

test("LOGIN offers every feature and some grease, and nothing follows it before LOGIN_OK", async () => {
  const server = new FakeServer();
  const client = await server.client({ deviceId: new Uint8Array(16).fill(9) });
  void client.send({ toUser: "bob", content: "hi" });
  await turn();
  assert.deepEqual(server.last.names(), ["LOGIN"]);
  const login = await server.login();
  assert.deepEqual(login.features.slice(0, 4), Object.values(FEATURES));
  assert.equal((login.features[4] ?? 0) & 0x0f0f0f0f, 0x0a0a0a0a);
  assert.deepEqual(login.deviceId, new Uint8Array(16).fill(9));
  assert.equal(login.resume, undefined);
  assert.equal(server.last.body("SEND").idem.length, 16);
});

test("a byte stream begins with the preface", async () => {
  const server = new FakeServer();
  server.kind = "stream";
  const bytes: number[] = [];
  await server.client({
    transport: (url, listener) => {
      const wire = server.transport(url, listener);
      return { ...wire, send: (sent) => void bytes.push(...sent) };
    },
  });
  assert.deepEqual(bytes.slice(0, 8), [...PREFACE]);
});

test("entries reach the app once, in order, are stored before their ACK, and kept as history", async () => {
  const server = new FakeServer();
  const client = await server.online();
  server.message(1);
  server.message(2);
  server.message(2);
  server.message(1);
  await turn();
  assert.deepEqual(server.positions(), [1, 2]);
  assert.equal(client.position, 2n);
  assert.equal((await server.store.load()).get("cursor"), '{"epoch":"5","pos":"2"}');
  const acks = server.last.frames
    .filter((frame) => nameOf(frame.type) === "ACK")
    .map((frame) => decodeBody("ACK", frame.body).pos);
  assert.equal(acks.at(-1), 2n);
  assert.deepEqual(
    [...client.history()].map(({ name, body }) => [name, body.pos]),
    [
      ["MESSAGE", 1n],
      ["MESSAGE", 2n],
    ],
  );
});

test("nothing is acknowledged that is not stored", async () => {
  const server = new FakeServer();
  let stored: () => void = () => {};
  const slow = {
    load: () => server.store.load(),
    close: async () => {},
    write: async (changes: Parameters<typeof server.store.write>[0]) => {
      if (changes.some(([key]) => key.startsWith("log/"))) await new Promise<void>((resolve) => (stored = resolve));
      await server.store.write(changes);
    },
  };
  await server.online({ store: slow });
  server.message(1);
  await turn();
  assert.ok(!server.last.names().includes("ACK"));
  assert.deepEqual(server.positions(), []);
  stored();
  await turn();
  assert.equal(server.last.body("ACK").pos, 1n);
});

test("with manualAck the app says what is stored, and the rest comes again with the next session", async () => {
  const server = new FakeServer();
  const client = await server.online({ manualAck: true });
  for (const pos of [1, 2, 3]) server.message(pos);
  await turn();
  assert.deepEqual(server.positions(), [1, 2, 3]);
  assert.ok(!server.last.names().includes("ACK"));
  await client.ack(1n);
  assert.equal(server.last.body("ACK").pos, 1n);
  server.last.cut();
  await server.wait(1000);
  const login = await server.login();
  assert.deepEqual([login.resume?.epoch, login.resume?.pos], [5n, 1n]);
  assert.equal(server.last.body("ACK").pos, 1n);
  // What the server did not send on this connection is not acknowledged on it, stored or not.
  await client.ack(2n);
  assert.ok(!server.last.names().includes("ACK"));
  for (const pos of [2, 3, 4]) server.message(pos);
  await turn();
  assert.equal(server.last.body("ACK").pos, 2n);
  assert.deepEqual(server.positions(), [1, 2, 3, 3, 4]);
  await client.ack(99n);
  assert.equal(server.last.body("ACK").pos, 4n);
});

test("an entry that was stored while the connection broke is acknowledged when it came again", async () => {
  const server = new FakeServer();
  const write = server.store.write.bind(server.store);
  const client = await server.online();
  let stored = () => {};
  server.store.write = async (changes) => {
    await new Promise<void>((resolve) => (stored = resolve));
    await write(changes);
  };
  server.message(1);
  await turn();
  server.last.cut();
  await server.wait(1000);
  server.store.write = write;
  const login = await server.login();
  assert.equal(login.resume?.pos, 0n);
  stored();
  await turn();
  assert.equal(client.position, 1n);
  assert.ok(!server.last.names().includes("ACK"));
  server.message(1);
  await turn();
  assert.equal(server.last.body("ACK").pos, 1n);
  assert.deepEqual(server.positions(), [1]);
});

test("a gap is asked for once, and what comes again closes it", async () => {
  const server = new FakeServer();
  await server.online();
  server.message(1);
  server.message(3);
  server.message(4);
  await turn();
  const sync = server.last.take("SYNC");
  assert.equal(decodeBody("SYNC", sync.body).afterPos, 1n);
  assert.ok(!server.last.names().includes("SYNC"));
  server.last.reply(sync, "OK", {});
  for (const pos of [2, 3, 4]) server.message(pos);
  server.last.say("SYNCED", { pos: 4n });
  await turn();
  assert.deepEqual(server.positions(), [1, 2, 3, 4]);
  assert.deepEqual(server.of("missing"), []);
});

test("a SYNC that is refused with a limit is a gap from there", async () => {
  const server = new FakeServer();
  await server.online();
  server.message(1);
  server.message(9, 8);
  await turn();
  server.last.reply(server.last.take("SYNC"), "ERROR", { code: CODES.INVALID_FIELD, field: "after_pos", limit: 7n });
  await turn();
  assert.equal(server.of("missing").length, 1);
  const again = server.last.take("SYNC");
  assert.equal(decodeBody("SYNC", again.body).afterPos, 7n);
  server.last.reply(again, "OK", {});
  server.message(8, 7);
  server.message(9, 8);
  await turn();
  assert.deepEqual(server.positions(), [1, 8, 9]);
});

test("GAP tells the app and starts at oldest_pos; FRESH gives up the position and does not", async () => {
  for (const resume of [ResumeResult.GAP, ResumeResult.FRESH]) {
    const server = new FakeServer();
    await server.online();
    server.message(1);
    await turn();
    server.last.cut();
    await server.wait(1000);
    await server.login({ resume, epoch: 6n, oldestPos: 1n });
    server.message(1);
    await turn();
    assert.deepEqual(server.positions(), [1, 1]);
    assert.equal(server.of("missing").length, resume === ResumeResult.GAP ? 1 : 0);
  }
});

test("an unknown entry moves the position, an unknown event does nothing, and neither ends the session", async () => {
  const server = new FakeServer();
  const client = await server.online();
  server.last.raw({
    type: 0x3a7a,
    flags: FLAGS.LOGGED | FLAGS.GREASE,
    ref: 0,
    body: Uint8Array.of(0x08, 5, 0x10, 0, 0x22, 1, 0xff),
  });
  server.last.raw({ type: 0x0601, flags: 0x70, ref: 0, body: Uint8Array.of(0xff) });
  await turn();
  assert.equal(client.position, 5n);
  assert.equal(server.last.body("ACK").pos, 5n);
  assert.deepEqual(server.positions(), []);
  assert.equal(client.status, "online");
});

test("unknown fields and flags are ignored, and unknown enum values are unspecified", async () => {
  const server = new FakeServer();
  await server.online();
  const extra = Uint8Array.of(0x82, 0xea, 0x30, 1, 7);
  server.last.say(
    "STATUS",
    { pos: 1n, msgId: 3n, state: 77 as MessageState },
    { flags: FLAGS.LOGGED | FLAGS.CRITICAL | 0x78, extra },
  );
  await turn();
  const [event] = server.of("entry");
  assert.ok(event?.entry.name === "STATUS");
  assert.deepEqual([event.entry.body.msgId, event.entry.body.state], [3n, 0]);
});

test("PING is answered, other requests of the server are refused, and the session lives", async () => {
  const server = new FakeServer();
  const client = await server.online();
  server.last.say("PING", { data: Uint8Array.of(1, 2) }, { ref: 77 });
  const pong = server.last.take("PONG");
  assert.deepEqual([pong.ref, pong.flags & FLAGS.REPLY], [77, FLAGS.REPLY]);
  assert.deepEqual(decodeBody("PONG", pong.body).data, Uint8Array.of(1, 2));
  server.last.raw({ type: 0x0f0a, flags: FLAGS.CRITICAL, ref: 78, body: NOTHING });
  const error = server.last.take("ERROR");
  assert.equal(error.ref, 78);
  assert.equal(decodeBody("ERROR", error.body).code, CODES.UNSUPPORTED_FRAME);
  assert.equal(client.status, "online");
});

test("a breach is answered with GOAWAY, and no new connection follows", async () => {
  const breaches: [keyof typeof CODES, (server: FakeServer) => void][] = [
    [
      "UNKNOWN_CRITICAL",
      (server) =>
        server.last.raw({ type: 0x0a0a, flags: FLAGS.CRITICAL | FLAGS.LOGGED, ref: 0, body: Uint8Array.of(8, 1) }),
    ],
    [
      "MALFORMED_FRAME",
      (server) => server.last.raw({ type: 0x0203, flags: FLAGS.LOGGED, ref: 0, body: Uint8Array.of(0xff) }),
    ],
    ["PROTOCOL_VIOLATION", (server) => server.last.say("SEND", {}, { ref: 4 })],
    ["PROTOCOL_VIOLATION", (server) => server.last.listener.received(null)],
    ["PROTOCOL_VIOLATION", (server) => server.last.listener.received(Uint8Array.of(0, 0, 9))],
    ["FRAME_TOO_LARGE", (server) => server.last.listener.received(Uint8Array.of(0xff, 0, 0, 0, 2, 3, 0, 0, 0, 0))],
  ];
  for (const [code, breach] of breaches) {
    const server = new FakeServer();
    const client = await server.online();
    breach(server);
    await turn();
    assert.equal(server.last.body("GOAWAY").code, CODES[code], code);
    assert.ok(server.last.closed);
    assert.equal(client.position, 0n);
    await server.wait(3_600_000);
    assert.equal(server.connections.length, 1);
    assert.deepEqual(server.of("disconnected"), [{ type: "disconnected", willReconnect: false }]);
  }
});

test("no more requests are open than the server holds, and each has a ref of its own", async () => {
  const server = new FakeServer();
  const client = await server.online({}, { limits: { maxInflight: 3 } });
  for (let at = 0; at < 8; at += 1)
    await client.post("SEND", { target: { case: "toUser", value: "bob" }, delivery: 1 });
  await turn();
  const first = [server.last.take("SEND"), server.last.take("SEND"), server.last.take("SEND")];
  assert.deepEqual(server.last.names(), []);
  assert.equal(new Set(first.map((frame) => frame.ref)).size, 3);
  for (const frame of first) server.last.reply(frame, "SEND_ACK", { msgId: 1n, state: 1 });
  await turn();
  assert.equal(server.last.names().filter((name) => name === "SEND").length, 3);
});

test("credit follows what the app has dealt with", async () => {
  const server = new FakeServer();
  const held: (() => void)[] = [];
  await server.online({
    eventWindow: 4,
    onEvent: (event) => (event.type === "entry" ? new Promise((resolve) => held.push(resolve)) : undefined),
  });
  for (let pos = 1; pos <= 4; pos += 1) server.message(pos);
  await turn();
  assert.ok(!server.last.names().includes("CREDIT"));
  for (let count = 0; count < 2; count += 1) {
    held.shift()?.();
    await turn();
  }
  assert.equal(server.last.body("CREDIT").eventLimit, 6n);
});

test("a frame goes out in each half interval, and silence of two is the end", async () => {
  const server = new FakeServer();
  await server.online();
  server.last.frames.length = 0;
  for (let round = 0; round < 4; round += 1) {
    await server.wait(30_000);
    server.last.reply(server.last.take("PING"), "PONG", {});
    await turn();
  }
  assert.equal(server.connections.length, 1);
  await server.wait(119_000);
  assert.equal(server.connections.length, 1);
  await server.wait(2_000);
  assert.equal(server.connections.length, 2);
  assert.equal(server.of("disconnected").length, 1);
});

test("a fence waits for what came before it, and fails with the session", async () => {
  const server = new FakeServer();
  const client = await server.online();
  let passed = false;
  const fence = client.fence().then(() => (passed = true));
  server.message(1);
  await turn();
  assert.equal(passed, false);
  server.last.reply(server.last.take("PING"), "PONG", {});
  await fence;
  assert.deepEqual(server.positions(), [1]);
  const second = client.fence();
  server.last.cut();
  await assert.rejects(second, { code: "NOT_CONNECTED" });
  await assert.rejects(client.fence(), { code: "NOT_CONNECTED" });
});
