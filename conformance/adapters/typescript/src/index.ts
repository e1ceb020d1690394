/** Tidewire for browsers, and for whatever brings a WebSocket. Node finds its own in `./node.js`. */

export { Client } from "./client/client.js";
export { type Clock, ManualClock, systemClock } from "./client/clock.js";
export * from "./client/events.js";
export type * from "./client/options.js";
export { type Change, MemoryStore, type Store } from "./client/store.js";
export { type Listener, type Transport, webSocket, type WebSocketLike, type Wire } from "./client/transport.js";
export type { Body } from "./codec/body.js";
export { CODES, FEATURES, FRAMES, LIMITS } from "./generated/registry.js";
export * from "./generated/tidewire/v1/expiry_pb.js";
export * from "./generated/tidewire/v1/group_pb.js";
export * from "./generated/tidewire/v1/login_pb.js";
export * from "./generated/tidewire/v1/send_pb.js";
export * from "./generated/tidewire/v1/status_pb.js";
export { IndexedDbStore } from "./stores/indexeddb.js";
