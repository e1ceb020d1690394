/**
 * What the bytes of a body may not be, checked before the generated code sees them.
 *
 * The protobuf runtime is lenient: it takes a field in a foreign wire type, any number of items, and any depth. The
 * specification is not, and its bounds hold before room is allocated.
 */

import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { LIMITS } from "../generated/registry.js";
import { Malformed, Reader, type Record, records, TooManyItems, WIRE } from "./records.js";

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Throws Malformed or TooManyItems. A body that is both is malformed. */
export function check(schema: DescMessage, body: Uint8Array): void {
  walk(schema, body, 1, "");
  count(schema, [body], "");
}

function fieldsOf(schema: DescMessage): Map<number, DescField> {
  let known = tables.get(schema);
  if (known === undefined) {
    known = new Map(schema.fields.map((field) => [field.number, field]));
    tables.set(schema, known);
  }
  return known;
}
const tables = new WeakMap<DescMessage, Map<number, DescField>>();

/** Every field of a message and of those below it. */
function walk(schema: DescMessage, body: Uint8Array, depth: number, path: string): void {
  //= spec/01-framing.md#bodies
  //# [FRM-033] A decoder MUST refuse a body that nests messages more than 16 deep.
  if (depth > LIMITS.MAX_NESTING) throw new Malformed("nested too deep", path.slice(0, -1));
  const fields = fieldsOf(schema);
  try {
    for (const record of records(body)) {
      const field = fields.get(record.number);
      //= spec/01-framing.md#bodies
      //# [FRM-030] A receiver MUST ignore unknown fields of a body.
      if (field !== undefined) one(field, record, depth, path);
    }
  } catch (error) {
    const culprit = error instanceof Malformed && error.field === undefined && fields.get(error.number ?? 0);
    throw culprit ? new Malformed((error as Malformed).message, path + culprit.name) : error;
  }
}

function one(field: DescField, record: Record, depth: number, path: string): void {
  const name = path + field.name;
  //= spec/01-framing.md#bodies
  //# [FRM-035] A decoder MUST refuse a body with a truncated field, a varint of more than 10 bytes or 64 bits, a wire
  //# type other than 0, 1, 2 and 5, a known field in a wire type that is not its own, or a string that is not UTF-8.
  const wanted = isNumber(field) ? WIRE.VARINT : WIRE.LEN;
  const packed = field.fieldKind === "list" && isNumber(field) && record.wire === WIRE.LEN;
  if (record.wire !== wanted && !packed) throw new Malformed(`wire type ${record.wire} for ${name}`, name);
  if (packed) {
    const reader = new Reader(record.bytes);
    try {
      while (!reader.done) reader.varint();
    } catch (error) {
      throw error instanceof Malformed ? new Malformed(error.message, name) : error;
    }
  } else if (field.message !== undefined) {
    walk(field.message, record.bytes, depth + 1, `${name}.`);
  } else if (field.scalar === ScalarType.STRING) {
    try {
      utf8.decode(record.bytes);
    } catch {
      throw new Malformed(`${name} is not UTF-8`, name);
    }
  }
}

function isNumber(field: DescField): boolean {
  return field.message === undefined && field.scalar !== ScalarType.STRING && field.scalar !== ScalarType.BYTES;
}

/** The items of each repeated field of one message, which may stand in several pieces that are merged. */
function count(schema: DescMessage, pieces: readonly Uint8Array[], path: string): void {
  const fields = fieldsOf(schema);
  const items = new Map<DescField, number>();
  const below = new Map<DescField, Uint8Array[]>();
  for (const piece of pieces) {
    for (const record of records(piece)) {
      const field = fields.get(record.number);
      if (field === undefined) continue;
      if (field.fieldKind === "list") {
        const more =
          isNumber(field) && record.wire === WIRE.LEN
            ? record.bytes.reduce((sum, byte) => sum + (byte < 0x80 ? 1 : 0), 0)
            : 1;
        items.set(field, (items.get(field) ?? 0) + more);
      }
      // Of the members of a oneof the last one counts, and takes nothing of the others.
      if (field.oneof !== undefined) for (const other of field.oneof.fields) if (other !== field) below.delete(other);
      if (field.message !== undefined) below.set(field, [...(below.get(field) ?? []), record.bytes]);
    }
  }
  for (const [field, actual] of items) {
    const limit = field.name === "features" || field.name === "requires" ? LIMITS.MAX_FEATURES : LIMITS.MAX_ITEMS;
    //= spec/01-framing.md#bodies
    //# [FRM-034] A decoder MUST refuse a body in which a repeated field has more items than its bound, before it
    //# allocates room for them.
    if (actual > limit) throw new TooManyItems(path + field.name, limit, actual);
  }
  for (const [field, parts] of below) {
    if (field.message === undefined) continue;
    const each = field.fieldKind === "list" ? parts.map((part) => [part]) : [parts];
    for (const part of each) count(field.message, part, `${path}${field.name}.`);
  }
}
