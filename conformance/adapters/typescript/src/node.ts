/** What Node needs besides: a WebSocket, byte streams, and a store in a folder. */

import { WebSocket } from "ws";
import { type Transport, webSocket, type WebSocketLike } from "./client/transport.js";
import { byteStream, type TlsOptions } from "./transports/stream.js";

export * from "./index.js";
export { FileStore } from "./stores/file.js";
export { byteStream, type TlsOptions } from "./transports/stream.js";

/** Longest WebSocket message that is taken: a few of the longest frames. */
const MAX_MESSAGE = 4 << 20;

/** Whatever the URL says: `ws:`, `wss:`, `tcp:` or `tls:`. */
export function anyTransport(options: TlsOptions = {}): Transport {
  const stream = byteStream(options);
  const { ca, serverName } = options;
  const socket = webSocket(
    (url, protocol) =>
      new WebSocket(url, protocol, {
        maxPayload: MAX_MESSAGE,
        ...(ca === undefined ? {} : { ca }),
        ...(serverName === undefined ? {} : { servername: serverName }),
      }) as unknown as WebSocketLike,
  );
  return (url, listener) => (url.startsWith("ws") ? socket : stream)(url, listener);
}
