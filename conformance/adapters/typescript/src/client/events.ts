/** What a client tells its app, and how it says no. */

import type { Body, BodyInit } from "../codec/body.js";
import { CODES, FRAMES } from "../generated/registry.js";

/** Requests that an app makes; the client makes LOGIN and PING itself. */
export type RequestName = Exclude<
  { [N in keyof typeof FRAMES]: (typeof FRAMES)[N] extends { reply: string } ? N : never }[keyof typeof FRAMES],
  "LOGIN" | "PING"
>;
/** The reply that the registry names for a request. */
export type ReplyName<N extends RequestName> = (typeof FRAMES)[N]["reply"];
export type Reply<N extends RequestName = RequestName> = Body<ReplyName<N>>;
export type RequestInit<N extends RequestName> = BodyInit<N>;

/** Entries of the user log. */
export type EntryName = "MESSAGE" | "STATUS" | "GROUP_EVENT" | "EXPIRED";
export type Entry = { [N in EntryName]: { name: N; body: Body<N> } }[EntryName];

/** States of a message, as spec/40-status.md names them. */
export type StateName = "ACCEPTED" | "DELIVERED" | "READ" | "EXPIRED" | "FAILED";

export type ClientEvent =
  /** LOGIN_OK came. */
  | { type: "connected"; resume: "RESUMED" | "GAP" | "FRESH"; login: Body<"LOGIN_OK"> }
  /** The backlog is here; what follows is live. */
  | { type: "synced" }
  /** Entries before those that follow may be missing on this device. */
  | { type: "missing" }
  /** A new entry of the user log, each once and in order. */
  | { type: "entry"; entry: Entry }
  /** A message that is in no log (ONLINE_ONLY). */
  | { type: "online-message"; message: Body<"MESSAGE"> }
  /** The server has this message for good. */
  | { type: "accepted"; id: string; msgId: bigint; duplicate: boolean }
  /** A message was refused for good, or its time was over before its first try (then without `code`). */
  | { type: "failed"; id: string; code?: number }
  /** The state of a message from here changed; in a group, at one member. */
  | { type: "status"; id: string; state: StateName; user?: string }
  | { type: "answered"; id: string; name: RequestName; reply: Reply; replyName: ReplyName<RequestName> }
  | { type: "refused"; id: string; name: RequestName; error: Refused }
  /** A session ended. `code`: of the GOAWAY that said so. */
  | { type: "disconnected"; code?: number; willReconnect: boolean }
  /** The server refused the credential; `setToken` goes on with another one. */
  | { type: "token-needed" }
  | { type: "notice"; code: number }
  /** What was to be stored could not be; the client has stopped. */
  | { type: "store-failed"; error: unknown };

const NAMES = new Map<number, string>(Object.entries(CODES).map(([name, code]) => [code, name]));

/** The name of a code; a number in hex where it has none. */
export function codeName(code: number): string {
  return NAMES.get(code) ?? `0x${code.toString(16)}`;
}

/** The class of a code says what to do, also where the code is not known. */
export function classOf(code: number): number {
  return code >>> 12;
}

/** The server answered with ERROR. */
export class Refused extends Error {
  readonly code: string;

  constructor(readonly detail: Body<"ERROR">) {
    super([codeName(detail.code), detail.field, detail.text].filter(Boolean).join(": "));
    this.code = codeName(detail.code);
  }
}

/** This side refused. */
export class LocalError extends Error {
  constructor(
    readonly code:
      | "BODY_TOO_LARGE"
      | "OUTBOX_FULL"
      | "NOT_CONNECTED"
      | "CLOSED"
      | "EXPIRED"
      | "CONNECTION_LOST"
      | "DUPLICATE_ID"
      | "NOT_STORED",
    text: string,
  ) {
    super(text);
  }
}
