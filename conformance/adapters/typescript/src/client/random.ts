/** Chance: for jitter and grease from a seed, for keys and device ids from the system. */

import { encodeFrame, FLAGS } from "../codec/frame.js";

/** Bytes that nobody can guess. */
export function secretBytes(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** The same numbers for the same seed (mulberry32): enough for jitter and grease. */
export class Random {
  private state: number;

  constructor(seed: number = new DataView(secretBytes(4).buffer).getUint32(0)) {
    this.state = seed >>> 0;
  }

  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
}

/** Values that nobody will ever assign, so that no server learns to refuse what it does not know. */
export class Grease {
  constructor(private readonly random: Random) {}

  feature(): number {
    return ((this.random.below(2 ** 32) & 0xf0f0f0f0) | 0x0a0a0a0a) >>> 0;
  }

  flags(): number {
    return this.random.next() < 0.25 ? FLAGS.GREASE : 0;
  }

  /** An event of a type that nobody knows. */
  frame(): Uint8Array<ArrayBuffer> {
    const type = (this.random.below(2 ** 16) & 0xf0f0) | 0x0a0a;
    const body = Uint8Array.from({ length: this.random.below(16) }, () => this.random.below(256));
    return encodeFrame({ type, flags: this.flags(), ref: 0, body });
  }
}
