/** A store in the browser: one object store of IndexedDB. */

import type { Change, Store } from "../client/store.js";

const TEXTS = "texts";

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class IndexedDbStore implements Store {
  private constructor(private readonly database: IDBDatabase) {}

  /** Opens the database of this name, or makes it. */
  static async open(name: string): Promise<IndexedDbStore> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TEXTS);
    return new IndexedDbStore(await done(request));
  }

  async load(): Promise<Map<string, string>> {
    const texts = this.database.transaction(TEXTS).objectStore(TEXTS);
    const [keys, values] = await Promise.all([done(texts.getAllKeys()), done(texts.getAll())]);
    return new Map(keys.map((key, at) => [String(key), String(values[at])]));
  }

  write(changes: readonly Change[]): Promise<void> {
    // Strict: the transaction is complete when the disk has it. Transactions of one store run in the order of their making.
    const transaction = this.database.transaction(TEXTS, "readwrite", { durability: "strict" });
    const texts = transaction.objectStore(TEXTS);
    for (const [key, text] of changes) {
      if (text === null) texts.delete(key);
      else texts.put(text, key);
    }
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error);
    });
  }

  async close(): Promise<void> {
    this.database.close();
  }
}
