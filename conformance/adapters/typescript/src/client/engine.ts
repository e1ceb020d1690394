/** Keeps a client going over many sessions: connects as the codes allow, stores before it tells, and keeps its promises over every cut. */

import type { Message } from "@bufbuild/protobuf";
import { type Body, decodeBody } from "../codec/body.js";
import { fromHex, toHex } from "../codec/bytes.js";
import type { FrameName, RawFrame } from "../codec/frame.js";
import { FEATURES, LIMITS } from "../generated/registry.js";
import { type LoginOk, type Reauth, ResumeResult } from "../generated/tidewire/v1/login_pb.js";
import type { Send } from "../generated/tidewire/v1/send_pb.js";
import { systemClock, type Clock } from "./clock.js";
import {
  classOf,
  type ClientEvent,
  type Entry,
  type EntryName,
  LocalError,
  Refused,
  type Reply,
  type ReplyName,
  type RequestName,
} from "./events.js";
import { Journal } from "./journal.js";
import { Mailbox } from "./mailbox.js";
import type { ClientOptions, ClientStatus, TokenReason } from "./options.js";
import { type Item, Outbox } from "./outbox.js";
import { Pacer } from "./pacer.js";
import { Grease, Random, secretBytes } from "./random.js";
import { type News, Receipts } from "./receipts.js";
import { type End, type Host, Session } from "./session.js";
import { Ledger, type Store } from "./store.js";
import type { Wire } from "./transport.js";

const NEVER = Number.POSITIVE_INFINITY;
/** Waits where a refusal of class 5 names no time. */
const RETRY_MS = 1000;

export class Engine implements Host {
  readonly clock: Clock;
  readonly grease: Grease;
  readonly journal: Journal;
  readonly outbox: Outbox;
  readonly receipts: Receipts;
  readonly settings: Host["settings"];
  readonly deviceId: Uint8Array;
  readonly ledger: Ledger;
  readonly mailbox: Mailbox<ClientEvent>;
  session: Session | undefined;
  status: ClientStatus = "waiting";
  tries = 0;
  token = "";
  /** Puts a fresh credential under the live session. */
  reauth: ((token: string) => void) | undefined;
  private refused: string | undefined;
  private readonly pacer: Pacer;
  private due = 0;
  private refreshAt = NEVER;
  private stopTimer: () => void = () => {};
  /** Entries that the app has not dealt with yet. */
  private untaken = 0;
  /** What is told once the changes so far are stored. */
  private news: (() => void)[] = [];
  private readonly onLost = new Set<() => void>();
  private readonly watchers = new Set<() => void>();

  constructor(
    readonly options: ClientOptions,
    store: Store,
    saved: Map<string, string>,
  ) {
    this.clock = options.clock ?? systemClock;
    const random = new Random(options.seed);
    this.grease = new Grease(random);
    this.pacer = new Pacer(random);
    this.ledger = new Ledger(store, (error) => this.storeFailed(error));
    this.mailbox = new Mailbox(
      (event) => options.onEvent(event),
      () => this.look(),
    );
    this.journal = new Journal(this.ledger, saved, {
      manualAck: options.manualAck ?? false,
      keepEntries: options.keepEntries ?? 1000,
    });
    this.outbox = new Outbox(this.ledger, saved, options.maxOutbox ?? 10_000);
    this.receipts = new Receipts(this.ledger, saved);
    this.settings = {
      features: (options.features ?? (Object.keys(FEATURES) as (keyof typeof FEATURES)[])).map(
        (name) => FEATURES[name],
      ),
      eventWindow: options.eventWindow ?? 1000,
      maxFrame: options.maxFrame ?? LIMITS.MAX_FRAME_DEFAULT,
      keepaliveMs: options.keepaliveMs,
      agent: options.agent ?? "tidewire-typescript/0.1.0",
    };
    const device = saved.get("device");
    this.deviceId = device === undefined ? (options.deviceId ?? secretBytes(LIMITS.DEVICE_ID_LEN)) : fromHex(device);
    this.ledger.put("device", toHex(this.deviceId));
  }

  /** Stores the device and begins to connect. */
  async start(): Promise<void> {
    await this.ledger.commit();
    if (typeof this.options.token === "string") this.token = this.options.token;
    else this.ask("start");
    this.tick();
  }

  /** Uses this credential from the next LOGIN on. */
  setToken(token: string): void {
    this.token = token;
    if (this.status === "token-needed") this.reconnect();
  }

  /** Connects now, but for a credential that was refused. */
  reconnect(): void {
    if (this.session !== undefined || this.status === "closed") return;
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-047] After a GOAWAY of class 3 a client MUST NOT log in again with the credential that was refused.
    this.status = this.token === this.refused || this.token === "" ? "token-needed" : "waiting";
    this.due = 0;
    this.tick();
  }

  /** Stops for good; what waits stays in the store. */
  close(): void {
    this.status = "closed";
    this.stopTimer();
    this.session?.close();
    this.session = undefined;
    const error = new LocalError("CLOSED", "the client is closed");
    for (const item of this.outbox.all()) item.reject(error);
    this.tellLost();
  }

  /** Runs `lost` if the session ends before the answer is run. */
  untilLost(lost: () => void): () => void {
    this.onLost.add(lost);
    return () => this.onLost.delete(lost);
  }

  /** Runs something once what changed so far is stored, and everything was told that this caused. */
  onceTold(run: () => void): void {
    this.news.push(() => this.mailbox.after(run));
  }

  /** Resolves when all that goes on needs either time or somebody else. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!this.ledger.idle || !this.mailbox.idle || this.session?.busy) return;
        this.watchers.delete(look);
        resolve();
      };
      this.watchers.add(look);
      look();
    });
  }

  /** Does what is due. */
  tick(): void {
    if (this.status === "closed") return;
    const now = this.clock.now();
    if (this.status === "waiting" && now >= this.due) this.connect();
    this.session?.tick();
    if (this.status === "online" && now >= this.refreshAt) {
      this.refreshAt = NEVER;
      this.ask("expiring");
    }
    //= spec/60-expiry.md#time-to-live
    //# [EXP-007] A client MUST subtract the time that a message waited in its outbox from ttl_ms, and drop it when
    //# nothing is left before its first try.
    for (const item of this.outbox.outlived(now)) {
      this.outbox.remove(item);
      item.reject(new LocalError("EXPIRED", "its time was over before it could be sent"));
      this.tell({ type: "failed", id: item.id });
    }
    this.work();
  }

  /** Sends what may be sent, stores what changed, and sleeps until something is due. */
  work(): void {
    if (this.status === "closed") return;
    this.session?.transmit((items) => {
      for (const item of items) this.outbox.note(item);
      void this.commit(() => {
        for (const item of items) item.stored = true;
        this.work();
      });
    });
    const { news } = this;
    this.news = [];
    this.commit(() => {
      for (const tell of news) tell();
    });
    this.grant();
    this.stopTimer();
    const now = this.clock.now();
    const deadline = Math.min(
      this.session?.deadline() ?? NEVER,
      this.status === "waiting" ? this.due : NEVER,
      this.status === "online" ? this.refreshAt : NEVER,
      this.outbox.deadline(now, this.session?.inFlight ?? new Set()),
    );
    if (deadline < NEVER) this.stopTimer = this.clock.after(deadline - now, () => this.tick());
  }

  /** Writes what changed, acknowledges what is stored by that, then runs `stored`. */
  commit(stored: () => void = () => {}): Promise<void> {
    const reached = this.journal.underway();
    const done = this.ledger.commit(() => {
      reached();
      this.session?.acknowledge(this.journal.stored);
      stored();
    });
    // Where it fails, `storeFailed` says so.
    done.then(
      () => this.look(),
      () => {},
    );
    return done;
  }

  // What a session tells.

  handled(): void {
    this.work();
  }

  loggedIn(login: LoginOk): void {
    this.status = "online";
    this.pacer.succeeded();
    this.receipts.self = login.user;
    const ttl = login.tokenTtlMs;
    this.refreshAt =
      ttl === undefined || typeof this.options.token === "string" ? NEVER : this.clock.now() + Number(ttl) * 0.8;
    const resume =
      login.resume === ResumeResult.RESUMED ? "RESUMED" : login.resume === ResumeResult.GAP ? "GAP" : "FRESH";
    this.tell({ type: "connected", resume, login });
  }

  entry(name: EntryName, frame: RawFrame): void {
    const entry = { name, body: decodeBody(name, frame.body) } as Entry;
    this.untaken += 1;
    this.news.push(() => {
      this.mailbox.put({ type: "entry", entry }, () => {
        this.untaken -= 1;
        this.grant();
      });
    });
    if (entry.name === "STATUS") this.tellStates(this.receipts.status(entry.body));
    if (entry.name === "EXPIRED") this.tellStates(this.receipts.expired(entry.body));
  }

  online(message: Body<"MESSAGE">): void {
    // It counts toward no event limit, so its bound is here; it may be lost with the connection, too.
    if (this.mailbox.length < 2 * this.settings.eventWindow + 16) this.tell({ type: "online-message", message });
  }

  notice(code: number): void {
    this.tell({ type: "notice", code });
  }

  synced(): void {
    this.tell({ type: "synced" });
  }

  missing(): void {
    this.tell({ type: "missing" });
  }

  answered(item: Item, replyName: FrameName, body: Message): void {
    if (replyName === "ERROR") {
      this.refusedItem(item, body as Body<"ERROR">);
      return;
    }
    this.outbox.remove(item);
    const { id, name } = item;
    const reply = body as Reply;
    this.news.push(() => item.resolve(reply));
    if (item.name === "SEND") {
      //= spec/30-send.md#ack
      //# [SND-055] A SEND_ACK MUST NOT move a client's position.
      const ack = body as Body<"SEND_ACK">;
      this.tell({ type: "accepted", id, msgId: ack.msgId, duplicate: ack.duplicate });
      this.tellStates(this.receipts.acknowledged(id, item.body as Send, ack));
    } else {
      if (item.name === "REAUTH") this.token = new TextDecoder().decode((item.body as Reauth).token);
      this.tell({ type: "answered", id, name, reply, replyName: replyName as ReplyName<RequestName> });
    }
  }

  ended(end: End): void {
    const began = this.session?.login !== undefined;
    this.session = undefined;
    const code = end.why === "goaway" ? end.goaway.code : undefined;
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-005] A client MUST act on the class of a code that it does not know.
    const kind = code === undefined ? 0 : classOf(code);
    const willReconnect = end.why !== "breach" && kind !== 1 && kind !== 3;
    if (began || end.why !== "lost")
      this.tell({ type: "disconnected", ...(code === undefined ? {} : { code }), willReconnect });
    for (const item of this.outbox.all()) {
      if (item.name !== "LOGOUT" || !item.sent) continue;
      this.outbox.remove(item);
      item.reject(new LocalError("CONNECTION_LOST", "the connection ended before the answer"));
    }
    this.tellLost();
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-006] A client MUST NOT reconnect by itself after a GOAWAY of class 1.
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-049] A client that sent GOAWAY for a breach by the server MUST NOT reconnect by itself.
    if (end.why === "breach" || kind === 1) this.status = "stopped";
    else if (kind === 3) this.credentialRefused();
    else {
      //= spec/02-errors-and-limits.md#error-and-goaway
      //# [ERR-045] After a GOAWAY of class 2 or the loss of a connection a client MUST reconnect by itself.
      this.status = "waiting";
      //= spec/02-errors-and-limits.md#error-and-goaway
      //# [ERR-007] A client MUST wait at least retry_after_ms before it repeats what was refused with it.
      this.due = this.pacer.next(this.clock.now(), end.why === "goaway" ? end.goaway.retryAfterMs : 0);
    }
    this.work();
  }

  // Its own business.

  private connect(): void {
    this.status = "connecting";
    this.tries += 1;
    this.pacer.begin(this.clock.now());
    const live = (run: (session: Session) => void) => () => {
      if (this.session === session) run(session);
    };
    const wire: Wire = this.options.transport(this.options.url, {
      opened: live((session) => session.open()),
      received: (bytes) => live((session) => session.receive(bytes))(),
      closed: live((session) => session.lost()),
    });
    const session = new Session(this, () => wire, wire.kind);
    this.session = session;
  }

  private credentialRefused(): void {
    this.refused = this.token;
    this.status = "token-needed";
    if (typeof this.options.token === "string") this.tell({ type: "token-needed" });
    else this.ask("refused");
  }

  /** Asks the app for a credential. */
  private ask(why: TokenReason): void {
    const source = this.options.token;
    if (typeof source === "string") return;
    if (why !== "expiring") this.status = "token-needed";
    const give = (token: string) => {
      if (why === "expiring" && this.session?.login !== undefined) {
        this.reauth?.(token);
        return;
      }
      this.token = token;
      if (this.status !== "token-needed") return;
      if (token === this.refused) this.tell({ type: "token-needed" });
      else {
        this.status = "waiting";
        this.due = why === "start" ? 0 : this.pacer.next(this.clock.now());
      }
      this.tick();
    };
    Promise.resolve(why)
      .then(source)
      .then(give, () => {
        this.tell({ type: "token-needed" });
        this.work();
      });
  }

  private refusedItem(item: Item, detail: Body<"ERROR">): void {
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-008] A client MUST repeat a SEND that was refused with class 5 with the same idempotency key.
    if (item.name === "SEND" && classOf(detail.code) === 5) {
      item.notBefore = this.clock.now() + (detail.retryAfterMs ?? RETRY_MS);
      // It consumed no key and had no effect, so its time to live counts on.
      item.sent = false;
      return;
    }
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-048] A client MUST NOT repeat a SEND or GROUP_OP that was answered with an ERROR of class 4.
    this.outbox.remove(item);
    const error = new Refused(detail);
    this.news.push(() => item.reject(error));
    if (item.name === "SEND") this.tell({ type: "failed", id: item.id, code: detail.code });
    else this.tell({ type: "refused", id: item.id, name: item.name, error });
  }

  private tell(event: ClientEvent): void {
    this.news.push(() => this.mailbox.put(event));
  }

  private tellStates(news: readonly News[]): void {
    for (const { id, state, user } of news)
      this.tell({ type: "status", id, state, ...(user === undefined ? {} : { user }) });
  }

  private tellLost(): void {
    for (const lost of this.onLost) lost();
    this.onLost.clear();
  }

  private grant(): void {
    this.session?.grant(this.session.entries - this.untaken);
  }

  private storeFailed(error: unknown): void {
    if (this.status === "closed" || this.status === "stopped") return;
    this.status = "stopped";
    this.stopTimer();
    this.session?.close();
    this.session = undefined;
    this.tellLost();
    this.mailbox.put({ type: "store-failed", error });
    this.look();
  }

  private look(): void {
    for (const watcher of this.watchers) watcher();
  }
}
