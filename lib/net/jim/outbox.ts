/**
 * What a server has to say to its clients, from the moment it is said until it has left: a queue for each client, emptied
 * once a turn of the event loop, so that one write takes all that the turn has brought.
 * @module
 */
import { setImmediate } from "node:timers";
import type { Answer, Event } from "../../jim/messages.ts";
import { type Pace, Pacer } from "../../jim/pacing.ts";
import type { ServerWire } from "../../jim/wire.ts";
import type { SocketConnection } from "../tcp.ts";
import { withDeadline } from "../timing.ts";

/**
 * How much may wait for a client, in bytes, when there is more to say: one that is further behind is disconnected. One answer
 * may be longer, and is no sign of a slow reader.
 */
export const MAX_QUEUED = 256 * 1024;
/** How long what waits may take to leave when a connection ends, in ms. */
const FINISH_TIMEOUT_MS = 5000;
/** Clients that are written to before the event loop gets on with what has arrived meanwhile. */
const SLICE = 60;
const NOTHING = new Uint8Array();

/** Begins the writes of many outboxes, some at a time. */
export class Dispatcher {
  readonly #look: () => Promise<void>;
  #due: Outbox[] = [];

  /** `look` has the event loop look at its sockets. */
  constructor(look: () => Promise<void>) {
    this.#look = look;
  }

  /** Lets the outbox write what waits, at the end of this turn. */
  schedule(outbox: Outbox): void {
    if (this.#due.push(outbox) === 1) setImmediate(this.#dispatch);
  }

  readonly #dispatch = (): void => {
    const slice = this.#due.splice(0, SLICE);
    const isLast = this.#due.length === 0;
    for (const outbox of slice) outbox.write();
    if (!isLast) this.#look().then(this.#dispatch);
  };
}

/** What an outbox belongs to. */
export interface OutboxOptions {
  readonly connection: Pick<SocketConnection, "write" | "close">;
  readonly wire: ServerWire;
  readonly dispatcher: Dispatcher;
  /** More waited than {@linkcode MAX_QUEUED} when there was more to say. */
  readonly overflow: () => void;
}

/** The queue of one client. */
export class Outbox {
  readonly #options: OutboxOptions;
  #pacer = new Pacer();
  /** `idle`: nothing waits; `scheduled`: the dispatcher knows; `pausing`: a client that reads no streams needs time. */
  #state: "idle" | "scheduled" | "pausing" | "writing" | "closed" = "idle";
  #pause: ReturnType<typeof setTimeout> | undefined;
  #writing: Uint8Array = NOTHING;
  #flushed: PromiseWithResolvers<void> | undefined;

  /** An empty one. */
  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Bytes that wait. */
  get queued(): number {
    return this.#pacer.queued;
  }

  /** Says something in the client's dialect. `receiver` is the name logged in on its connection. */
  say(said: Answer | Event, receiver?: string): void {
    if (this.#state === "closed") return;
    const { wire, overflow } = this.#options;
    if (this.#pacer.queued > MAX_QUEUED) return overflow();
    this.#pacer.push(wire.encode(said, receiver), "type" in said ? "event" : "answer");
    if (this.#pacer.queued > 0 && (this.#state === "idle" || this.#state === "pausing")) this.#schedule();
  }

  /** Forgets what waits. What is being written is finished, so that no object is cut. */
  clear(): void {
    this.#pacer = new Pacer();
  }

  /** Resolves when nothing waits any more, or nobody to take it is left. */
  flushed(): Promise<void> {
    if (this.#state === "idle" || this.#state === "closed") return Promise.resolve();
    return (this.#flushed ??= Promise.withResolvers()).promise;
  }

  /** Resolves when all that waits has left, or after 5 s; from then on nothing is written. */
  async end(): Promise<void> {
    await withDeadline(FINISH_TIMEOUT_MS, this.flushed()).catch(() => {});
    this.#settle("closed");
  }

  /** Writes what waits. For the dispatcher. */
  write(): void {
    if (this.#state === "closed") return;
    const pace = this.#nextPace();
    if (pace === undefined) return this.#settle("idle");
    if (pace.type === "wait") return this.#pauseFor(pace.ms);
    this.#state = "writing";
    this.#write(pace.bytes);
  }

  #write(bytes: Uint8Array): void {
    this.#writing = bytes;
    this.#options.connection.write(bytes).then(this.#wrote, this.#failed);
  }

  readonly #wrote = (count: number): void => {
    if (count < this.#writing.length) this.#write(this.#writing.subarray(count)); // it took only a part
    else this.write();
  };

  readonly #failed = (): void => {
    this.#settle("closed");
    this.#options.connection.close(); // the read tells why
  };

  #nextPace(): Pace | undefined {
    const { streams, dialect } = this.#options.wire;
    return this.#pacer.next({ streams, pollInterval: dialect.pollInterval }, () => performance.now());
  }

  #pauseFor(ms: number): void {
    this.#state = "pausing";
    this.#pause = setTimeout(() => this.#schedule(), Math.ceil(ms));
  }

  #schedule(): void {
    clearTimeout(this.#pause);
    this.#state = "scheduled";
    this.#options.dispatcher.schedule(this);
  }

  #settle(state: "idle" | "closed"): void {
    clearTimeout(this.#pause);
    this.#state = state;
    this.#flushed?.resolve();
    this.#flushed = undefined;
  }
}
