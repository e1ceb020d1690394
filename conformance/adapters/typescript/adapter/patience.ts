/** Real time, for clients whose clock stands still: what is expected of a server may take some. */

import type { Client } from "../src/client/client.js";

/** How long a server has for an answer before the clock goes on without it, in milliseconds. */
const LONG = 1000;
/** How long it has once it let that time pass, until it is heard again on this connection or a later one. */
const SHORT = 5;

/** A function that resolves once the client waits for nobody, or nobody is worth waiting for. */
export function patience(client: Client): () => Promise<void> {
  /** The connection on which an answer was waited for in vain, counted as the client counts them. */
  let silent: number | undefined;
  return async () => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = new Promise<void>((resolve) => {
      const giveUp = () => {
        silent = client.attempts;
        resolve();
      };
      timer = setTimeout(giveUp, silent === client.attempts ? SHORT : LONG);
    });
    const answered = client.settled().then(() => {
      silent = undefined;
    });
    await Promise.race([answered, over]);
    clearTimeout(timer);
  };
}
