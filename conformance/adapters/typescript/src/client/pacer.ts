/** When the next connection may be tried. */

import type { Random } from "./random.js";

const FIRST_MS = 200;
const LONGEST_MS = 60_000;
/** So many connections may begin within so many milliseconds: one less than ERR-046 has it. */
const BUDGETS: readonly (readonly [count: number, span: number])[] = [
  [19, 60_000],
  [299, 3_600_000],
];

export class Pacer {
  private failures = 0;
  private starts: number[] = [];

  constructor(private readonly random: Random) {}

  /** A connection is tried. */
  begin(now: number): void {
    this.starts = [...this.starts.filter((at) => at > now - 3_600_000), now];
  }

  /** It led to a session. */
  succeeded(): void {
    this.failures = 0;
  }

  /** When to try again, at least `wait` from now. Clients that were cut together should not come back together. */
  next(now: number, wait = 0): number {
    const bound = Math.min(FIRST_MS * 2 ** this.failures, LONGEST_MS);
    this.failures += 1;
    let at = now + wait + bound * (0.5 + this.random.next() / 2);
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-046] While its tries fail a client MUST NOT begin more than 20 connections in a minute, nor more than 300
    //# in an hour.
    for (const [count, span] of BUDGETS) {
      const first = this.starts[this.starts.length - count];
      if (first !== undefined) at = Math.max(at, first + span);
    }
    return at;
  }
}
