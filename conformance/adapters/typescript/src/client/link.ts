/** One connection: frames out, with refs and some grease, and frames in. */

import { type Message, toBinary } from "@bufbuild/protobuf";
import { schemaOf } from "../codec/body.js";
import {
  Decoder,
  encodeFrame,
  FLAGS,
  type FrameName,
  kindOf,
  PREFACE,
  type RawFrame,
  Violation,
} from "../codec/frame.js";
import type { Clock } from "./clock.js";
import type { Item } from "./outbox.js";
import type { Grease } from "./random.js";
import type { Wire } from "./transport.js";

/** A request that waits for its answer: one of the app, or one of this client's own. */
export interface Pending {
  readonly name: FrameName;
  readonly item?: Item;
  readonly done?: (reply: FrameName, body: Message) => void;
}

export class Link {
  lastSent: number;
  lastHeard: number;
  /** Nothing is sent or read any more. */
  over = false;
  private readonly decoder: Decoder;
  private readonly pending = new Map<number, Pending>();
  private out: Uint8Array<ArrayBuffer>[] = [];
  private ref = 0;

  constructor(
    private readonly wire: () => Wire,
    private readonly kind: Wire["kind"],
    private readonly grease: Grease,
    private readonly clock: Clock,
  ) {
    this.decoder = new Decoder(kind === "stream");
    this.lastSent = this.lastHeard = clock.now();
    //= spec/01-framing.md#transports
    //# [FRM-001] On a byte stream a client MUST send the 8 preface bytes F7 54 49 44 45 0D 0A 00 before anything else.
    if (kind === "stream") this.out.push(PREFACE);
  }

  /** Longest body that is taken from now on. */
  set maxFrame(limit: number) {
    this.decoder.maxFrame = limit;
  }

  /** Requests without an answer, LOGIN too. */
  get open(): readonly Pending[] {
    return [...this.pending.values()];
  }

  /** Takes bytes, null for a message that has none, and hands each whole frame over. Throws Violation, and what `take` throws. */
  receive(bytes: Uint8Array | null, take: (frame: RawFrame) => void): void {
    this.lastHeard = this.clock.now();
    if (bytes === null) throw new Violation("PROTOCOL_VIOLATION", "a text message");
    this.decoder.feed(bytes);
    for (let frame = this.decoder.next(); frame !== undefined && !this.over; frame = this.decoder.next()) take(frame);
    if (this.kind === "messages" && !this.over && this.decoder.rest.length > 0) {
      throw new Violation("PROTOCOL_VIOLATION", "a message ends within a frame");
    }
  }

  /** Sends a request with a ref of its own. */
  request(pending: Pending, body: Message): void {
    //= spec/01-framing.md#requests-and-replies
    //# [FRM-024] A client MUST NOT reuse a ref on a connection while its request is unanswered.
    do this.ref = (this.ref % 0xffffffff) + 1;
    while (this.pending.has(this.ref));
    this.pending.set(this.ref, pending);
    this.put(pending.name, toBinary(schemaOf(pending.name), body), this.ref);
  }

  /** The request that a reply is for. Throws Violation where the registry has another reply for it. */
  answered(ref: number, reply: FrameName): Pending | undefined {
    const pending = this.pending.get(ref);
    if (pending === undefined) return undefined;
    if (reply !== kindOf(pending.name).reply && (reply !== "ERROR" || pending.name === "LOGIN")) {
      throw new Violation("PROTOCOL_VIOLATION", `${reply} as a reply to ${pending.name}`);
    }
    this.pending.delete(ref);
    return pending;
  }

  put(name: FrameName, body: Uint8Array, ref = 0, reply = false): void {
    //= spec/01-framing.md#header
    //# [FRM-014] A sender MUST NOT set flag bits 3 to 6.
    const flags = (reply ? FLAGS.REPLY : 0) | this.grease.flags();
    this.out.push(encodeFrame({ type: kindOf(name).type, flags, ref, body }));
  }

  /** An event of a type that nobody knows. */
  putGrease(): void {
    this.out.push(this.grease.frame());
  }

  flush(): void {
    if (this.out.length === 0 || this.over) return;
    this.lastSent = this.clock.now();
    // One frame a message: every server takes that, however it bounds its messages.
    const frames = this.out;
    this.out = [];
    for (const frame of frames) this.wire().send(frame);
  }

  /** Sends what waits, and is gone. */
  close(): void {
    this.flush();
    this.over = true;
    this.wire().close();
  }
}
