/** The codec against every fixture of frames, of broken bytes and of negotiation. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { toBinary } from "@bufbuild/protobuf";
import { decodeBody, decodeExact, schemaOf } from "../src/codec/body.js";
import { concat, fromHex, toHex } from "../src/codec/bytes.js";
import { Decoder, encodeFrame, nameOf, PREFACE, type RawFrame, Violation } from "../src/codec/frame.js";
import { judge, type State } from "../src/codec/judge.js";
import { chooseFeatures, chooseVersion } from "../src/codec/negotiate.js";
import { fromPlain, type Plain, toPlain, unknownOf } from "../src/codec/plain.js";
import { LIMITS } from "../src/generated/registry.js";
import { fixtures, table } from "./fixtures.js";

function decoder(preface = false): Decoder {
  const made = new Decoder(preface);
  made.maxFrame = LIMITS.MAX_FRAME_HARD;
  return made;
}

function single(bytes: Uint8Array): RawFrame {
  const one = decoder();
  one.feed(bytes);
  const frame = one.next();
  assert.ok(frame, "a whole frame");
  assert.equal(one.rest.length, 0);
  return frame;
}

test("every frame decodes to its JSON, and encodes to its bytes where they are canonical", () => {
  let count = 0;
  for (const { json, bytes } of fixtures("frames")) {
    const frame = single(bytes);
    const name = nameOf(frame.type);
    assert.equal(name ?? `0x${frame.type.toString(16).padStart(4, "0")}`, json.type, json.name);
    assert.deepEqual([frame.flags, frame.ref], [json.flags, json.ref], json.name);
    const unknown = fromHex(String(json.unknown ?? ""));
    if (name === undefined) {
      assert.equal(toHex(frame.body), toHex(unknown), json.name);
      continue;
    }
    const message = decodeExact(name, frame.body);
    assert.deepEqual(toPlain(schemaOf(name), message), json.body, json.name);
    if (json.canonical === true) {
      const made = toBinary(schemaOf(name), fromPlain(schemaOf(name), json.body as Plain));
      assert.equal(toHex(encodeFrame({ ...frame, body: concat([made, unknown]) })), toHex(bytes), json.name);
    } else {
      assert.equal(toHex(unknownOf(message)), toHex(unknown), json.name);
    }
    count += 1;
  }
  assert.ok(count > 250, `${count} frames`);
});

test("a frame comes out the same wherever its bytes are cut, and not before they are all there", () => {
  for (const { json, bytes } of fixtures("frames")) {
    const whole = single(bytes);
    // Long contents are cut around their ends and at a few places between.
    const step = Math.max(1, Math.floor(bytes.length / 200));
    for (let cut = 0; cut < bytes.length; cut += cut < 40 || cut > bytes.length - 5 ? 1 : step) {
      const one = decoder();
      one.feed(bytes.subarray(0, cut));
      assert.equal(one.next(), undefined, `${json.name} at ${cut}`);
      one.feed(bytes.subarray(cut));
      assert.deepEqual(one.next(), whole, `${json.name} at ${cut}`);
    }
  }
});

test("broken bytes get the answer that their fixture names", () => {
  let count = 0;
  for (const { json, bytes } of fixtures("invalid")) {
    const found = judge(json.state as State, json.max_frame as number, bytes);
    assert.ok(found, json.name);
    for (const key of ["reply", "code", "field", "limit", "actual", "features"] as const) {
      const wanted = json[key];
      if (wanted !== undefined) assert.deepEqual(found[key], wanted, `${json.name}: ${key}`);
    }
    count += 1;
  }
  assert.ok(count > 100, `${count} broken frames`);
});

test("no answer is given to bytes that are not there yet", () => {
  for (const { json, bytes } of fixtures("frames")) {
    if (json.type !== "SEND") continue;
    assert.equal(
      judge("after-login", LIMITS.MAX_FRAME_HARD, bytes.subarray(0, bytes.length - 1)),
      undefined,
      json.name,
    );
    assert.equal(judge("after-login", LIMITS.MAX_FRAME_HARD, bytes), undefined, json.name);
  }
});

test("versions and features are chosen as the tables say", () => {
  for (const { name, input, expected } of table("version")) {
    const ours = input.ours as [number, number];
    assert.deepEqual(chooseVersion(input.version_min as number, input.version_max as number, ours), expected, name);
  }
  for (const { name, input, expected } of table("features")) {
    const found = chooseFeatures(input.offered as number[], input.ours as number[], input.requires as number[]);
    assert.deepEqual(new Set(found.enabled), new Set(expected.enabled as number[]), name);
    assert.deepEqual(found.missing, expected.missing, name);
  }
});

test("the preface is taken in pieces, and refused at the first byte that differs", () => {
  const frame = { type: 0x0004, flags: 0, ref: 1, body: new Uint8Array(0) };
  const one = decoder(true);
  for (const byte of [...PREFACE, ...encodeFrame(frame)]) {
    assert.equal(one.next(), undefined);
    one.feed(Uint8Array.of(byte));
  }
  assert.deepEqual(one.next(), frame);
  for (let at = 0; at < PREFACE.length; at += 1) {
    const spoilt = decoder(true);
    spoilt.feed(PREFACE.map((byte, index) => (index === at ? byte ^ 1 : byte)).subarray(0, at + 1));
    assert.throws(() => spoilt.next(), Violation);
  }
});

test("a receiver takes an enum value that it does not know as UNSPECIFIED", () => {
  const body = toBinary(schemaOf("SEND_ACK"), fromPlain(schemaOf("SEND_ACK"), { msg_id: "1", state: 99 }));
  assert.equal(decodeExact("SEND_ACK", body).state, 99);
  assert.equal(decodeBody("SEND_ACK", body).state, 0);
});
