/** What a server has to answer to bytes that break a rule, as far as no user, message or group takes part. */

import { FEATURES, LIMITS } from "../generated/registry.js";
import type { Login } from "../generated/tidewire/v1/login_pb.js";
import { decodeBody } from "./body.js";
import { fromText } from "./bytes.js";
import { Decoder, FLAGS, kindOf, nameOf, type RawFrame, Violation } from "./frame.js";
import { chooseFeatures, chooseVersion } from "./negotiate.js";
import { Malformed, TooManyItems } from "./records.js";

/** The answer: ERROR or GOAWAY, its code, and what it says besides. */
export interface Verdict {
  reply: "ERROR" | "GOAWAY";
  code: string;
  field?: string;
  limit?: number;
  actual?: number;
  features?: number[];
}

/** Where a connection stands: its first bytes, before LOGIN, after LOGIN_OK, or bytes that are judged alone. */
export type State = "connect" | "before-login" | "after-login" | "codec";

type Detail = Pick<Verdict, "field" | "limit" | "actual" | "features">;
const goaway = (code: string, detail: Detail = {}): Verdict => ({ reply: "GOAWAY", code, ...detail });
const error = (code: string, detail: Detail = {}): Verdict => ({ reply: "ERROR", code, ...detail });

/** The first answer that the bytes cause; undefined where all is well so far. */
export function judge(state: State, maxFrame: number, bytes: Uint8Array): Verdict | undefined {
  const decoder = new Decoder(state === "connect");
  decoder.maxFrame = maxFrame;
  decoder.feed(bytes);
  try {
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
      const found = state === "codec" ? bytesAlone(frame) : state === "after-login" ? inSession(frame) : first(frame);
      if (found !== undefined) return found;
    }
  } catch (fault) {
    if (!(fault instanceof Violation)) throw fault;
    return goaway(fault.code, numbers(fault));
  }
  return undefined;
}

function numbers(fault: { limit?: number | undefined; actual?: number | undefined }): Detail {
  return fault.limit === undefined || fault.actual === undefined ? {} : { limit: fault.limit, actual: fault.actual };
}

/** What is wrong with the body of a known frame, if anything. */
function fault(frame: RawFrame): Malformed | undefined {
  const name = nameOf(frame.type);
  try {
    if (name !== undefined) decodeBody(name, frame.body);
  } catch (found) {
    if (found instanceof Malformed) return found;
    throw found;
  }
  return undefined;
}

function detail(found: Malformed): Detail {
  return {
    ...(found.field === undefined ? {} : { field: found.field }),
    ...(found instanceof TooManyItems ? numbers(found) : {}),
  };
}

/** A client gets these bytes, and answers no request of a known type but PING. */
function bytesAlone(frame: RawFrame): Verdict | undefined {
  const found = fault(frame);
  return found && goaway("MALFORMED_FRAME", detail(found));
}

/** The frame that should be LOGIN. */
function first(frame: RawFrame): Verdict | undefined {
  if (nameOf(frame.type) !== "LOGIN" || frame.flags & FLAGS.REPLY) return goaway("PROTOCOL_VIOLATION");
  if (frame.ref === 0) return goaway("INVALID_LOGIN");
  const found = fault(frame);
  if (found !== undefined) return blame(frame, found);
  const login = decodeBody("LOGIN", frame.body);
  const version = chooseVersion(login.versionMin, login.versionMax, [1, 1]);
  if ("goaway" in version) return goaway(version.goaway);
  const wrong = loginField(login);
  if (wrong !== undefined) return goaway("INVALID_LOGIN", wrong);
  // A server looks at the token here.
  const { missing } = chooseFeatures(login.features, Object.values(FEATURES), login.requires);
  return missing.length > 0 ? goaway("LOGIN_FEATURE_REQUIRED", { features: missing }) : undefined;
}

/** The first field that is out of its bounds, in the order of the numbers. */
function loginField(login: Login): Detail | undefined {
  if (login.token.length === 0) return { field: "token" };
  if (login.token.length > LIMITS.MAX_TOKEN)
    return { field: "token", limit: LIMITS.MAX_TOKEN, actual: login.token.length };
  if (login.deviceId.length !== LIMITS.DEVICE_ID_LEN || login.deviceId.every((byte) => byte === 0))
    return { field: "device_id" };
  const announced = login.limits?.maxFrame ?? LIMITS.MAX_FRAME_DEFAULT;
  const near = Math.min(Math.max(announced, LIMITS.MAX_FRAME_FLOOR), LIMITS.MAX_FRAME_HARD);
  if (announced !== near) return { field: "limits.max_frame", limit: near, actual: announced };
  const agent = fromText(login.agent).length;
  return agent > LIMITS.MAX_AGENT ? { field: "agent", limit: LIMITS.MAX_AGENT, actual: agent } : undefined;
}

/** A frame after LOGIN_OK, with every feature enabled. */
function inSession(frame: RawFrame): Verdict | undefined {
  const name = nameOf(frame.type);
  const replies = (frame.flags & FLAGS.REPLY) !== 0;
  if (name === undefined) {
    if (replies) return undefined;
    if (frame.ref !== 0) return error("UNSUPPORTED_FRAME");
    return frame.flags & FLAGS.CRITICAL ? goaway("UNKNOWN_CRITICAL") : undefined;
  }
  const { dir, kind } = kindOf(name);
  if (dir === "s2c" || name === "LOGIN" || (replies && kind !== "reply")) return goaway("PROTOCOL_VIOLATION");
  // A reply or an event with a ref and without REPLY is a request of no known kind.
  if (kind !== "request" && frame.ref !== 0 && !replies) return error("UNSUPPORTED_FRAME");
  const found = fault(frame);
  return found && blame(frame, found);
}

/** What a server answers to a frame whose body does not decode. */
export function blame(frame: RawFrame, found: Malformed): Verdict {
  const name = nameOf(frame.type);
  if (name === "LOGIN") return goaway("INVALID_LOGIN", detail(found));
  const request =
    name !== undefined && kindOf(name).kind === "request" && frame.ref !== 0 && !(frame.flags & FLAGS.REPLY);
  if (!request) return goaway("MALFORMED_FRAME", detail(found));
  return error(found instanceof TooManyItems ? "TOO_MANY_ITEMS" : "MALFORMED_BODY", detail(found));
}
