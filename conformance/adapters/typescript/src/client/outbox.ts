/** Requests that wait: for their turn, for their answer, or for the time to be repeated. */

import { type Message, fromBinary, toBinary } from "@bufbuild/protobuf";
import { schemaOf } from "../codec/body.js";
import { fromBase64, toBase64 } from "../codec/bytes.js";
import type { GroupOp } from "../generated/tidewire/v1/group_pb.js";
import type { Send } from "../generated/tidewire/v1/send_pb.js";
import { LocalError, type Reply, type RequestName } from "./events.js";
import { conversationOf } from "./receipts.js";
import type { Ledger } from "./store.js";

const KEY = "out/";
const nobody = () => {};

/** One request of the app. */
export interface Item {
  readonly seq: number;
  /** The app's name for it. */
  readonly id: string;
  readonly name: RequestName;
  readonly body: Message;
  /** When it was given to the outbox. */
  readonly since: number;
  /** The store has it as it is, where it has to: it may be sent. */
  stored: boolean;
  /** Noted in the store that a try may have been made. */
  tried: boolean;
  /** It went out, and was not refused since. */
  sent: boolean;
  /** It is not repeated before. */
  notBefore: number;
  /** Tell whoever waits for the answer; nobody does for what an earlier run of the program asked. */
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
}

/** What outlives the program: the rest is asked anew by whoever still wants to know. */
function durable(name: RequestName): boolean {
  return name === "SEND" || name === "GROUP_OP" || name === "MARK";
}

function ttlOf(item: Item): bigint | undefined {
  return item.name === "SEND" ? (item.body as Send).ttlMs : undefined;
}

/** The conversation whose order a request takes part in. */
function talkOf(item: Item): string | undefined {
  return item.name === "SEND" ? conversationOf((item.body as Send).target) : undefined;
}

export class Outbox {
  private readonly items = new Map<number, Item>();
  private readonly names = new Set<string>();
  private next = 1;

  constructor(
    private readonly ledger: Ledger,
    saved: Map<string, string>,
    private readonly bound: number,
  ) {
    for (const key of [...saved.keys()].filter((key) => key.startsWith(KEY)).sort()) {
      const { id, name, body, since, tried } = JSON.parse(saved.get(key) ?? "") as Saved;
      const seq = Number(key.slice(KEY.length));
      const message = fromBinary(schemaOf(name), fromBase64(body));
      this.items.set(seq, {
        seq,
        id,
        name,
        body: message,
        since,
        stored: true,
        tried,
        sent: tried,
        notBefore: 0,
        resolve: nobody,
        reject: nobody,
      });
      this.names.add(`${name}/${id}`);
      this.next = seq + 1;
    }
  }

  /** Names of what waits, oldest first. */
  waiting(name: RequestName): string[] {
    return [...this.items.values()].filter((item) => item.name === name).map((item) => item.id);
  }

  all(): Item[] {
    return [...this.items.values()];
  }

  /** Takes a request; it is stored with the ledger's next commit. Throws LocalError. */
  add(request: Pick<Item, "id" | "name" | "body" | "since">): Item {
    if (this.items.size >= this.bound) throw new LocalError("OUTBOX_FULL", `${this.bound} requests wait already`);
    const name = `${request.name}/${request.id}`;
    if (this.names.has(name)) throw new LocalError("DUPLICATE_ID", `${request.id} waits already`);
    this.names.add(name);
    const item = {
      ...request,
      seq: this.next,
      stored: !durable(request.name),
      tried: false,
      sent: false,
      notBefore: 0,
      resolve: nobody,
      reject: nobody,
    };
    this.next += 1;
    this.items.set(item.seq, item);
    this.save(item);
    return item;
  }

  /** Takes out what is settled. */
  remove(item: Item): void {
    this.items.delete(item.seq);
    this.names.delete(`${item.name}/${item.id}`);
    if (durable(item.name)) this.ledger.put(keyOf(item), null);
  }

  /** What may be sent now, in order; `flying` is what waits for an answer already. */
  *ready(now: number, flying: ReadonlySet<Item>): Generator<Item> {
    const held = new Set<string>();
    for (const item of this.items.values()) {
      if (flying.has(item)) continue;
      if (!item.stored) return;
      const talk = talkOf(item);
      // What follows in a conversation must not overtake what waits for its repeat.
      if (item.notBefore > now) {
        if (talk !== undefined) held.add(talk);
      } else if (talk === undefined || !held.has(talk)) {
        yield item;
      }
    }
  }

  /** True once a crash could not make this program believe that it never tried. A message without a time to live need not tell. */
  noted(item: Item): boolean {
    return item.tried || ttlOf(item) === undefined;
  }

  /** Notes that a try will be made; the item may be sent once the ledger's next commit set `stored` again. */
  note(item: Item): void {
    item.tried = true;
    item.stored = false;
    this.save(item);
  }

  /** The body for a try at `now`. */
  bodyAt(item: Item, now: number): Message {
    const ttl = ttlOf(item);
    if (ttl === undefined) return item.body;
    const left = ttl - BigInt(Math.max(Math.floor(now - item.since), 0));
    // Where nothing is left the first try may have been accepted, and the answer tells.
    return { ...(item.body as Send), ttlMs: left > 0n ? left : 1n } as Message;
  }

  /** Messages whose time was over before they were sent. */
  outlived(now: number): Item[] {
    return this.all().filter((item) => !item.sent && this.endOf(item) <= now);
  }

  /** The next moment at which something here is due. */
  deadline(now: number, flying: ReadonlySet<Item>): number {
    let soonest = Number.POSITIVE_INFINITY;
    for (const item of this.items.values()) {
      if (flying.has(item)) continue;
      if (item.notBefore > now) soonest = Math.min(soonest, item.notBefore);
      if (!item.sent) soonest = Math.min(soonest, this.endOf(item));
    }
    return soonest;
  }

  private endOf(item: Item): number {
    return item.since + Number(ttlOf(item) ?? Number.POSITIVE_INFINITY);
  }

  private save(item: Item): void {
    if (!durable(item.name)) return;
    const saved: Saved = {
      id: item.id,
      name: item.name,
      body: toBase64(toBinary(schemaOf(item.name), item.body)),
      since: item.since,
      tried: item.tried,
    };
    this.ledger.put(keyOf(item), JSON.stringify(saved));
  }
}

interface Saved {
  id: string;
  name: RequestName;
  body: string;
  since: number;
  tried: boolean;
}

function keyOf(item: Item): string {
  return KEY + item.seq.toString().padStart(16, "0");
}

/** Whether a request carries a key, so that a repeat has no second effect. */
export function needsKey(name: RequestName, body: Message): body is Send | GroupOp {
  return name === "SEND" || (name === "GROUP_OP" && (body as GroupOp).op.case !== "get");
}
