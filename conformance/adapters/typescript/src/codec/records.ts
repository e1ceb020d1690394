/** The fields of a protobuf body one by one, before anything is made of them. */

/** Wire types of protobuf that this protocol knows. */
export const WIRE = { VARINT: 0, I64: 1, LEN: 2, I32: 5 } as const;

/** The bytes are no message of their kind. `field` is the dotted name of the culprit, where it is known. */
export class Malformed extends Error {
  constructor(
    text: string,
    readonly field?: string,
    /** Number of the field, where its name is not known yet. */
    readonly number?: number,
  ) {
    super(text);
  }
}

/** A repeated field is longer than its bound. */
export class TooManyItems extends Malformed {
  constructor(
    name: string,
    readonly limit: number,
    readonly actual: number,
  ) {
    super(`${name} has ${actual} items, more than ${limit}`, name);
  }
}

/** One field as it stands in a body. `bytes` are the content of a LEN field and empty for the others. */
export interface Record {
  readonly number: number;
  readonly wire: number;
  readonly value: bigint;
  readonly bytes: Uint8Array;
}

const EMPTY = new Uint8Array(0);

/** Reads numbers and runs of bytes from a body. */
export class Reader {
  at = 0;

  constructor(readonly data: Uint8Array) {}

  get done(): boolean {
    return this.at >= this.data.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let index = 0; index < 10; index += 1) {
      const byte = this.data[this.at];
      if (byte === undefined) throw new Malformed("a varint is cut short");
      this.at += 1;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) {
        if (value >= 1n << 64n) throw new Malformed("a varint exceeds 64 bits");
        return value;
      }
    }
    throw new Malformed("a varint is longer than 10 bytes");
  }

  run(length: bigint): Uint8Array {
    if (length > BigInt(this.data.length - this.at)) throw new Malformed("bytes are cut short");
    const start = this.at;
    this.at += Number(length);
    return this.data.subarray(start, this.at);
  }
}

/** Yields each field of a body. Throws Malformed with the number of the field at fault. */
export function* records(data: Uint8Array): Generator<Record> {
  const reader = new Reader(data);
  while (!reader.done) {
    const key = reader.varint();
    const number = Number(key >> 3n);
    const wire = Number(key & 7n);
    if (number === 0 || number >= 1 << 29) throw new Malformed(`field number ${number}`);
    let value = 0n;
    let bytes: Uint8Array = EMPTY;
    try {
      if (wire === WIRE.VARINT) value = reader.varint();
      else if (wire === WIRE.LEN) bytes = reader.run(reader.varint());
      else if (wire === WIRE.I64) reader.run(8n);
      else if (wire === WIRE.I32) reader.run(4n);
      else throw new Malformed(`wire type ${wire}`);
    } catch (error) {
      throw error instanceof Malformed ? new Malformed(error.message, undefined, number) : error;
    }
    yield { number, wire, value, bytes };
  }
}
