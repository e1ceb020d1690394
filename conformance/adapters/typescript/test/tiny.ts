/** A server on loopback that answers what an adapter's test asks: LOGIN, PING, and SEND, which it sends back as an entry. */

import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { type BodyInit, decodeBody, encodeBody } from "../src/codec/body.js";
import {
  Decoder,
  encodeFrame,
  FLAGS,
  type FrameName,
  kindOf,
  nameOf,
  PREFACE,
  type RawFrame,
} from "../src/codec/frame.js";
import { CODES, LIMITS } from "../src/generated/registry.js";
import { ResumeResult } from "../src/generated/tidewire/v1/login_pb.js";

export class TinyServer {
  /** While true, what comes is not answered. */
  mute = false;
  pings = 0;
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly stream: Server,
    private readonly webSocket: WebSocketServer,
  ) {}

  static async start(): Promise<TinyServer> {
    const stream = createServer();
    await new Promise<void>((resolve) => stream.listen(0, "127.0.0.1", resolve));
    const webSocket = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "tidewire.v1" });
    await new Promise((resolve) => webSocket.once("listening", resolve));
    const server = new TinyServer(stream, webSocket);
    stream.on("connection", (socket) => {
      server.sockets.add(socket);
      socket.on("error", () => {});
      socket.write(PREFACE);
      const take = server.connection(true, (bytes) => void socket.write(bytes));
      socket.on("data", take);
    });
    webSocket.on("connection", (socket) => {
      const take = server.connection(false, (bytes) => socket.send(bytes));
      socket.on("message", take);
    });
    return server;
  }

  get tcp(): string {
    return `tcp://127.0.0.1:${(this.stream.address() as AddressInfo).port}`;
  }

  get ws(): string {
    return `ws://127.0.0.1:${(this.webSocket.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const client of this.webSocket.clients) client.terminate();
    await new Promise((resolve) => this.stream.close(resolve));
    await new Promise((resolve) => this.webSocket.close(resolve));
  }

  /** What takes the bytes of one connection. */
  private connection(preface: boolean, send: (bytes: Uint8Array) => void): (bytes: Uint8Array) => void {
    const decoder = new Decoder(preface);
    decoder.maxFrame = LIMITS.MAX_FRAME_HARD;
    const say = <N extends FrameName>(name: N, body: BodyInit<N>, ref = 0) => {
      const flags = ref === 0 ? (kindOf(name).logged ? FLAGS.LOGGED : 0) : FLAGS.REPLY;
      send(encodeFrame({ type: kindOf(name).type, flags, ref, body: encodeBody(name, body) }));
    };
    let entries = 0n;
    const frame = ({ type, ref, body }: RawFrame) => {
      const name = nameOf(type);
      if (name === "LOGIN") {
        const resume = decodeBody("LOGIN", body).resume === undefined ? ResumeResult.FRESH : ResumeResult.RESUMED;
        say("LOGIN_OK", { version: 1, user: "self", keepaliveMs: 60_000, resume, epoch: 1n, oldestPos: 1n }, ref);
        say("SYNCED", {});
      } else if (name === "PING") {
        this.pings += 1;
        say("PONG", { data: decodeBody("PING", body).data }, ref);
      } else if (name === "SEND") {
        const { target, content } = decodeBody("SEND", body);
        say("SEND_ACK", { msgId: 1n, state: 1 }, ref);
        if (target.value !== "self") return;
        entries += 1n;
        say("MESSAGE", {
          pos: entries,
          prevPos: entries - 1n,
          msgId: 1n,
          from: "self",
          target: { case: "toUser", value: "self" },
          content,
        });
      } else if (name !== undefined && ref !== 0) {
        say("ERROR", { code: CODES.UNSUPPORTED_FRAME }, ref);
      }
    };
    return (bytes) => {
      decoder.feed(bytes);
      for (let next = decoder.next(); next !== undefined; next = decoder.next()) if (!this.mute) frame(next);
    };
  }
}
