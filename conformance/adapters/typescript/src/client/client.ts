/** A client of a Tidewire server: what an app sees of it. */

import { create, type Message, toBinary } from "@bufbuild/protobuf";
import { type Body, schemaOf } from "../codec/body.js";
import { fromText, toHex } from "../codec/bytes.js";
import { LIMITS } from "../generated/registry.js";
import { Delivery } from "../generated/tidewire/v1/send_pb.js";
import { Engine } from "./engine.js";
import { type Entry, LocalError, type Reply, type RequestInit, type RequestName, type StateName } from "./events.js";
import type { ClientOptions, ClientStatus, Outgoing, Posted } from "./options.js";
import { needsKey } from "./outbox.js";
import { secretBytes } from "./random.js";
import { MemoryStore, type Store } from "./store.js";

export class Client {
  private constructor(
    private readonly engine: Engine,
    private readonly store: Store,
  ) {
    engine.reauth = (token) => void this.post("REAUTH", { token: fromText(token) }).catch(() => {});
  }

  /** Makes a client out of what its store holds, and begins to connect. */
  static async open(options: ClientOptions): Promise<Client> {
    const store = options.store ?? new MemoryStore();
    const client = new Client(new Engine(options, store, await store.load()), store);
    await client.engine.start();
    return client;
  }

  /** What the client is doing. */
  get status(): ClientStatus {
    return this.engine.status;
  }

  /** Connections tried since it was opened. */
  get attempts(): number {
    return this.engine.tries;
  }

  /** The position in the user log up to which entries are stored. */
  get position(): bigint {
    return this.engine.journal.stored;
  }

  /** Ids of messages that wait for their acceptance, oldest first. */
  get unsent(): string[] {
    return this.engine.outbox.waiting("SEND");
  }

  /** What the server said of the session that lives now. */
  get login(): Body<"LOGIN_OK"> | undefined {
    return this.engine.session?.login;
  }

  /** Resolves when the server has the message for good; until then it is kept over cuts and crashes. Throws Refused or LocalError. */
  async send(message: Outgoing): Promise<Body<"SEND_ACK">> {
    const { content, onlineOnly, ttlMs, receipts, toUser, toGroup, ...fields } = {
      toUser: undefined,
      toGroup: undefined,
      ...message,
    };
    const { answer } = await this.post("SEND", {
      ...fields,
      target: toGroup === undefined ? { case: "toUser", value: toUser ?? "" } : { case: "toGroup", value: toGroup },
      delivery: onlineOnly ? Delivery.ONLINE_ONLY : Delivery.STORE,
      content: typeof content === "string" ? fromText(content) : content,
      ...(ttlMs === undefined ? {} : { ttlMs: BigInt(ttlMs) }),
      ...(receipts === undefined ? {} : { receipts }),
    });
    return answer;
  }

  /** Makes a request and waits for its reply. Throws Refused or LocalError. */
  async request<N extends RequestName>(name: N, body: RequestInit<N>): Promise<Reply<N>> {
    return (await this.post(name, body)).answer;
  }

  /**
   * Gives a request to the outbox; done once it has it, for good where it is SEND, GROUP_OP or MARK. `id` is the app's name
   * for it, which events repeat, also after a restart. Throws LocalError.
   */
  async post<N extends RequestName>(name: N, init: RequestInit<N>, id = toHex(secretBytes(8))): Promise<Posted<N>> {
    if (this.status === "closed") throw new LocalError("CLOSED", "the client is closed");
    const body: Message = create(schemaOf(name), init as Record<string, unknown>);
    //= spec/30-send.md#idempotency
    //# [SND-083] A client MUST give each message a key of its own.
    if (needsKey(name, body) && body.idem.length === 0) body.idem = secretBytes(LIMITS.IDEM_LEN);
    const length = toBinary(schemaOf(name), body).length;
    const limit = this.engine.session?.bodyLimit ?? LIMITS.MAX_FRAME_HARD;
    if (length > limit)
      throw new LocalError("BODY_TOO_LARGE", `body length ${length} exceeds limit ${limit} in ${name}`);
    const { outbox, clock } = this.engine;
    const item = outbox.add({ id, name, body, since: clock.now() });
    const answer = new Promise<Reply>((resolve, reject) => Object.assign(item, { resolve, reject })) as Promise<
      Reply<N>
    >;
    // Who wants to know waits for it; the others hear of it by an event.
    answer.catch(() => {});
    //= spec/30-send.md#idempotency
    //# [SND-030] A client MUST store the key with the message before it first sends it.
    await this.engine.commit(() => {
      item.stored = true;
    });
    this.engine.work();
    return { id, answer };
  }

  /** With `manualAck`: the app has stored everything up to `pos`. Done when this client remembers it, too. */
  async ack(pos: bigint): Promise<void> {
    this.engine.journal.acknowledge(pos);
    await this.engine.commit();
  }

  /** Resolves when everything that the server sent before is with the app. Not to be awaited within `onEvent`. Throws LocalError. */
  fence(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { session } = this.engine;
      const lost = () => reject(new LocalError("NOT_CONNECTED", "there is no session"));
      if (session?.login === undefined) {
        lost();
        return;
      }
      const found = this.engine.untilLost(lost);
      session.ping(() => {
        found();
        this.engine.onceTold(resolve);
      });
    });
  }

  /** Entries that this client keeps, above `after`, oldest first. */
  history(after = 0n): Iterable<Entry> {
    return this.engine.journal.history(after);
  }

  /** The state of a message that was sent from here: of all, or at one recipient. */
  stateOf(
    conversation: { user: string } | { group: bigint },
    msgId: bigint,
    recipient?: string,
  ): StateName | undefined {
    return this.engine.receipts.stateOf(conversation, msgId, recipient);
  }

  /** The credential for the next LOGIN. A client that waits for one goes on at once. */
  setToken(token: string): void {
    this.engine.setToken(token);
  }

  /** Connects now, also after the server said to stop. */
  reconnect(): void {
    this.engine.reconnect();
  }

  /** Resolves when all that goes on needs time or somebody else: for tests with a clock of their own. */
  settled(): Promise<void> {
    return this.engine.settled();
  }

  /** Ends the session in order; the store stays. */
  async close(): Promise<void> {
    if (this.status === "closed") return;
    this.engine.close();
    await this.engine.commit().catch(() => {});
    await this.store.close();
  }
}
