/** Byte streams on Node: TCP for loopback, TLS 1.3 for the world. */

import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Transport } from "../client/transport.js";

export interface TlsOptions {
  /** Certificates to trust, as PEM. Default: those of Node. */
  ca?: string | undefined;
  /** The name in the server's certificate. Default: the host of the URL. */
  serverName?: string | undefined;
}

/** `tcp://host:port` or `tls://host:port`. */
export function byteStream(options: TlsOptions = {}): Transport {
  return (url, listener) => {
    const { protocol, hostname, port } = new URL(url);
    const host = hostname.replace(/^\[|\]$/g, "");
    const where = { host, port: Number(port) };
    let socket: Socket;
    if (protocol === "tls:") {
      const { ca, serverName = host } = options;
      socket = connectTls(
        { ...where, ca, servername: serverName, minVersion: "TLSv1.3", ALPNProtocols: ["tidewire/1"] },
        () => listener.opened(),
      );
    } else {
      socket = connectTcp(where, () => listener.opened());
    }
    socket.setNoDelay(true);
    socket.on("data", (bytes: Uint8Array) => listener.received(bytes));
    socket.on("error", () => {});
    socket.on("close", () => listener.closed());
    return {
      kind: "stream",
      send: (bytes) => {
        if (socket.writable) socket.write(bytes);
      },
      close: () => socket.destroySoon(),
    };
  };
}
