/** The ops of the adapter protocol on this SDK, for whatever brings a store and a transport. */

import { Client } from "../src/client/client.js";
import { ManualClock } from "../src/client/clock.js";
import { type ClientEvent, codeName, type RequestInit, type RequestName } from "../src/client/events.js";
import type { ClientOptions } from "../src/client/options.js";
import type { Store } from "../src/client/store.js";
import type { Transport } from "../src/client/transport.js";
import { schemaOf } from "../src/codec/body.js";
import { fromHex } from "../src/codec/bytes.js";
import type { FrameName } from "../src/codec/frame.js";
import { fromPlain, type Plain, toPlain } from "../src/codec/plain.js";
import { FEATURES } from "../src/generated/registry.js";
import type { Message } from "@bufbuild/protobuf";
import { type Args, type Ops, Refusal } from "./lines.js";
import { patience } from "./patience.js";

/** What differs between Node and a browser. */
export interface Platform {
  readonly transports: readonly string[];
  store(folder: string): Store | Promise<Store>;
  transport(ca: string | undefined, serverName: string | undefined): Transport;
}

/** What the adapter says of itself. */
export function about({ transports }: Platform): object {
  return { name: "@tidewire/client", version: "0.1.0", roles: ["client"], transports, features: Object.keys(FEATURES) };
}

const CLOCK = "adapter/clock";

interface Held {
  readonly client: Client;
  readonly clock?: { manual: ManualClock; store: Store; settled: () => Promise<void> };
}

const plain = (name: FrameName, body: Message) => toPlain(schemaOf(name), body);

const named = (code: number | undefined) => (code === undefined ? undefined : codeName(code));

/** An event of the SDK as one of the protocol; what is undefined is not written. */
function line(event: ClientEvent): Plain | undefined {
  switch (event.type) {
    case "connected":
      return { event: "connected", result: event.resume };
    case "synced":
    case "missing":
      return { event: event.type };
    case "entry":
      return { event: "entry", type: event.entry.name, body: plain(event.entry.name, event.entry.body) };
    case "online-message":
      return { event: "entry", type: "MESSAGE", body: plain("MESSAGE", event.message) };
    case "accepted":
      return { event: "accepted", message: event.id, msg_id: event.msgId.toString(), duplicate: event.duplicate };
    case "failed":
      return { event: "failed", message: event.id, code: named(event.code) };
    case "status":
      return { event: "status", message: event.id, state: event.state, user: event.user };
    case "answered":
      return { event: "reply", request: event.id, type: event.replyName, body: plain(event.replyName, event.reply) };
    case "refused":
      return { event: "refused", request: event.id, code: event.error.code, body: plain("ERROR", event.error.detail) };
    case "disconnected":
      return { event: "disconnected", code: named(event.code), will_reconnect: event.willReconnect };
    case "token-needed":
      return { event: "token_needed" };
    default:
      return undefined;
  }
}

/** Every op of a client; `say` gets the events. */
export function clientOps(platform: Platform, say: (message: object) => void): Ops {
  const held = new Map<string, Held>();
  const find = (args: Args): Held => {
    const found = held.get(String(args.client));
    if (found === undefined) throw new Refusal("NO_CLIENT", `there is no client ${args.client}`);
    return found;
  };

  async function open(args: Args): Promise<void> {
    const name = String(args.client);
    const store = await platform.store(String(args.store ?? name));
    const saved = await store.load();
    const manual = args.manual_clock === true ? new ManualClock(Number(saved.get(CLOCK) ?? Date.now())) : undefined;
    let client: Client | undefined;
    client = await Client.open({
      url: String(args.url),
      token: String(args.token),
      transport: platform.transport(args.ca as string | undefined, args.server_name as string | undefined),
      store: { load: async () => saved, write: (changes) => store.write(changes), close: () => store.close() },
      manualAck: args.manual_ack === true,
      deviceId: args.device === undefined ? undefined : fromHex(String(args.device)),
      features: args.features as ClientOptions["features"],
      seed: args.seed as number | undefined,
      clock: manual,
      onEvent: (event) => {
        const told = line(event);
        if (told !== undefined && client?.status !== "closed") say({ ...told, client: name });
      },
    });
    const clock = manual && { manual, store, settled: patience(client) };
    held.set(name, { client, ...(clock && { clock }) });
  }

  async function post(args: Args, type: string, id: unknown): Promise<void> {
    const { client } = find(args);
    const name = type as RequestName;
    const body = fromPlain(schemaOf(name), (args.body ?? {}) as Plain);
    await client.post(name, body as RequestInit<typeof name>, String(id));
  }

  async function advance(args: Args): Promise<void> {
    const { clock } = find(args);
    if (clock === undefined) throw new Refusal("NO_CLOCK", "the client was not opened with manual_clock");
    await clock.settled();
    await clock.manual.advance(Number(args.advance_ms), clock.settled);
    await clock.store.write([[CLOCK, String(clock.manual.now())]]);
  }

  return {
    open,
    send: (args) => post(args, "SEND", args.message),
    request: (args) => post(args, String(args.type), args.request),
    ack: (args) => find(args).client.ack(BigInt(String(args.pos))),
    fence: (args) => find(args).client.fence(),
    state: (args) => {
      const { client } = find(args);
      const { status, position, unsent, attempts } = client;
      return { connected: status === "online", pos: position.toString(), outbox: unsent, attempts };
    },
    clock: advance,
    token: (args) => find(args).client.setToken(String(args.token)),
    close: async (args) => {
      await find(args).client.close();
      held.delete(String(args.client));
    },
  };
}
