/** The client in a page: dials the runner that `?runner=ws://127.0.0.1:PORT` names, one JSON object a text message. */

import { IndexedDbStore } from "../src/stores/indexeddb.js";
import { webSocket } from "../src/client/transport.js";
import { answer } from "./lines.js";
import { about, clientOps, type Platform } from "./ops.js";

const platform: Platform = {
  transports: ["ws"],
  store: (folder) => IndexedDbStore.open(`tidewire ${folder}`),
  transport: () => webSocket((url, protocol) => new WebSocket(url, protocol)),
};

const runner = new URLSearchParams(location.search).get("runner") ?? "";
const status = document.querySelector("#status");
const show = (text: string) => {
  if (status !== null) status.textContent = text;
};

if (runner === "") {
  show("Say where the runner waits: ?runner=ws://127.0.0.1:PORT");
} else {
  const socket = new WebSocket(runner);
  const say = (message: object) => socket.send(JSON.stringify(message));
  const ops = clientOps(platform, say);
  let count = 0;
  socket.onopen = () => show(`Connected to ${runner}`);
  socket.onmessage = ({ data }) => {
    count += 1;
    show(`${count} requests from ${runner}`);
    void answer(String(data), about(platform), ops, say);
  };
  socket.onclose = () => show(`The runner is gone, after ${count} requests`);
}
