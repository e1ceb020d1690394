/** Stores: what was written is there for the next who opens it. */

import "fake-indexeddb/auto";
import assert from "node:assert/strict";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Change, Ledger, MemoryStore, type Store } from "../src/client/store.js";
import { FileStore } from "../src/stores/file.js";
import { IndexedDbStore } from "../src/stores/indexeddb.js";
import { turn } from "./fake.js";

/** A folder that is gone after the test. */
async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-"));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same for every kind of store: `open` finds what an earlier one left. */
async function check(open: () => Promise<Store>): Promise<void> {
  const first = await open();
  assert.deepEqual([...(await first.load())], []);
  const batches: Change[][] = [
    [
      ["a", "1"],
      ["b", "line\nand \u2028 \u{1f30a}"],
    ],
    [
      ["a", "2"],
      ["c", ""],
    ],
    [
      ["c", null],
      ["never", null],
    ],
  ];
  await Promise.all(batches.map((batch) => first.write(batch)));
  await first.close();
  const second = await open();
  assert.deepEqual(
    new Map([...(await second.load())].sort()),
    new Map([
      ["a", "2"],
      ["b", "line\nand \u2028 \u{1f30a}"],
    ]),
  );
  await second.write([["a", null]]);
  await second.close();
  const third = await open();
  assert.deepEqual([...(await third.load()).keys()], ["b"]);
  await third.close();
}

test("a folder keeps texts", () => inFolder((folder) => check(async () => new FileStore(join(folder, "made")))));

test("IndexedDB keeps texts", () => check(() => IndexedDbStore.open("texts")));

test("memory keeps texts as long as it lives", () => {
  const store = new MemoryStore();
  return check(async () => store);
});

test("a line that a crash cut off is as if it had never been", () =>
  inFolder(async (folder) => {
    const first = new FileStore(folder);
    await first.load();
    await first.write([["a", "1"]]);
    await first.close();
    const path = join(folder, "tidewire.jsonl");
    const whole = await readFile(path, "utf8");
    const next = `${JSON.stringify([
      ["a", "2"],
      ["b", "\u{1f30a}"],
    ])}\n`;
    for (let cut = 1; cut < next.length; cut += 1) {
      await appendFile(path, next.slice(0, cut));
      const store = new FileStore(folder);
      assert.deepEqual([...(await store.load())], [["a", "1"]], `cut at ${cut}`);
      await store.close();
      assert.equal(await readFile(path, "utf8"), whole);
    }
  }));

test("a file that is mostly history is written anew", () =>
  inFolder(async (folder) => {
    const first = new FileStore(folder);
    await first.load();
    for (let round = 0; round < 500; round += 1) await first.write([["key", `text of round ${round}`]]);
    await first.close();
    const second = new FileStore(folder);
    assert.deepEqual([...(await second.load())], [["key", "text of round 499"]]);
    await second.close();
    assert.ok((await readFile(join(folder, "tidewire.jsonl"), "utf8")).length < 100);
  }));

test("a store that cannot write says so to whoever waits", () =>
  inFolder(async (folder) => {
    const store = new FileStore(folder);
    await assert.rejects(store.write([["a", "1"]]), /not open/);
    await assert.rejects(store.write([["a", "1"]]), /not open/);
  }));

test("a ledger writes in order, and lets nothing happen before or after a failure", async () => {
  const happened: string[] = [];
  let fail = false;
  const store = new MemoryStore();
  const ledger = new Ledger(
    {
      load: () => store.load(),
      close: () => store.close(),
      write: async (changes) => (fail ? Promise.reject(new Error("full")) : store.write(changes)),
    },
    (error) => happened.push(String(error)),
  );
  ledger.put("a", "1");
  void ledger.commit(() => happened.push("first"));
  await turn();
  fail = true;
  ledger.put("a", "2");
  void ledger.commit(() => happened.push("second"));
  void ledger.commit(() => happened.push("third"));
  await turn();
  assert.deepEqual(happened, ["first", "Error: full", "Error: full"]);
  assert.ok(ledger.idle);
  assert.equal((await store.load()).get("a"), "1");
});
