/** Hands things over one at a time, each once the one before is done with. */

export class Mailbox<T> {
  private readonly queue: (() => void | Promise<void>)[] = [];
  private running = false;

  constructor(
    private readonly deliver: (item: T) => void | Promise<void>,
    private readonly emptied: () => void,
  ) {}

  /** True when nothing waits and nothing is being handled. */
  get idle(): boolean {
    return !this.running && this.queue.length === 0;
  }

  get length(): number {
    return this.queue.length;
  }

  put(item: T, done: () => void = () => {}): void {
    this.after(async () => {
      try {
        await this.deliver(item);
      } finally {
        done();
      }
    });
  }

  /** Runs something once all that was put before is done with. */
  after(run: () => void | Promise<void>): void {
    this.queue.push(run);
    if (!this.running) void this.drain();
  }

  private async drain(): Promise<void> {
    this.running = true;
    for (let run = this.queue.shift(); run !== undefined; run = this.queue.shift()) {
      try {
        await run();
      } catch (error) {
        // The app's own fault goes where faults of the app go, and stops nothing here.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.running = false;
    this.emptied();
  }
}
