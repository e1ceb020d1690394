/** Bodies: bytes to typed messages and back. */

import {
  type DescMessage,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  create,
  toBinary,
} from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { FRAMES } from "../generated/registry.js";
import { check } from "./check.js";
import type { FrameName } from "./frame.js";

/** The message that a frame carries. */
export type Body<N extends FrameName> = MessageShape<(typeof FRAMES)[N]["schema"]>;
/** What makes such a message. */
export type BodyInit<N extends FrameName> = MessageInitShape<(typeof FRAMES)[N]["schema"]>;

/** The description of a frame's body. */
export function schemaOf(name: FrameName): DescMessage {
  return FRAMES[name].schema;
}

/** The body with its numbers of enums as they came. Throws Malformed or TooManyItems. */
export function decodeExact<N extends FrameName>(name: N, bytes: Uint8Array): Body<N> {
  const schema = schemaOf(name);
  check(schema, bytes);
  //= spec/01-framing.md#header
  //# [FRM-015] A body of length 0 MUST be taken as a message with every field absent.
  //= spec/01-framing.md#bodies
  //# [FRM-031] A receiver MUST accept the fields of a body in any order.
  //= spec/01-framing.md#bodies
  //# [FRM-037] A decoder MUST give each field of a body the value that its bytes hold, over the whole range of its type.
  return fromBinary(schema, bytes) as Body<N>;
}

/** The body as a receiver takes it. Throws Malformed or TooManyItems. */
export function decodeBody<N extends FrameName>(name: N, bytes: Uint8Array): Body<N> {
  const message = decodeExact(name, bytes);
  forgetUnknownEnums(reflect(schemaOf(name), message as Message));
  return message;
}

export function encodeBody<N extends FrameName>(name: N, init: BodyInit<N>): Uint8Array {
  const schema = schemaOf(name);
  return toBinary(schema, create(schema, init));
}

function forgetUnknownEnums(message: ReflectMessage): void {
  for (const field of message.fields) {
    if (field.fieldKind === "enum") {
      //= spec/01-framing.md#bodies
      //# [FRM-032] A receiver MUST treat an unknown enum value as the UNSPECIFIED value of that enum.
      if (field.enum.value[Number(message.get(field))] === undefined) message.set(field, 0);
    } else if (field.fieldKind === "message" && message.isSet(field)) {
      forgetUnknownEnums(message.get(field));
    } else if (field.fieldKind === "list" && field.listKind === "message") {
      for (const item of message.get(field)) forgetUnknownEnums(item as ReflectMessage);
    }
  }
}
