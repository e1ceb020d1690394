/** The position in the user log, and the newest entries where this client keeps them. */

import { fromBase64, toBase64 } from "../codec/bytes.js";
import { decodeBody } from "../codec/body.js";
import type { Entry, EntryName } from "./events.js";
import type { Ledger } from "./store.js";

const CURSOR = "cursor";
const LOG = "log/";
const logKey = (pos: bigint) => LOG + pos.toString().padStart(20, "0");

export class Journal {
  private epoch: bigint | undefined;
  /** Up to here entries were taken; later ones are new. */
  private takenPos = 0n;
  /** Up to here the store is told that they are stored, by this client or by its app. */
  private storedPos = 0n;
  /** Up to here the store has it for good. */
  private durablePos = 0n;
  /** The highest position that the app was given. */
  private givenPos = 0n;
  /** How often the position was given up. */
  private restarts = 0;
  /** Texts of what is kept, by position, oldest first. */
  private readonly kept = new Map<bigint, string>();

  constructor(
    private readonly ledger: Ledger,
    saved: Map<string, string>,
    private readonly options: { manualAck: boolean; keepEntries: number },
  ) {
    const cursor = saved.get(CURSOR);
    if (cursor !== undefined) {
      const { epoch, pos } = JSON.parse(cursor) as { epoch: string; pos: string };
      this.epoch = BigInt(epoch);
      this.durablePos = this.storedPos = this.takenPos = BigInt(pos);
    }
    for (const key of [...saved.keys()].filter((key) => key.startsWith(LOG)).sort()) {
      this.kept.set(BigInt(key.slice(LOG.length)), saved.get(key) ?? "");
    }
  }

  get taken(): bigint {
    return this.takenPos;
  }

  /** Everything up to here is stored: what ACK and resume may say. */
  get stored(): bigint {
    return this.durablePos;
  }

  /** What is on its way to the store: `stored` gets there when the answer is run. */
  underway(): () => void {
    const { restarts, storedPos } = this;
    return () => {
      if (restarts === this.restarts && storedPos > this.durablePos) this.durablePos = storedPos;
    };
  }

  /** What LOGIN names as resume; nothing on a device that never had a position. */
  resume(): { epoch: bigint; pos: bigint } | undefined {
    return this.epoch === undefined ? undefined : { epoch: this.epoch, pos: this.durablePos };
  }

  /** After FRESH and GAP: everything from `oldest` on is new, whatever stood before is not missed. */
  restart(epoch: bigint, oldest: bigint): void {
    this.epoch = epoch;
    this.restarts += 1;
    this.givenPos = 0n;
    this.takenPos = this.storedPos = this.durablePos = oldest > 0n ? oldest - 1n : 0n;
    // They come again, or their places were given to others.
    for (const pos of this.kept.keys()) if (pos >= oldest) this.drop(pos);
    this.save();
  }

  /** After GAP within a session: `pos` is the lowest place from which the server can still send. */
  skipTo(pos: bigint): void {
    if (this.epoch !== undefined) this.restart(this.epoch, pos + 1n);
  }

  /** Takes the entry at `pos`; `name` is absent for a type that nobody here knows. */
  take(pos: bigint, name?: EntryName, body?: Uint8Array): void {
    this.takenPos = pos;
    if (pos > this.givenPos) this.givenPos = pos;
    if (this.options.manualAck) return;
    if (name !== undefined && body !== undefined && this.options.keepEntries > 0) {
      const text = JSON.stringify({ name, body: toBase64(body) });
      this.kept.set(pos, text);
      this.ledger.put(logKey(pos), text);
      for (const oldest of this.kept.keys()) {
        if (this.kept.size <= this.options.keepEntries) break;
        this.drop(oldest);
      }
    }
    this.storedPos = pos;
    this.save();
  }

  /** The app has stored everything up to `pos`, which it was given. */
  acknowledge(pos: bigint): void {
    const upTo = pos < this.givenPos ? pos : this.givenPos;
    if (upTo <= this.storedPos) return;
    this.storedPos = upTo;
    if (upTo > this.takenPos) this.takenPos = upTo;
    this.save();
  }

  /** A session goes on from what is stored: with `manualAck` the app is given the rest once more. */
  resumed(): void {
    if (this.options.manualAck) this.takenPos = this.storedPos;
  }

  /** Kept entries above `after`, oldest first. */
  *history(after = 0n): Generator<Entry> {
    for (const [pos, text] of this.kept) {
      if (pos <= after) continue;
      const { name, body } = JSON.parse(text) as { name: EntryName; body: string };
      yield { name, body: decodeBody(name, fromBase64(body)) } as Entry;
    }
  }

  private drop(pos: bigint): void {
    this.kept.delete(pos);
    this.ledger.put(logKey(pos), null);
  }

  private save(): void {
    if (this.epoch === undefined) return;
    this.ledger.put(CURSOR, JSON.stringify({ epoch: this.epoch.toString(), pos: this.storedPos.toString() }));
  }
}
