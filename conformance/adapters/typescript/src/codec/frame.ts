/** Preface, header and an incremental decoder: spec/01-framing.md. Bytes in, frames out; no body is looked at. */

import { FRAMES, LIMITS } from "../generated/registry.js";

/** What both sides send first on a byte stream. */
export const PREFACE = Uint8Array.of(0xf7, 0x54, 0x49, 0x44, 0x45, 0x0d, 0x0a, 0x00);

/** Header flags. */
export const FLAGS = { CRITICAL: 0x01, REPLY: 0x02, LOGGED: 0x04, GREASE: 0x80 } as const;

/** The name of a registered frame type. */
export type FrameName = keyof typeof FRAMES;

/** A row of the registry of frames. */
export interface FrameKind {
  readonly type: number;
  readonly dir: "c2s" | "s2c" | "both";
  readonly kind: "request" | "reply" | "event";
  readonly reply?: FrameName;
  readonly logged?: true;
}

const BY_TYPE = new Map<number, FrameName>(
  (Object.keys(FRAMES) as FrameName[]).map((name) => [FRAMES[name].type, name]),
);

/** The registered name of a type, if it has one. */
export function nameOf(type: number): FrameName | undefined {
  return BY_TYPE.get(type);
}

/** What the registry says of a frame. */
export function kindOf(name: FrameName): FrameKind {
  return FRAMES[name];
}

/** A frame whose header is read and whose body is still bytes. */
export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly ref: number;
  readonly body: Uint8Array;
}

/** The bytes broke a rule of the connection; `code` is the one that GOAWAY names. */
export class Violation extends Error {
  constructor(
    readonly code: "BAD_PREFACE" | "FRAME_TOO_LARGE" | "PROTOCOL_VIOLATION" | "MALFORMED_FRAME" | "UNKNOWN_CRITICAL",
    text: string,
    readonly limit?: number,
    readonly actual?: number,
  ) {
    super(text);
  }
}

/** A frame as bytes, header and all. */
export function encodeFrame(frame: RawFrame): Uint8Array<ArrayBuffer> {
  //= spec/01-framing.md#header
  //# [FRM-016] An encoder MUST write a frame in one piece whose len equals the number of body bytes that follow.
  const out = new Uint8Array(LIMITS.HEADER_LEN + frame.body.length);
  const view = new DataView(out.buffer);
  view.setUint16(0, frame.body.length >>> 8);
  view.setUint8(2, frame.body.length & 0xff);
  view.setUint8(3, frame.flags);
  view.setUint16(4, frame.type);
  view.setUint32(6, frame.ref);
  out.set(frame.body, LIMITS.HEADER_LEN);
  return out;
}

/** Puts frames together however their bytes are cut. */
export class Decoder {
  /** Longest body that is taken; may change between two frames. */
  maxFrame: number = LIMITS.MAX_FRAME_BEFORE_LOGIN;
  /** What was fed and not taken: a view of a storage with room behind it. */
  private buffer = new Uint8Array(0);
  private waitsForPreface: boolean;

  constructor(preface: boolean) {
    this.waitsForPreface = preface;
  }

  /** Bytes that are no whole frame yet; good until more are fed. */
  get rest(): Uint8Array {
    return this.buffer;
  }

  feed(bytes: Uint8Array): void {
    const { byteOffset, length } = this.buffer;
    const whole = length + bytes.length;
    let storage = this.buffer.buffer;
    let start = byteOffset;
    if (start + whole > storage.byteLength) {
      // Twice what is needed: the bytes of a long frame are moved a few times and not once a piece.
      storage = new ArrayBuffer(2 * whole);
      start = 0;
      new Uint8Array(storage).set(this.buffer);
    }
    this.buffer = new Uint8Array(storage, start, whole);
    this.buffer.set(bytes, length);
  }

  /** The next whole frame. Throws Violation; after that nothing can be read any more. */
  next(): RawFrame | undefined {
    if (this.waitsForPreface && !this.takePreface()) return undefined;
    //= spec/01-framing.md#header
    //# [FRM-011] A decoder MUST yield the same frames however the byte stream is split.
    //= spec/01-framing.md#header
    //# [FRM-012] A decoder MUST treat an incomplete frame as not yet there and not as an error.
    if (this.buffer.length < LIMITS.HEADER_LEN) return undefined;
    //= spec/01-framing.md#header
    //# [FRM-010] A decoder MUST read len, type and ref as unsigned big-endian numbers of 24, 16 and 32 bits.
    const view = new DataView(this.buffer.buffer, this.buffer.byteOffset, LIMITS.HEADER_LEN);
    const length = (view.getUint16(0) << 8) | view.getUint8(2);
    if (length > this.maxFrame) {
      throw new Violation(
        "FRAME_TOO_LARGE",
        `body length ${length} exceeds limit ${this.maxFrame}`,
        this.maxFrame,
        length,
      );
    }
    const end = LIMITS.HEADER_LEN + length;
    if (this.buffer.length < end) return undefined;
    const frame = {
      flags: view.getUint8(3),
      type: view.getUint16(4),
      ref: view.getUint32(6),
      body: this.buffer.slice(LIMITS.HEADER_LEN, end),
    };
    this.buffer = this.buffer.subarray(end);
    return frame;
  }

  private takePreface(): boolean {
    const known = Math.min(this.buffer.length, PREFACE.length);
    for (let at = 0; at < known; at += 1) {
      if (this.buffer[at] !== PREFACE[at]) throw new Violation("BAD_PREFACE", `byte ${at} of the preface differs`);
    }
    if (known < PREFACE.length) return false;
    this.buffer = this.buffer.subarray(PREFACE.length);
    this.waitsForPreface = false;
    return true;
  }
}
