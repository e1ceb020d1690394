/** A server of a few lines that does what a test says, in memory, with time that stands still. */

import assert from "node:assert/strict";
import { Client } from "../src/client/client.js";
import { ManualClock } from "../src/client/clock.js";
import type { ClientEvent } from "../src/client/events.js";
import type { ClientOptions } from "../src/client/options.js";
import { MemoryStore } from "../src/client/store.js";
import type { Listener, Transport } from "../src/client/transport.js";
import { type Body, type BodyInit, decodeBody, encodeBody } from "../src/codec/body.js";
import { concat } from "../src/codec/bytes.js";
import { Decoder, encodeFrame, FLAGS, type FrameName, kindOf, nameOf, type RawFrame } from "../src/codec/frame.js";
import { LIMITS } from "../src/generated/registry.js";
import { ResumeResult } from "../src/generated/tidewire/v1/login_pb.js";

/** Lets everything run that waits for no time. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** How the server frames what it says. */
export interface Manner {
  ref?: number;
  flags?: number;
  extra?: Uint8Array;
}

/** One connection, from the server's side. */
export class Connection {
  /** Frames of the client that no step has taken yet; grease is left out. */
  readonly frames: RawFrame[] = [];
  closed = false;
  private readonly decoder: Decoder;

  constructor(
    readonly listener: Listener,
    kind: "stream" | "messages",
  ) {
    this.decoder = new Decoder(kind === "stream");
    this.decoder.maxFrame = LIMITS.MAX_FRAME_HARD;
  }

  receive(bytes: Uint8Array): void {
    this.decoder.feed(bytes);
    for (let frame = this.decoder.next(); frame !== undefined; frame = this.decoder.next()) {
      if (nameOf(frame.type) !== undefined) this.frames.push(frame);
    }
  }

  /** Says something that is no reply. */
  say<N extends FrameName>(
    name: N,
    body: BodyInit<N>,
    { ref = 0, flags, extra = new Uint8Array(0) }: Manner = {},
  ): void {
    const raw = concat([encodeBody(name, body), extra]);
    this.raw({ type: kindOf(name).type, flags: flags ?? (kindOf(name).logged ? FLAGS.LOGGED : 0), ref, body: raw });
  }

  reply<N extends FrameName>(to: RawFrame, name: N, body: BodyInit<N>): void {
    this.say(name, body, { ref: to.ref, flags: FLAGS.REPLY });
  }

  raw(frame: RawFrame): void {
    this.listener.received(encodeFrame(frame));
  }

  /** The next frame of this name; those before it are forgotten. */
  take(name: FrameName): RawFrame {
    const at = this.frames.findIndex((frame) => nameOf(frame.type) === name);
    assert.ok(at >= 0, `${name} among ${this.names()}`);
    const frame = this.frames[at] as RawFrame;
    this.frames.splice(0, at + 1);
    return frame;
  }

  body<N extends FrameName>(name: N): Body<N> {
    return decodeBody(name, this.take(name).body);
  }

  names(): string[] {
    return this.frames.map((frame) => nameOf(frame.type) ?? "?");
  }

  cut(): void {
    this.closed = true;
    this.listener.closed();
  }
}

export class FakeServer {
  readonly connections: Connection[] = [];
  readonly events: ClientEvent[] = [];
  readonly clock = new ManualClock(1_700_000_000_000);
  readonly store = new MemoryStore();
  /** No connection comes about while this is false. */
  up = true;
  kind: "stream" | "messages" = "messages";

  readonly transport: Transport = (_, listener) => {
    const connection = new Connection(listener, this.kind);
    this.connections.push(connection);
    queueMicrotask(() => (this.up ? listener.opened() : connection.cut()));
    return {
      kind: this.kind,
      send: (bytes) => {
        if (!connection.closed) connection.receive(bytes);
      },
      close: () => {
        connection.closed = true;
      },
    };
  };

  get last(): Connection {
    return this.connections.at(-1) as Connection;
  }

  /** A client of this server. */
  async client(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await Client.open({
      url: "ws://fake",
      token: "token",
      transport: this.transport,
      store: this.store,
      clock: this.clock,
      seed: 7,
      onEvent: (event) => void this.events.push(event),
      ...options,
    });
    await turn();
    return client;
  }

  /** Answers the LOGIN that waits, and ends the backlog. */
  async login(ok: BodyInit<"LOGIN_OK"> = {}): Promise<Body<"LOGIN">> {
    const frame = this.last.take("LOGIN");
    const login = decodeBody("LOGIN", frame.body);
    const resume = login.resume === undefined ? ResumeResult.FRESH : ResumeResult.RESUMED;
    this.last.reply(frame, "LOGIN_OK", {
      version: 1,
      user: "alice",
      keepaliveMs: 60_000,
      resume,
      epoch: 5n,
      oldestPos: 1n,
      ...ok,
    });
    this.last.say("SYNCED", {});
    await turn();
    return login;
  }

  /** A client that is logged in. */
  async online(options: Partial<ClientOptions> = {}, ok: BodyInit<"LOGIN_OK"> = {}): Promise<Client> {
    const client = await this.client(options);
    await this.login(ok);
    return client;
  }

  /** A MESSAGE of bob in the log. */
  message(pos: number, prev = pos - 1, text = `text ${pos}`): void {
    this.last.say("MESSAGE", {
      pos: BigInt(pos),
      prevPos: BigInt(prev),
      msgId: BigInt(pos),
      from: "bob",
      target: { case: "toUser", value: "alice" },
      content: new TextEncoder().encode(text),
    });
  }

  async wait(ms: number): Promise<void> {
    await this.clock.advance(ms, turn);
    await turn();
  }

  /** Positions of the entries that the app was given. */
  positions(): number[] {
    return this.events.flatMap((event) => (event.type === "entry" ? [Number(event.entry.body.pos)] : []));
  }

  /** Events of one type. */
  of<T extends ClientEvent["type"]>(type: T): Extract<ClientEvent, { type: T }>[] {
    return this.events.filter((event): event is Extract<ClientEvent, { type: T }> => event.type === type);
  }
}
