/** The runner's side of the adapter protocol. */

import type { Plain } from "../src/codec/plain.js";

export class Conversation {
  private readonly lines: Plain[] = [];
  private wake: () => void = () => {};
  private next = 0;

  constructor(private readonly send: (line: string) => void) {}

  /** Takes a line of the adapter. */
  heard(line: string): void {
    this.lines.push(JSON.parse(line) as Plain);
    this.wake();
  }

  say(message: object): void {
    this.send(JSON.stringify(message));
  }

  /** The next line that has all of `wanted`; others stay. */
  async line(wanted: Plain): Promise<Plain> {
    for (;;) {
      const at = this.lines.findIndex((line) => Object.entries(wanted).every(([key, value]) => line[key] === value));
      if (at >= 0) return this.lines.splice(at, 1)[0] as Plain;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  /** What an op is answered with. */
  async ask(op: string, args: object = {}): Promise<Plain> {
    this.next += 1;
    this.say({ id: this.next, op, ...args });
    return this.line({ id: this.next });
  }
}
