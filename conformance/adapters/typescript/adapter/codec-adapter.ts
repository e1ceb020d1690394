/** The codec behind JSON lines on stdin and stdout. */

import { createInterface } from "node:readline";
import { decodeExact, schemaOf } from "../src/codec/body.js";
import { concat, fromHex, toHex } from "../src/codec/bytes.js";
import { Decoder, encodeFrame, nameOf, type FrameName, type RawFrame, Violation } from "../src/codec/frame.js";
import { blame, judge, type State } from "../src/codec/judge.js";
import { chooseFeatures, chooseVersion } from "../src/codec/negotiate.js";
import { fromPlain, type Plain, toPlain, unknownOf } from "../src/codec/plain.js";
import { Malformed } from "../src/codec/records.js";
import { FRAMES } from "../src/generated/registry.js";
import { type Message, toBinary } from "@bufbuild/protobuf";
import { answer, type Args, type Ops, Refusal } from "./lines.js";

const hex = (value: unknown): Uint8Array => fromHex(text(value ?? ""));

function text(value: unknown): string {
  if (typeof value !== "string") throw new Refusal("BAD_REQUEST", `${JSON.stringify(value)} is no text`);
  return value;
}

/** A frame as the fixtures write it; where the body does not decode, why. */
function described(frame: RawFrame): { shown: Plain; fault?: Malformed } {
  const name = nameOf(frame.type);
  const head = { type: name ?? `0x${frame.type.toString(16).padStart(4, "0")}`, flags: frame.flags, ref: frame.ref };
  if (name === undefined) return { shown: { ...head, unknown: toHex(frame.body) } };
  try {
    const message: Message = decodeExact(name, frame.body);
    return { shown: { ...head, body: toPlain(schemaOf(name), message), unknown: toHex(unknownOf(message)) } };
  } catch (fault) {
    if (!(fault instanceof Malformed)) throw fault;
    return { shown: { ...head, error: fault.message }, fault };
  }
}

function decode(args: Args): Plain {
  const decoder = new Decoder(args.preface === true);
  if (typeof args.max_frame === "number") decoder.maxFrame = args.max_frame;
  const frames: Plain[] = [];
  try {
    for (const piece of (args.pieces ?? []) as string[]) {
      decoder.feed(hex(piece));
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        const { shown, fault } = described(frame);
        frames.push(shown);
        if (fault !== undefined)
          return {
            frames,
            rest: toHex(decoder.rest),
            violation:
              args.from === "server" ? judge("codec", decoder.maxFrame, encodeFrame(frame)) : blame(frame, fault),
          };
      }
    }
  } catch (fault) {
    if (!(fault instanceof Violation)) throw fault;
    const numbers = fault.limit === undefined ? {} : { limit: fault.limit, actual: fault.actual };
    return { frames, rest: toHex(decoder.rest), violation: { reply: "GOAWAY", code: fault.code, ...numbers } };
  }
  return { frames, rest: toHex(decoder.rest) };
}

function encode(args: Args): Plain {
  const name = text(args.type);
  const known = Object.hasOwn(FRAMES, name) ? (name as FrameName) : nameOf(Number(name));
  const type = known === undefined ? Number(name) : FRAMES[known].type;
  if (name === "" || !Number.isInteger(type) || type < 0 || type > 0xffff)
    throw new Refusal("UNKNOWN_TYPE", `no frame type ${name}`);
  const schema = known && schemaOf(known);
  const body = schema ? toBinary(schema, fromPlain(schema, (args.body ?? {}) as Plain)) : new Uint8Array(0);
  const frame = {
    type,
    flags: Number(args.flags ?? 0),
    ref: Number(args.ref ?? 0),
    body: concat([body, hex(args.unknown)]),
  };
  return { hex: toHex(encodeFrame(frame)) };
}

function negotiate(args: Args): Plain {
  const input = args.input as { [name: string]: number & number[] };
  if (args.table === "features") return chooseFeatures(input.offered ?? [], input.ours ?? [], input.requires ?? []);
  const [lowest = 0, highest = 0] = (input.ours ?? []) as number[];
  return chooseVersion(input.version_min ?? 0, input.version_max ?? 0, [lowest, highest]);
}

const ops: Ops = {
  decode,
  encode,
  judge: (args) => judge(args.state as State, Number(args.max_frame), hex(args.hex)) ?? {},
  negotiate,
};
const about = { name: "@tidewire/client codec", version: "0.1.0", roles: ["codec"] };
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

for await (const line of createInterface({ input: process.stdin })) await answer(line, about, ops, say);
