/** One session: LOGIN, then frames both ways over one connection until it ends. What has to outlive it stands elsewhere. */

import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { type Body, decodeBody, encodeBody, schemaOf } from "../codec/body.js";
import { fromText } from "../codec/bytes.js";
import { FLAGS, type FrameName, kindOf, nameOf, type RawFrame, Violation } from "../codec/frame.js";
import { Malformed, records, WIRE } from "../codec/records.js";
import { CODES, LIMITS } from "../generated/registry.js";
import { ErrorSchema, PingSchema } from "../generated/tidewire/v1/control_pb.js";
import { LoginSchema, ResumeResult } from "../generated/tidewire/v1/login_pb.js";
import { SyncSchema } from "../generated/tidewire/v1/send_pb.js";
import type { Clock } from "./clock.js";
import type { EntryName } from "./events.js";
import type { Journal } from "./journal.js";
import { Link, type Pending } from "./link.js";
import type { Item, Outbox } from "./outbox.js";
import type { Grease } from "./random.js";
import type { Wire } from "./transport.js";

/** How a session ends. */
export type End =
  | { why: "lost" }
  | { why: "goaway"; goaway: Body<"GOAWAY"> }
  /** The server broke the protocol; this side said GOAWAY. */
  | { why: "breach"; code: string };

/** What a session works with, and whom it tells. */
export interface Host {
  readonly clock: Clock;
  readonly grease: Grease;
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly settings: {
    features: readonly number[];
    eventWindow: number;
    maxFrame: number;
    keepaliveMs?: number | undefined;
    agent: string;
  };
  readonly token: string;
  readonly deviceId: Uint8Array;
  loggedIn(login: Body<"LOGIN_OK">): void;
  entry(name: EntryName, frame: RawFrame): void;
  online(message: Body<"MESSAGE">): void;
  notice(code: number): void;
  synced(): void;
  missing(): void;
  answered(item: Item, reply: FrameName, body: Message): void;
  ended(end: End): void;
  /** Bytes were handled: store what changed, acknowledge, and go on. */
  handled(): void;
}

/** A gap that was found, and how far asking for it has come. */
interface Gap {
  readonly after: bigint;
  answered: boolean;
}

export class Session {
  login: Body<"LOGIN_OK"> | undefined;
  private readonly link: Link;
  private readonly flying = new Set<Item>();
  /** Own requests that wait for room. */
  private readonly own: { pending: Pending; body: Message }[] = [];
  private ended = false;
  private gap: Gap | undefined;
  private received = 0;
  private eventLimit: number;
  private acked = 0n;
  /** Where the backlog started, or the highest position that came since: no ACK may go beyond. */
  private seen = 0n;
  private readonly openedAt: number;

  constructor(
    private readonly host: Host,
    wire: () => Wire,
    kind: Wire["kind"],
  ) {
    this.link = new Link(wire, kind, host.grease, host.clock);
    this.eventLimit = host.settings.eventWindow;
    this.openedAt = host.clock.now();
  }

  /** Sent requests of the app without an answer. */
  get inFlight(): ReadonlySet<Item> {
    return this.flying;
  }

  /** LOGGED frames of this session so far. */
  get entries(): number {
    return this.received;
  }

  /** Longest body that the server takes. */
  get bodyLimit(): number {
    return this.login === undefined ? LIMITS.MAX_FRAME_HARD : (this.login.limits?.maxFrame ?? LIMITS.MAX_FRAME_DEFAULT);
  }

  /** True while an answer of the server is due that does not depend on anybody else. */
  get busy(): boolean {
    return !this.ended && (this.login === undefined || this.link.open.some(({ name }) => name === "PING"));
  }

  /** The connection is there. */
  open(): void {
    const { settings, journal, grease, token, deviceId } = this.host;
    const resume = journal.resume();
    this.seen = resume?.pos ?? 0n;
    const login = create(LoginSchema, {
      versionMin: 1,
      versionMax: 1,
      //= spec/03-versioning.md#grease
      //# [VER-021] A client SHOULD send some grease in each session.
      features: [...settings.features, grease.feature()],
      token: fromText(token),
      //= spec/20-login.md#login-1
      //# [LGN-013] A client MUST send the same device_id in every LOGIN of one installation.
      deviceId,
      limits: { maxFrame: settings.maxFrame },
      eventLimit: BigInt(this.eventLimit),
      agent: settings.agent,
      ...(settings.keepaliveMs === undefined ? {} : { keepaliveMs: settings.keepaliveMs }),
      //= spec/20-login.md#resume
      //# [LGN-050] A client that has stored entries MUST name their epoch and last position as resume in LOGIN.
      ...(resume === undefined ? {} : { resume }),
    });
    this.link.request({ name: "LOGIN", done: (_, body) => this.loginAnswered(body as Body<"LOGIN_OK">) }, login);
    this.link.flush();
  }

  /** Bytes came; null for a message that has none. */
  receive(bytes: Uint8Array | null): void {
    if (this.ended) return;
    try {
      this.link.receive(bytes, (frame) => this.frame(frame));
    } catch (error) {
      if (error instanceof Violation) this.breach(error.code);
      else if (error instanceof Malformed) this.breach("MALFORMED_FRAME");
      else throw error;
    }
    this.host.handled();
    this.link.flush();
  }

  /** The connection is gone, or given up. */
  lost(): void {
    this.end({ why: "lost" });
  }

  /** Leaves without a word. */
  close(): void {
    this.ended = true;
    this.link.close();
  }

  /** Asks for a sign of life; `answered` when it came. */
  ping(answered: () => void): void {
    this.own.push({ pending: { name: "PING", done: answered }, body: create(PingSchema) });
    this.transmit();
  }

  /** Everything up to `pos` is stored. */
  acknowledge(pos: bigint): void {
    //= spec/30-send.md#ack
    //# [SND-053] A client MUST send ACK only for entries that it has stored.
    //= spec/30-send.md#ack
    //# [SND-084] A client MUST send ACK for the entries that it has stored.
    const upTo = pos < this.seen ? pos : this.seen;
    if (this.ended || this.login === undefined || upTo <= this.acked) return;
    this.acked = upTo;
    this.link.put("ACK", encodeBody("ACK", { pos: upTo }));
    this.link.flush();
  }

  /** The app has `taken` so many LOGGED frames off our hands in this session. */
  grant(taken: number): void {
    const window = this.host.settings.eventWindow;
    const limit = taken + window;
    //= spec/10-control.md#flow-of-entries
    //# [CTL-026] A client whose app takes its entries MUST raise the event limit before it is used up.
    if (this.ended || this.login === undefined || limit - this.eventLimit < Math.max(window / 2, 1)) return;
    this.eventLimit = limit;
    this.link.put("CREDIT", encodeBody("CREDIT", { eventLimit: BigInt(limit) }));
    this.link.flush();
  }

  /** Sends what may be sent. Messages with a time to live are first given to `note`, which calls again once they are noted. */
  transmit(note?: (items: Item[]) => void): void {
    if (this.ended || this.login === undefined) return;
    while (this.room > 0) {
      const next = this.own.shift();
      if (next === undefined) break;
      this.link.request(next.pending, next.body);
    }
    const { outbox, clock } = this.host;
    const now = clock.now();
    const ready: Item[] = [];
    for (const item of outbox.ready(now, this.flying)) {
      if (ready.length >= this.room) break;
      ready.push(item);
    }
    const unnoted = ready.findIndex((item) => !outbox.noted(item));
    //= spec/10-control.md#end-of-a-connection
    //# [CTL-032] After losing a connection a client MUST repeat every unanswered SEND and GROUP_OP in the same order
    //# with the same idempotency keys.
    for (const item of unnoted < 0 ? ready : ready.slice(0, unnoted)) {
      const body = outbox.bodyAt(item, now);
      if (toBinary(schemaOf(item.name), body).length > this.bodyLimit) {
        // The server would end the connection, and each that follows.
        this.host.answered(
          item,
          "ERROR",
          create(ErrorSchema, { code: CODES.CONTENT_TOO_LARGE, text: "longer than the server's max_frame" }),
        );
        continue;
      }
      item.sent = true;
      this.flying.add(item);
      this.link.request({ name: item.name, item }, body);
    }
    this.link.flush();
    if (unnoted >= 0) note?.(ready.filter((item) => !outbox.noted(item)));
  }

  /** The next moment at which `tick` has something to do. */
  deadline(): number {
    if (this.login === undefined) return this.openedAt + LIMITS.LOGIN_TIMEOUT_MS;
    return Math.min(this.link.lastSent + this.keepalive / 2, this.link.lastHeard + 2 * this.keepalive);
  }

  tick(): void {
    if (this.ended) return;
    const now = this.host.clock.now();
    //= spec/10-control.md#keepalive
    //# [CTL-035] A client SHOULD take a server from which nothing came for two keepalive intervals as gone and
    //# reconnect.
    if (this.login === undefined ? now >= this.deadline() : now >= this.link.lastHeard + 2 * this.keepalive) {
      this.end({ why: "lost" });
      //= spec/10-control.md#keepalive
      //# [CTL-012] A client MUST send a frame at least once in each keepalive interval.
    } else if (this.login !== undefined && now >= this.link.lastSent + this.keepalive / 2) {
      if (this.room > 0) this.ping(() => {});
      // Without room for an answer: a PING with ref 0 has none.
      else this.link.put("PING", new Uint8Array(0));
      this.link.flush();
    }
  }

  private get keepalive(): number {
    return this.login?.keepaliveMs || LIMITS.KEEPALIVE_DEFAULT_MS;
  }

  private get room(): number {
    //= spec/02-errors-and-limits.md#sizes
    //# [ERR-037] A client MUST NOT have more unanswered requests than the server's max_inflight.
    return (this.login?.limits?.maxInflight ?? LIMITS.MAX_INFLIGHT_DEFAULT) - this.link.open.length;
  }

  /** GOAWAY is the last frame that this side sends. */
  private breach(code: keyof typeof CODES): void {
    this.link.put("GOAWAY", encodeBody("GOAWAY", { code: CODES[code] }));
    this.end({ why: "breach", code });
  }

  private end(end: End): void {
    if (this.ended) return;
    this.ended = true;
    this.link.close();
    this.host.ended(end);
  }

  // What comes.

  private frame(frame: RawFrame): void {
    const name = nameOf(frame.type);
    const kind = name && kindOf(name);
    if (kind?.dir === "c2s") throw new Violation("PROTOCOL_VIOLATION", `${name} from a server`);
    if (this.login === undefined && name !== undefined && name !== "LOGIN_OK" && name !== "GOAWAY") {
      throw new Violation("PROTOCOL_VIOLATION", `${name} before LOGIN_OK`);
    }
    if (frame.flags & FLAGS.REPLY) this.reply(frame, name);
    else if (frame.ref !== 0) this.asked(frame, name);
    else if (name === undefined || kind?.logged) this.loggedOrUnknown(frame, name as EntryName | undefined);
    else this.event(frame, name);
  }

  /** A request of the server. */
  private asked(frame: RawFrame, name: FrameName | undefined): void {
    if (this.login === undefined) throw new Violation("PROTOCOL_VIOLATION", "a request before LOGIN_OK");
    if (name === "PING") {
      //= spec/10-control.md#ping
      //# [CTL-004] A client MUST answer a PING that has a ref with PONG.
      this.link.put("PONG", encodeBody("PONG", { data: decodeBody("PING", frame.body).data }), frame.ref, true);
    } else {
      //= spec/01-framing.md#unknown-frames
      //# [FRM-048] To a request of a type that it does not know a client MUST answer ERROR UNSUPPORTED_FRAME and keep
      //# the connection.
      this.link.put("ERROR", encodeBody("ERROR", { code: CODES.UNSUPPORTED_FRAME }), frame.ref, true);
    }
  }

  private event(frame: RawFrame, name: FrameName): void {
    decodeBody(name, frame.body);
    if (name === "SYNCED") {
      if (this.gap?.answered) this.gap = undefined;
      this.host.synced();
    } else if (name === "NOTICE") {
      this.host.notice(decodeBody("NOTICE", frame.body).code);
    } else if (name === "GOAWAY") {
      this.end({ why: "goaway", goaway: decodeBody("GOAWAY", frame.body) });
    }
  }

  private loggedOrUnknown(frame: RawFrame, name: EntryName | undefined): void {
    //= spec/01-framing.md#unknown-frames
    //# [FRM-042] On an unknown event with CRITICAL set the receiver MUST send GOAWAY UNKNOWN_CRITICAL and close.
    //= spec/03-versioning.md#grease
    //# [VER-020] A receiver MUST treat grease as any unknown value of its kind.
    if (name === undefined && frame.flags & FLAGS.CRITICAL)
      throw new Violation("UNKNOWN_CRITICAL", "an unknown event that must not be skipped");
    //= spec/01-framing.md#header
    //# [FRM-013] A receiver MUST ignore flag bits that are undefined or that mean nothing for the frame.
    if (frame.flags & FLAGS.LOGGED && this.login !== undefined) this.entry(frame, name);
    else if (name === "MESSAGE") this.host.online(decodeBody("MESSAGE", frame.body));
    else if (name !== undefined) decodeBody(name, frame.body);
    //= spec/01-framing.md#unknown-frames
    //# [FRM-043] An unknown event without CRITICAL MUST be skipped without effect on the connection.
  }

  private entry(frame: RawFrame, name: EntryName | undefined): void {
    this.received += 1;
    const { pos, prevPos } = name === undefined ? placeOf(frame.body) : decodeBody(name, frame.body);
    const { journal } = this.host;
    if (pos > this.seen) this.seen = pos;
    //= spec/30-send.md#the-user-log
    //# [SND-044] A client MUST ignore an entry whose pos is not above its own position.
    if (pos <= journal.taken) return;
    if (prevPos > journal.taken) {
      this.found(journal.taken);
      return;
    }
    if (name === undefined) journal.take(pos);
    else {
      journal.take(pos, name, frame.body);
      this.host.entry(name, frame);
    }
  }

  /** Entries after `after` are missing. Asks once; where a gap stays after the answer, a new connection may heal it. */
  private found(after: bigint): void {
    if (this.gap?.after === after) {
      if (!this.gap.answered) return;
      this.end({ why: "lost" });
      return;
    }
    const gap: Gap = { after, answered: false };
    this.gap = gap;
    //= spec/30-send.md#the-user-log
    //# [SND-043] A client MUST take an entry whose prev_pos is above its own position as a gap and ask for the missing
    //# with SYNC.
    const body = create(SyncSchema, { afterPos: after });
    this.own.push({ pending: { name: "SYNC", done: (reply, answer) => this.syncAnswered(gap, reply, answer) }, body });
  }

  private syncAnswered(gap: Gap, reply: FrameName, answer: Message): void {
    gap.answered = true;
    if (reply === "OK") return;
    const { limit } = answer as Body<"ERROR">;
    if (limit === undefined) {
      this.end({ why: "lost" });
      return;
    }
    // What is missing is gone for good; what the server still has comes as after GAP.
    this.host.journal.skipTo(limit);
    this.acked = this.seen = limit;
    this.host.missing();
    this.found(limit);
  }

  private reply(frame: RawFrame, name: FrameName | undefined): void {
    if (name === undefined) return;
    const body: Message = decodeBody(name, frame.body);
    const pending = this.link.answered(frame.ref, name);
    if (pending === undefined) return;
    pending.done?.(name, body);
    if (pending.item === undefined) return;
    this.flying.delete(pending.item);
    this.host.answered(pending.item, name, body);
  }

  private loginAnswered(login: Body<"LOGIN_OK">): void {
    //= spec/20-login.md#login-1
    //# [LGN-049] A client MUST NOT send another frame between LOGIN and LOGIN_OK.
    this.login = login;
    this.link.maxFrame = this.host.settings.maxFrame;
    const { journal } = this.host;
    if (login.resume === ResumeResult.RESUMED) {
      journal.resumed();
      this.host.loggedIn(login);
      //= spec/20-login.md#resume
      //# [LGN-052] After RESUMED a client that has stored entries MUST send ACK for them once more.
      if (journal.stored > 0n) this.acknowledge(journal.stored);
    } else {
      const lost = login.resume === ResumeResult.GAP;
      //= spec/20-login.md#resume
      //# [LGN-051] A client that is told FRESH MUST give up its position and take the entries from oldest_pos on as
      //# new.
      journal.restart(login.epoch, login.oldestPos);
      this.acked = this.seen = journal.stored;
      this.host.loggedIn(login);
      //= spec/20-login.md#resume
      //# [LGN-028] A client that is told GAP MUST take the entries from oldest_pos on as new and tell its user that
      //# entries before may be missing.
      if (lost) this.host.missing();
    }
    this.link.putGrease();
  }
}

/** pos and prev_pos of an entry of a type that nobody here knows. */
function placeOf(body: Uint8Array): { pos: bigint; prevPos: bigint } {
  const place = { pos: 0n, prevPos: 0n };
  //= spec/01-framing.md#unknown-frames
  //# [FRM-044] A client MUST advance its position over an unknown frame with LOGGED set by reading body fields 1 and 2.
  for (const { number, wire, value } of records(body)) {
    if (wire !== WIRE.VARINT) continue;
    if (number === 1) place.pos = value;
    else if (number === 2) place.prevPos = value;
  }
  return place;
}
