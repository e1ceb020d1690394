/** A store in a folder: one file to which each batch adds a line. */

import { mkdirSync } from "node:fs";
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Change, Store } from "../client/store.js";

/** The file is written anew at the start where it is this many times as long as what it says. */
const SLACK = 4;

export class FileStore implements Store {
  private readonly path: string;
  private file: FileHandle | undefined;
  private waiting: { line: string; stored: () => void; failed: (error: unknown) => void }[] = [];
  private busy = false;
  private drained: Promise<void> | undefined;
  private failure: unknown;

  /** One program at a time may use a folder; it is made where it is not there. */
  constructor(private readonly folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, "tidewire.jsonl");
  }

  async load(): Promise<Map<string, string>> {
    const texts = new Map<string, string>();
    const raw = await readFile(this.path, "utf8").catch(() => "");
    // What follows the last end of a line was not written to its end, so nobody was told that it is stored.
    const whole = raw.slice(0, raw.lastIndexOf("\n") + 1);
    for (const line of whole.split("\n")) {
      if (line === "") continue;
      for (const [key, text] of JSON.parse(line) as Change[]) {
        if (text === null) texts.delete(key);
        else texts.set(key, text);
      }
    }
    const lines = [...texts].map((change) => `${JSON.stringify([change])}\n`).join("");
    if (whole !== raw || whole.length > SLACK * lines.length + 4096) await this.replace(lines);
    this.file = await open(this.path, "a");
    await this.syncFolder();
    return texts;
  }

  write(changes: readonly Change[]): Promise<void> {
    return new Promise((stored, failed) => {
      this.waiting.push({ line: `${JSON.stringify(changes)}\n`, stored, failed });
      if (!this.busy) this.drained = this.drain();
    });
  }

  async close(): Promise<void> {
    await this.drained;
    await this.file?.close();
    this.file = undefined;
  }

  /** What came during one sync shares the next. After a failure nothing is written: half a line may stand at the end. */
  private async drain(): Promise<void> {
    this.busy = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      this.waiting = [];
      try {
        if (this.failure !== undefined) throw this.failure;
        if (this.file === undefined) throw new Error("the store is not open");
        await this.file.appendFile(batch.map(({ line }) => line).join(""));
        await this.file.datasync();
        for (const { stored } of batch) stored();
      } catch (error) {
        this.failure = error;
        for (const { failed } of batch) failed(error);
      }
    }
    this.busy = false;
  }

  private async replace(lines: string): Promise<void> {
    const fresh = await open(`${this.path}.new`, "w");
    await fresh.writeFile(lines);
    await fresh.sync();
    await fresh.close();
    await rename(`${this.path}.new`, this.path);
  }

  private async syncFolder(): Promise<void> {
    const folder = await open(this.folder, "r");
    await folder.sync();
    await folder.close();
  }
}
