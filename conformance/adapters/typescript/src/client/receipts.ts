/** The states of what was sent from here, as SEND_ACK, STATUS and EXPIRED tell them. */

import type { Body } from "../codec/body.js";
import type { Send } from "../generated/tidewire/v1/send_pb.js";
import { MessageState } from "../generated/tidewire/v1/status_pb.js";
import type { StateName } from "./events.js";
import type { Ledger } from "./store.js";

/** A state that the app has to learn. */
export interface News {
  id: string;
  state: StateName;
  user?: string;
}

/** What is known of one message. `id` is absent where it came before the SEND_ACK. */
interface Known {
  id?: string;
  /** Of the message as a whole; EXPIRED and FAILED here are the end. */
  state: number;
  /** By recipient. */
  by: { [user: string]: number };
  /** ONLINE_ONLY: no watermark speaks of it. */
  online?: true;
}
/** The highest DELIVERED and READ of one recipient in one conversation. */
interface Watermark {
  delivered: string;
  read: string;
}
type About = { user: string } | { group: bigint };

const SENT = "sent/";
const MARK = "mark/";
/** So many of each are remembered, the newest; what is older changes no more. */
const BOUND = 10_000;

const terminal = (state: number) => state >= MessageState.EXPIRED;
const nameOf = (state: number) => MessageState[state] as StateName;

/** A conversation as a key. */
export function conversationOf(target: { case: string | undefined; value?: unknown }): string {
  return target.case === "group" || target.case === "toGroup"
    ? `group:${target.value}`
    : `user:${encodeURIComponent(String(target.value ?? ""))}`;
}

export class Receipts {
  /** The own user, once a LOGIN_OK named it. */
  self: string | undefined;
  private readonly sent: Map<string, Known>;
  private readonly marks: Map<string, Watermark>;

  constructor(
    private readonly ledger: Ledger,
    saved: Map<string, string>,
  ) {
    const restore = <T>(prefix: string) =>
      new Map(
        [...saved]
          .filter(([key]) => key.startsWith(prefix))
          .map(([key, text]) => [key, JSON.parse(text) as T] as const),
      );
    this.sent = restore<Known>(SENT);
    this.marks = restore<Watermark>(MARK);
  }

  /** SEND_ACK came for an own message. */
  acknowledged(id: string, send: Send, ack: Body<"SEND_ACK">): News[] {
    const talk = conversationOf(send.target);
    const key = `${SENT}${talk}/${ack.msgId}`;
    //= spec/40-status.md#order-of-states
    //# [STA-055] A client MUST apply a STATUS that comes before the SEND_ACK of its message.
    const known: Known = { state: MessageState.ACCEPTED, by: {}, ...this.sent.get(key), id };
    if (send.delivery === 2) known.online = true;
    const news: News[] = [];
    if (terminal(known.state)) news.push({ id, state: nameOf(known.state) });
    for (const [user, state] of Object.entries(known.by)) news.push({ id, state: nameOf(state), user });
    this.raise(known, Math.max(ack.state, MessageState.ACCEPTED), news);
    for (const [mark, water] of this.marks) {
      const user = this.userOf(mark, talk);
      if (user !== undefined) this.apply(known, ack.msgId, user, water, talk, news);
    }
    this.keep(this.sent, key, known);
    return news;
  }

  /** STATUS came. */
  status(body: Body<"STATUS">): News[] {
    const talk = conversationOf(body.conversation);
    if (body.state === MessageState.FAILED)
      return this.ended(talk, body.msgId, body.state, talk.startsWith("group:") ? body.by : undefined);
    if (body.state !== MessageState.DELIVERED && body.state !== MessageState.READ) return [];
    // A mark of another own device is about what others sent.
    if (body.by === this.self && talk !== conversationOf({ case: "user", value: this.self })) return [];
    const mark = `${MARK}${talk}/${encodeURIComponent(body.by)}`;
    const water = this.marks.get(mark) ?? { delivered: "0", read: "0" };
    const place = body.state === MessageState.READ ? "read" : "delivered";
    if (body.msgId <= BigInt(water[place])) return [];
    water[place] = body.msgId.toString();
    this.keep(this.marks, mark, water);
    const news: News[] = [];
    for (const [key, known] of this.sent) {
      if (!key.startsWith(`${SENT}${talk}/`)) continue;
      const before = news.length;
      this.apply(known, BigInt(key.slice(key.lastIndexOf("/") + 1)), body.by, water, talk, news);
      if (news.length > before) this.keep(this.sent, key, known);
    }
    return news;
  }

  /** EXPIRED came. */
  expired(body: Body<"EXPIRED">): News[] {
    return this.ended(conversationOf(body.conversation), body.msgId, MessageState.EXPIRED, undefined);
  }

  /** The state of an own message: of all, or at one recipient. */
  stateOf(about: About, msgId: bigint, user?: string): StateName | undefined {
    const talk = conversationOf(
      "user" in about ? { case: "user", value: about.user } : { case: "group", value: about.group },
    );
    const known = this.sent.get(`${SENT}${talk}/${msgId}`);
    if (known?.id === undefined) return undefined;
    return nameOf(
      user === undefined || terminal(known.state) ? known.state : (known.by[user] ?? MessageState.ACCEPTED),
    );
  }

  private ended(talk: string, msgId: bigint, state: number, user: string | undefined): News[] {
    const key = `${SENT}${talk}/${msgId}`;
    const known = this.sent.get(key) ?? { state: MessageState.ACCEPTED, by: {} };
    const news: News[] = [];
    if (user === undefined) this.raise(known, state, news);
    else this.raiseAt(known, user, state, true, news);
    this.keep(this.sent, key, known);
    return news;
  }

  /** What a watermark says of one message. */
  private apply(known: Known, msgId: bigint, user: string, water: Watermark, talk: string, news: News[]): void {
    if (known.online) return;
    //= spec/40-status.md#order-of-states
    //# [STA-053] A client MUST take a watermark for each of its messages in the conversation whose id is not above
    //# msg_id.
    const state =
      msgId <= BigInt(water.read) ? MessageState.READ : msgId <= BigInt(water.delivered) ? MessageState.DELIVERED : 0;
    if (state > 0) this.raiseAt(known, user, state, talk.startsWith("group:"), news);
  }

  private raiseAt(known: Known, user: string, state: number, group: boolean, news: News[]): void {
    const before = known.by[user] ?? MessageState.ACCEPTED;
    //= spec/40-status.md#order-of-states
    //# [STA-032] A client MUST let a terminal state stand against later watermarks.
    if (terminal(known.state) || terminal(before)) return;
    //= spec/40-status.md#order-of-states
    //# [STA-054] A client MUST NOT let the state of a message fall in rank.
    if (state <= (group ? before : Math.max(before, known.state))) return;
    known.by[user] = state;
    if (!terminal(state)) known.state = Math.max(known.state, state);
    if (known.id !== undefined) news.push({ id: known.id, state: nameOf(state), ...(group ? { user } : {}) });
  }

  private raise(known: Known, state: number, news: News[]): void {
    if (terminal(known.state) || state <= known.state) return;
    known.state = state;
    if (known.id !== undefined) news.push({ id: known.id, state: nameOf(state) });
  }

  /** The reader that a watermark is of, if it is one of this conversation. */
  private userOf(mark: string, talk: string): string | undefined {
    const start = `${MARK}${talk}/`;
    return mark.startsWith(start) ? decodeURIComponent(mark.slice(start.length)) : undefined;
  }

  private keep<T>(map: Map<string, T>, key: string, value: T): void {
    map.set(key, value);
    this.ledger.put(key, JSON.stringify(value));
    for (const oldest of map.keys()) {
      if (map.size <= BOUND) break;
      map.delete(oldest);
      this.ledger.put(oldest, null);
    }
  }
}
