/** A client over many sessions: what it repeats, when it comes back, and what it says of its messages. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "../src/client/client.js";
import { Refused } from "../src/client/events.js";
import { Pacer } from "../src/client/pacer.js";
import { Random } from "../src/client/random.js";
import { MemoryStore } from "../src/client/store.js";
import { type Body, decodeBody } from "../src/codec/body.js";
import { nameOf } from "../src/codec/frame.js";
import { CODES } from "../src/generated/registry.js";
import { MessageState } from "../src/generated/tidewire/v1/status_pb.js";
import { FakeServer, turn } from "./fake.js";

const toBob = { target: { case: "toUser" as const, value: "bob" }, delivery: 1 };

/** Every SEND that came since. */
function sends(server: FakeServer): Body<"SEND">[] {
  const frames = server.last.frames.filter((frame) => nameOf(frame.type) === "SEND");
  server.last.frames.length = 0;
  return frames.map((frame) => decodeBody("SEND", frame.body));
}

test("what is unanswered is repeated in order with the keys that it had, also by the next program", async () => {
  const server = new FakeServer();
  const client = await server.online();
  for (const id of ["a", "b", "c"]) await client.post("SEND", toBob, id);
  await client.post("GROUP_OP", { group: 3n, op: { case: "leave", value: {} } }, "d");
  const ref = server.last.frames.find((frame) => nameOf(frame.type) === "SEND");
  assert.ok(ref);
  server.last.reply(ref, "SEND_ACK", { msgId: 1n, state: 1 });
  await turn();
  const first = sends(server).map(({ idem }) => idem);
  assert.equal(new Set(first.map(String)).size, 3);
  server.last.cut();
  await server.wait(1000);
  await server.login();
  assert.deepEqual(
    server.last.names().filter((name) => name !== "ACK"),
    ["SEND", "SEND", "GROUP_OP"],
  );
  assert.deepEqual(
    sends(server).map(({ idem }) => idem),
    first.slice(1),
  );
  await client.close();

  const next = await server.client();
  assert.deepEqual(next.unsent, ["b", "c"]);
  const login = await server.login();
  assert.deepEqual([login.resume?.epoch, login.resume?.pos], [5n, 0n]);
  const op = server.last.frames.find((frame) => nameOf(frame.type) === "GROUP_OP");
  assert.deepEqual(
    sends(server).map(({ idem }) => idem),
    first.slice(1),
  );
  assert.ok(op);
  server.last.reply(op, "GROUP_INFO", { group: 3n, rev: 4n });
  await turn();
  assert.deepEqual(
    server.of("answered").map(({ id, name }) => [id, name]),
    [["d", "GROUP_OP"]],
  );
});

test("the key is stored with the message before it is sent", async () => {
  const server = new FakeServer();
  const client = await server.online();
  const write = server.store.write.bind(server.store);
  let release = () => {};
  server.store.write = async (changes) => {
    await new Promise<void>((resolve) => (release = resolve));
    await write(changes);
  };
  const posted = client.post("SEND", toBob, "m");
  await turn();
  assert.deepEqual(sends(server), []);
  server.store.write = write;
  release();
  await posted;
  await turn();
  const saved = [...(await server.store.load())].filter(([key]) => key.startsWith("out/"));
  assert.equal(saved.length, 1);
  assert.equal(sends(server).length, 1);
});

test("a refusal of class 5 is repeated after its time with the same key, one of class 4 never", async () => {
  const server = new FakeServer();
  const client = await server.online();
  await client.post("SEND", toBob, "later");
  const failing = client.send({ toUser: "carol", content: "x" });
  await turn();
  const [later, never] = server.last.frames.filter((frame) => nameOf(frame.type) === "SEND");
  assert.ok(later && never);
  server.last.reply(later, "ERROR", { code: 0x5f00, retryAfterMs: 5000 });
  server.last.reply(never, "ERROR", { code: 0x4f00, field: "target" });
  await client.post("SEND", toBob, "behind");
  await assert.rejects(failing, (error) => error instanceof Refused && error.code === "0x4f00");
  const [{ idem } = { idem: null }] = sends(server);
  await server.wait(4999);
  assert.deepEqual(sends(server), []);
  await server.wait(1);
  const again = sends(server);
  assert.equal(again.length, 2);
  assert.deepEqual(again[0]?.idem, idem);
  assert.deepEqual(
    server.of("failed").map(({ code }) => code),
    [0x4f00],
  );
  server.last.cut();
  await server.wait(1000);
  await server.login();
  assert.equal(sends(server).length, 2);
});

test("the class of a GOAWAY says what to do, also of one that is not known", async () => {
  for (const code of [CODES.REPLACED, 0x1abc]) {
    const server = new FakeServer();
    const client = await server.online();
    server.last.say("GOAWAY", { code });
    await server.wait(3_600_000);
    assert.equal(client.status, "stopped");
    assert.equal(server.connections.length, 1);
    client.reconnect();
    await turn();
    assert.equal(server.connections.length, 2);
  }
  for (const code of [CODES.SHUTTING_DOWN, 0x2abc]) {
    const server = new FakeServer();
    await server.online();
    server.last.say("GOAWAY", { code, retryAfterMs: 90_000 });
    await server.wait(90_000);
    assert.equal(server.connections.length, 1);
    await server.wait(1000);
    assert.equal(server.connections.length, 2);
    assert.deepEqual(server.of("disconnected"), [{ type: "disconnected", code, willReconnect: true }]);
  }
  for (const code of [CODES.TOKEN_EXPIRED, 0x3abc]) {
    const server = new FakeServer();
    const client = await server.online();
    server.last.say("GOAWAY", { code });
    await server.wait(3_600_000);
    client.setToken("token");
    client.reconnect();
    await server.wait(3_600_000);
    assert.equal(server.connections.length, 1);
    assert.equal(server.of("token-needed").length, 1);
    client.setToken("fresh");
    await turn();
    assert.equal(new TextDecoder().decode((await server.login()).token), "fresh");
  }
});

test("tries are spread, and never more than twenty a minute or 300 an hour", async () => {
  const server = new FakeServer();
  server.up = false;
  const client = await server.client();
  for (let minute = 0; minute < 60; minute += 1) {
    const before = client.attempts;
    await server.wait(60_000);
    assert.ok(client.attempts - before <= 20);
  }
  assert.ok(client.attempts > 50 && client.attempts <= 300, `${client.attempts} attempts`);
  assert.deepEqual(server.of("disconnected"), []);

  // Sessions that end at once are bounded alike.
  const pacer = new Pacer(new Random(1));
  let now = 0;
  const starts: number[] = [];
  for (let count = 0; count < 400; count += 1) {
    pacer.begin(now);
    starts.push(now);
    pacer.succeeded();
    now = pacer.next(now);
  }
  for (const [at, start] of starts.entries()) {
    assert.ok((starts[at + 20] ?? Number.POSITIVE_INFINITY) - start > 60_000);
    assert.ok((starts[at + 300] ?? Number.POSITIVE_INFINITY) - start > 3_600_000);
  }
});

test("the time that a message waited is taken off its time to live", async () => {
  const server = new FakeServer();
  server.up = false;
  const client = await server.client();
  await client.post("SEND", { ...toBob, ttlMs: 100_000n }, "long");
  await client.post("SEND", { ...toBob, ttlMs: 30_000n }, "short");
  const short = assert.rejects(client.send({ toUser: "bob", content: "", ttlMs: 30_000 }), { code: "EXPIRED" });
  await turn();
  await server.wait(30_000);
  assert.deepEqual(server.of("failed").map(({ id, code }) => [id, code])[0], ["short", undefined]);
  await short;
  server.up = true;
  while (!server.last.names().includes("LOGIN")) await server.wait(1000);
  await server.login();
  const [send, ...others] = sends(server);
  assert.deepEqual(others, []);
  assert.ok(send?.ttlMs !== undefined && send.ttlMs < 70_000n && send.ttlMs > 9_000n, String(send?.ttlMs));
  // It was tried, and may have been accepted: the repeat asks.
  await server.wait(100_000);
  server.last.cut();
  await server.wait(1000);
  await server.login();
  assert.deepEqual(
    sends(server).map(({ ttlMs }) => ttlMs),
    [1n],
  );
});

test("a client is settled once what goes on needs time or somebody else, and no later", async () => {
  const server = new FakeServer();
  const client = await server.client();
  let settled = false;
  const connecting = client.settled().then(() => (settled = true));
  await turn();
  assert.equal(settled, false);
  await server.login();
  await turn();
  assert.equal(settled, true);
  await connecting;
  for (const _ of [1, 2]) {
    const before = server.connections.length;
    server.last.cut();
    // The server answers as soon as it is asked; nothing but that is waited for.
    const away = server.clock.advance(1000, async () => {
      await turn();
      if (server.connections.length > before && server.last.names().includes("LOGIN")) await server.login();
      await client.settled();
    });
    await away;
    assert.equal(client.status, "online");
  }
});

test("a time to live is no double", async () => {
  const server = new FakeServer();
  const client = await server.online();
  await client.post("SEND", { ...toBob, ttlMs: 2n ** 63n - 1n });
  await turn();
  assert.deepEqual(
    sends(server).map(({ ttlMs }) => ttlMs),
    [2n ** 63n - 1n],
  );
});

test("a watermark holds for every message up to it, and nothing falls or rises after the end", async () => {
  const server = new FakeServer();
  const client = await server.online();
  for (const id of ["m1", "m2", "m3"]) await client.post("SEND", toBob, id);
  await turn();
  const frames = server.last.frames.filter((frame) => nameOf(frame.type) === "SEND");
  const about = { conversation: { case: "user" as const, value: "bob" }, by: "bob" };
  // Before the SEND_ACK of its message.
  server.last.say("STATUS", { ...about, pos: 1n, msgId: 2n, state: MessageState.DELIVERED });
  for (const [at, frame] of frames.entries()) server.last.reply(frame, "SEND_ACK", { msgId: BigInt(at + 1), state: 1 });
  server.last.say("EXPIRED", { pos: 2n, prevPos: 1n, conversation: about.conversation, msgId: 3n, undelivered: 1 });
  server.last.say("STATUS", { ...about, pos: 3n, prevPos: 2n, msgId: 3n, state: MessageState.READ });
  server.last.say("STATUS", { ...about, pos: 4n, prevPos: 3n, msgId: 3n, state: MessageState.DELIVERED });
  // A mark of another own device says nothing of own messages.
  server.last.say("STATUS", { ...about, by: "alice", pos: 5n, prevPos: 4n, msgId: 9n, state: MessageState.READ });
  await turn();
  assert.deepEqual(
    server.of("status").map(({ id, state }) => `${id} ${state}`),
    ["m1 DELIVERED", "m2 DELIVERED", "m3 EXPIRED", "m1 READ", "m2 READ"],
  );
  assert.equal(client.stateOf({ user: "bob" }, 3n), "EXPIRED");
  await client.close();
  const next = await server.client();
  assert.equal(next.stateOf({ user: "bob" }, 2n), "READ");
});

test("in a group each member has a state of its own", async () => {
  const server = new FakeServer();
  const client = await server.online();
  await client.post("SEND", { target: { case: "toGroup", value: 8n }, delivery: 1 }, "g");
  await turn();
  const about = { conversation: { case: "group" as const, value: 8n }, msgId: 4n };
  server.last.reply(server.last.take("SEND"), "SEND_ACK", { msgId: 4n, state: 1 });
  server.last.say("STATUS", { ...about, pos: 1n, by: "bob", state: MessageState.READ });
  server.last.say("STATUS", {
    ...about,
    pos: 2n,
    prevPos: 1n,
    by: "carol",
    state: MessageState.FAILED,
    code: CODES.RECIPIENT_FULL,
  });
  server.last.say("STATUS", { ...about, pos: 3n, prevPos: 2n, by: "carol", state: MessageState.READ });
  await turn();
  assert.deepEqual(
    server.of("status").map(({ id, state, user }) => [id, state, user]),
    [
      ["g", "READ", "bob"],
      ["g", "FAILED", "carol"],
    ],
  );
  assert.equal(client.stateOf({ group: 8n }, 4n, "carol"), "FAILED");
});

test("a token source is asked at the start, when one is refused, and before one ends", async () => {
  const server = new FakeServer();
  const asked: string[] = [];
  await server.client({ token: async (why) => `${why} ${asked.push(why)}` });
  await turn();
  assert.equal(new TextDecoder().decode((await server.login({ tokenTtlMs: 100_000n })).token), "start 1");
  await server.wait(80_000);
  const reauth = server.last.take("REAUTH");
  assert.equal(new TextDecoder().decode(decodeBody("REAUTH", reauth.body).token), "expiring 2");
  server.last.reply(reauth, "OK", {});
  await turn();
  server.last.cut();
  await server.wait(1000);
  assert.equal(new TextDecoder().decode((await server.login()).token), "expiring 2");
  server.last.say("GOAWAY", { code: CODES.TOKEN_REVOKED });
  await turn();
  await server.wait(1000);
  assert.equal(new TextDecoder().decode((await server.login()).token), "refused 3");
  assert.deepEqual(server.of("token-needed"), []);
});

test("bounds are said before anything is taken", async () => {
  const server = new FakeServer();
  const client = await server.online({ maxOutbox: 2 }, { limits: { maxFrame: 16_384 } });
  await assert.rejects(client.send({ toUser: "bob", content: new Uint8Array(16_384) }), { code: "BODY_TOO_LARGE" });
  await client.post("SEND", toBob, "one");
  await assert.rejects(client.post("SEND", toBob, "one"), { code: "DUPLICATE_ID" });
  await client.post("SEND", toBob, "two");
  await assert.rejects(client.post("SEND", toBob, "three"), { code: "OUTBOX_FULL" });
});

test("a message that this server cannot take fails alone", async () => {
  const server = new FakeServer();
  const client = await server.client();
  await client.post("SEND", { ...toBob, content: new Uint8Array(40_000) }, "long");
  await client.post("SEND", toBob, "short");
  await server.login({ limits: { maxFrame: 16_384 } });
  assert.equal(sends(server).length, 1);
  assert.deepEqual(server.of("failed"), [{ type: "failed", id: "long", code: CODES.CONTENT_TOO_LARGE }]);
});

test("a store that fails stops the client before it says what is not true", async () => {
  const server = new FakeServer();
  const client = await server.online();
  server.store.write = () => Promise.reject(new Error("disk full"));
  server.message(1);
  await turn();
  assert.equal(client.status, "stopped");
  assert.ok(server.last.closed && !server.last.names().includes("ACK"));
  assert.deepEqual(server.positions(), []);
  assert.equal(server.of("store-failed").length, 1);
  await assert.rejects(client.post("SEND", toBob), /disk full/);
});

test("LOGOUT is not repeated, and a closed client takes nothing", async () => {
  const server = new FakeServer();
  const client = await server.online();
  const logout = client.request("LOGOUT", {});
  await turn();
  server.last.cut();
  await assert.rejects(logout, { code: "CONNECTION_LOST" });
  await client.close();
  await client.close();
  await assert.rejects(client.send({ toUser: "bob", content: "" }), { code: "CLOSED" });
});

test("the device stays the same over restarts, and each installation has one of its own", async () => {
  const server = new FakeServer();
  const first = (await server.client(), await server.login());
  const second = (await server.client({ deviceId: new Uint8Array(16).fill(1) }), await server.login());
  assert.deepEqual(second.deviceId, first.deviceId);
  const other = await Client.open({
    url: "ws://fake",
    token: "t",
    transport: server.transport,
    store: new MemoryStore(),
    clock: server.clock,
    onEvent: () => {},
  });
  await turn();
  assert.notDeepEqual((await server.login()).deviceId, first.deviceId);
  await other.close();
});
