/** What carries frames. WebSocket is for everywhere; `node.ts` adds byte streams. */

/** A connection, from the client's side. */
export interface Wire {
  /** A byte stream begins with a preface; messages hold whole frames. */
  readonly kind: "stream" | "messages";
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** Who is told what happens on it. Nothing is told after `closed`. */
export interface Listener {
  opened(): void;
  /** null: a message that is not made of bytes. */
  received(bytes: Uint8Array | null): void;
  closed(): void;
}

/** Begins to connect; never throws for what the network does. */
export type Transport = (url: string, listener: Listener) => Wire;

/** What a browser's WebSocket and that of the package `ws` have in common. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  send(bytes: Uint8Array<ArrayBuffer>): void;
  close(): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
}

const OPEN = 1;

/** Frames in binary messages. `make` is `(url, protocol) => new WebSocket(url, protocol)` of whichever kind there is. */
export function webSocket(make: (url: string, protocol: string) => WebSocketLike): Transport {
  return (url, listener) => {
    //= spec/01-framing.md#transports
    //# [FRM-047] On WebSocket a client MUST offer the subprotocol tidewire.v1 and send no preface.
    const socket = make(url, "tidewire.v1");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => listener.opened();
    socket.onmessage = (event: { data: unknown }) => {
      listener.received(event.data instanceof ArrayBuffer ? new Uint8Array(event.data) : null);
    };
    socket.onerror = () => {};
    socket.onclose = () => listener.closed();
    return {
      kind: "messages",
      send: (bytes) => {
        if (socket.readyState === OPEN) socket.send(bytes);
      },
      close: () => socket.close(),
    };
  };
}
