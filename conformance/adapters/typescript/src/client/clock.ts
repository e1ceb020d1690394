/** Time as the client sees it. Nothing else in this package asks for it. */

export interface Clock {
  /** Milliseconds. Has to go on over a restart of the program: what waited in the outbox waited meanwhile, too. */
  now(): number;
  /** Runs something later, once; the answer takes that back. */
  after(ms: number, run: () => void): () => void;
}

/** Longest wait that timers of browsers and Node take. */
const LONGEST = 2 ** 31 - 1;
const started = Date.now() - performance.now();

/** Wall time at the start of the program, and steady from there: a step of the wall clock changes no wait. */
export const systemClock: Clock = {
  now: () => started + performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), LONGEST));
    return () => clearTimeout(timer);
  },
};

/** Stands still but for `advance`. */
export class ManualClock implements Clock {
  private readonly timers = new Set<{ at: number; run: () => void }>();

  constructor(private time: number) {}

  now(): number {
    return this.time;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + Math.max(ms, 0), run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  /** Goes on to each moment at which something is due, and lets `settled` wait for what that caused. */
  async advance(ms: number, settled: () => Promise<void> = async () => {}): Promise<void> {
    const end = this.time + ms;
    for (;;) {
      const due = [...this.timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.timers.delete(due);
      this.time = Math.max(this.time, due.at);
      due.run();
      await settled();
    }
    this.time = end;
  }
}
