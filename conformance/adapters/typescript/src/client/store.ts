/** What a client remembers: texts by key, written in batches. */

/** A key with its new text, or null to remove it. */
export type Change = readonly [key: string, text: string | null];

export interface Store {
  /** Everything that is there. Called once, before the first `write`. */
  load(): Promise<Map<string, string>>;
  /** All changes or none; done when they would survive a crash. Batches are kept in the order of the calls. */
  write(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

/** Forgets with the program. */
export class MemoryStore implements Store {
  private readonly texts = new Map<string, string>();

  async load(): Promise<Map<string, string>> {
    return new Map(this.texts);
  }

  async write(changes: readonly Change[]): Promise<void> {
    for (const [key, text] of changes) {
      if (text === null) this.texts.delete(key);
      else this.texts.set(key, text);
    }
  }

  async close(): Promise<void> {}
}

/** Gathers changes, writes them in order, and lets things happen once they are stored. */
export class Ledger {
  private readonly changes = new Map<string, string | null>();
  private tail: Promise<void> = Promise.resolve();
  private open = 0;

  constructor(
    private readonly store: Store,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** True when nothing waits to be stored. */
  get idle(): boolean {
    return this.open === 0;
  }

  put(key: string, text: string | null): void {
    this.changes.set(key, text);
  }

  /** Writes what was put so far, then runs `stored`. Where writing fails it does not, and nothing is written any more. */
  commit(stored: () => void = () => {}): Promise<void> {
    const batch = [...this.changes];
    this.changes.clear();
    this.open += 1;
    const done = this.tail.then(async () => {
      if (batch.length > 0) await this.store.write(batch);
      stored();
    });
    this.tail = done;
    const closed = () => {
      this.open -= 1;
    };
    done.then(closed, (error: unknown) => {
      closed();
      this.failed(error);
    });
    return done;
  }
}
