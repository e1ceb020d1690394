/** What an app says to a client. */

import type { FEATURES } from "../generated/registry.js";
import type { Receipts, Send } from "../generated/tidewire/v1/send_pb.js";
import type { Clock } from "./clock.js";
import type { ClientEvent, Reply, RequestName } from "./events.js";
import type { Store } from "./store.js";
import type { Transport } from "./transport.js";

/** Why a credential is asked for. */
export type TokenReason = "start" | "refused" | "expiring";

export interface ClientOptions {
  /** `ws://` or `wss://`, or what the transport takes. */
  url: string;
  /** A text, or who makes one: asked at the start, when one was refused, and before one ends. */
  token: string | ((why: TokenReason) => string | Promise<string>);
  transport: Transport;
  /** Gets every event, in order, one at a time. Entries are given credit for once it is done with them. */
  onEvent: (event: ClientEvent) => void | Promise<void>;
  /** Default: a store that forgets. */
  store?: Store | undefined;
  /** 16 bytes for a store that is new. Default: made up. */
  deviceId?: Uint8Array | undefined;
  /** Names of features to offer. Default: all. */
  features?: readonly (keyof typeof FEATURES)[] | undefined;
  /** The app stores entries and says so by `ack`. Default: this client stores them before it hands them over. */
  manualAck?: boolean | undefined;
  /** So many entries are kept for `history`, the newest. Default: 1,000. */
  keepEntries?: number | undefined;
  /** So many entries may be on their way to the app. Default: 1,000. */
  eventWindow?: number | undefined;
  /** Longest body to receive. Default: 65,536. */
  maxFrame?: number | undefined;
  keepaliveMs?: number | undefined;
  /** So many requests may wait. Default: 10,000. */
  maxOutbox?: number | undefined;
  agent?: string | undefined;
  clock?: Clock | undefined;
  /** For jitter and grease. */
  seed?: number | undefined;
}

/** A message for a user or a group. */
export type Outgoing = ({ toUser: string } | { toGroup: bigint }) & {
  content: Uint8Array | string;
  /** Only for devices that are logged in now; never kept. */
  onlineOnly?: boolean;
  ttlMs?: number;
  receipts?: Partial<Pick<Receipts, "delivered" | "read">>;
} & Partial<Pick<Send, "appType" | "contentType" | "replyTo" | "thread" | "replaces" | "priority" | "requires">>;

/** A request that the outbox has, for good where it is one that outlives the program. */
export interface Posted<N extends RequestName> {
  readonly id: string;
  /** Throws Refused, or LocalError where no answer can come any more. */
  readonly answer: Promise<Reply<N>>;
}

export type ClientStatus = "connecting" | "online" | "waiting" | "token-needed" | "stopped" | "closed";
