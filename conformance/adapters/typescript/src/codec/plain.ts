/**
 * Bodies as the fixtures write them: fields by their proto names, numbers of 64 bits as decimal text, bytes as hex, enums by
 * name (by number where they have none).
 */

import { type DescEnum, type DescField, type DescMessage, type Message, ScalarType } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { fromHex, toHex } from "./bytes.js";

/** What JSON can say. */
export type Plain = { [field: string]: unknown };

/** A message as JSON; what is absent or zero without presence is left out. */
export function toPlain(schema: DescMessage, message: Message): Plain {
  return plainOf(reflect(schema, message));
}

/** The bytes of fields that nobody knows, in the order in which they came. */
export function unknownOf(message: Message): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of message.$unknown ?? []) writer.tag(field.no, field.wireType).raw(field.data);
  return writer.finish();
}

function plainOf(message: ReflectMessage): Plain {
  const out: Plain = {};
  for (const field of message.fields) {
    if (!message.isSet(field)) continue;
    const value: unknown = message.get(field);
    out[field.name] =
      field.fieldKind === "list"
        ? Array.from(value as Iterable<unknown>, (item) => plainValue(field, item))
        : plainValue(field, value);
  }
  return out;
}

function plainValue(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) return plainOf(value as ReflectMessage);
  if (field.enum !== undefined) return field.enum.value[Number(value)]?.name ?? Number(value);
  if (value instanceof Uint8Array) return toHex(value);
  return typeof value === "bigint" ? value.toString() : value;
}

/** The other way. Throws RangeError where a field is not known or its value does not fit. */
export function fromPlain(schema: DescMessage, plain: Plain): Message {
  const message = reflect(schema);
  fill(message, plain);
  return message.message;
}

function fill(message: ReflectMessage, plain: Plain): void {
  for (const [name, value] of Object.entries(plain)) {
    const field = message.fields.find((candidate) => candidate.name === name);
    if (field === undefined) throw new RangeError(`${message.desc.name} has no field ${name}`);
    if (field.fieldKind === "list") {
      const list = message.get(field);
      for (const item of value as unknown[]) list.add(typed(field, item));
    } else {
      message.set(field, typed(field, value) as never);
    }
  }
}

function typed(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) {
    const below = reflect(field.message);
    fill(below, value as Plain);
    return below;
  }
  if (field.enum !== undefined) return typeof value === "number" ? value : number(field.enum, String(value));
  if (field.scalar === ScalarType.BYTES) return fromHex(String(value));
  if (field.scalar === ScalarType.UINT64) return BigInt(value as string | number);
  return value;
}

function number(kind: DescEnum, name: string): number {
  const found = kind.values.find((value) => value.name === name);
  if (found === undefined) throw new RangeError(`${kind.name} has no value ${name}`);
  return found.number;
}
