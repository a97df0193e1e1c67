/**
 * The server of JIM on its sockets: reads what clients ask, lets the hub decide, and sends what it says.
 * @module
 */
import { type Effect, Hub, type HubOptions } from "../../jim/hub.ts";
import { type Answer, answerTo } from "../../jim/messages.ts";
import { ServerWire } from "../../jim/wire.ts";
import { describeKeepAlive, keepAlive } from "../keepalive.ts";
import type { Log } from "../log.ts";
import { SelfPipe } from "../self_pipe.ts";
import type { SocketConnection } from "../tcp.ts";
import { delay } from "../timing.ts";
import { Dispatcher, MAX_QUEUED, Outbox } from "./outbox.ts";

/** The most that one read takes, in bytes. Every open connection holds a buffer of this size. */
const READ_SIZE = 1024;
/** How long an object may take from its first to its last byte, in ms. */
const OBJECT_TIMEOUT_MS = 10_000;
/** How long a client that was told to go is still listened to, in ms: what it sends would otherwise cut off what it reads. */
const LINGER_MS = 1000;
/** The longest time between two looks at who is silent, in ms. */
const MAX_TICK_MS = 1000;

/** How a server behaves. */
export interface JimServerOptions
  extends
    Pick<HubOptions<Peer>, "store" | "passwords" | "accountsOnly" | "closed" | "noStore" | "idleTimeout" | "rate"> {
  readonly log: Log;
  /** Objects of more than 640 characters are refused. */
  readonly strict?: boolean;
}

/** A client. */
class Peer {
  readonly wire: ServerWire;
  readonly outbox: Outbox;
  /** The name that it has logged in with. */
  name: string | undefined;
  /** Whether it has been told to go. */
  leaving = false;
  /** When its unfinished object began, in ms. */
  objectSince: number | undefined;

  constructor(
    readonly connection: SocketConnection,
    dispatcher: Dispatcher,
    strict: boolean,
    { overflow, lost }: { readonly overflow: (peer: Peer) => void; readonly lost: (peer: Peer) => void },
  ) {
    this.wire = new ServerWire({ strict });
    this.outbox = new Outbox({
      connection: { write: (bytes) => connection.write(bytes), close: () => lost(this) },
      wire: this.wire,
      dispatcher,
      overflow: () => overflow(this),
    });
  }
}

/** A server: {@linkcode serve} is the handler of its connections. */
export class JimServer implements Disposable {
  readonly #hub: Hub<Peer>;
  readonly #log: Log;
  readonly #strict: boolean;
  readonly #pipe = new SelfPipe();
  readonly #dispatcher = new Dispatcher(() => this.#pipe.look());
  readonly #peers = new Set<Peer>();
  readonly #timer: ReturnType<typeof setInterval>;
  #dropped = 0;
  #counted = { accepted: 0, delivered: 0, at: performance.now() };

  private constructor(hub: Hub<Peer>, { log, strict = false, idleTimeout = 0 }: JimServerOptions) {
    this.#hub = hub;
    this.#log = log;
    this.#strict = strict;
    const interval = idleTimeout === 0 ? MAX_TICK_MS : Math.min(idleTimeout / 4, MAX_TICK_MS);
    this.#timer = setInterval(() => this.#tick(), interval);
  }

  /** A server that knows what its store knows. */
  static async open(options: JimServerOptions): Promise<JimServer> {
    const hub = await Hub.open<Peer>({
      ...options,
      now: Date.now,
      clock: () => performance.now(),
      emit: (effect) => server.#perform(effect),
      flushed: (peer) => peer.outbox.flushed(),
      probes: (peer) => peer.wire.probes,
      trouble: ({ message }) => options.log.write("error", `store: ${message}`),
    });
    const server: JimServer = new JimServer(hub, options);
    return server;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#pipe[Symbol.dispose]();
  }

  /** Serves a client until it has left and got all that was said to it. */
  async serve(connection: SocketConnection): Promise<void> {
    // Only some dialects have probes: of the others the system must tell that nobody is there any more.
    this.#log.write("debug", describeKeepAlive(keepAlive(connection.socket)), connection.peer);
    const peer = new Peer(connection, this.#dispatcher, this.#strict, { overflow: this.#drop, lost: this.#lose });
    this.#peers.add(peer);
    this.#hub.connect(peer, connection.socket.remoteAddr.hostname);
    try {
      const buffer = new Uint8Array(READ_SIZE);
      for (let count; (count = await connection.read(buffer)) !== null;) {
        if (!peer.leaving) await this.#hear(peer, buffer.subarray(0, count));
      }
      if (!peer.leaving) peer.wire.end();
    } finally {
      this.#peers.delete(peer);
      this.#hub.disconnect(peer);
      await peer.outbox.end();
    }
  }

  /** Does what a client has asked, one request after the other. */
  async #hear(peer: Peer, chunk: Uint8Array): Promise<void> {
    const { wire } = peer;
    this.#hub.heard(peer);
    wire.receive(chunk);
    for (let said; !peer.leaving && (said = wire.next()) !== undefined;) {
      peer.objectSince = undefined;
      if (said.type === "request") await this.#hub.request(peer, said.request);
      else this.#hub.refuse(peer, said.answer, said.close);
    }
    peer.objectSince = wire.unfinished ? peer.objectSince ?? performance.now() : undefined;
  }

  #perform(effect: Effect<Peer>): void {
    switch (effect.type) {
      case "answer":
        return effect.to.outbox.say(effect.answer, effect.to.name);
      case "event":
        for (const peer of effect.to) peer.outbox.say(effect.event, peer.name);
        return;
      case "login":
        effect.to.name = effect.name;
        return this.#log.write("debug", `logged in as ${effect.name}`, effect.to.connection.peer);
      case "close":
        this.#dismiss(effect.to, effect.reason, effect.goodbye);
    }
  }

  /** Ends a connection after what has been said has left; a goodbye takes its place. */
  async #dismiss(peer: Peer, reason: string, goodbye?: Answer): Promise<void> {
    peer.leaving = true;
    if (goodbye !== undefined) {
      peer.outbox.clear();
      peer.outbox.say(goodbye);
    }
    await peer.outbox.end();
    peer.connection.closeWrite().catch(() => {}); // it may be gone; and a write that does not end holds it up
    await delay(LINGER_MS);
    peer.connection.close(reason);
  }

  /** Disconnects a client that reads so slowly that its queue is full. */
  readonly #drop = (peer: Peer): void => {
    if (peer.leaving) return;
    this.#dropped++;
    const limit = `${MAX_QUEUED / 1024} KiB`;
    const text = `you read too slowly: ${limit} waited for you`;
    this.#hub.disconnect(peer);
    this.#dismiss(peer, `it reads too slowly: ${limit} waited for it`, answerTo(undefined, 400, { text }));
  };

  /** Nothing can be written to a client any more: the hub must know before it takes what waited for taken. */
  readonly #lose = (peer: Peer): void => {
    this.#hub.disconnect(peer);
    peer.connection.close(); // the read tells why
  };

  #tick(): void {
    this.#hub.tick();
    const latest = performance.now() - OBJECT_TIMEOUT_MS;
    for (const peer of this.#peers) {
      if (peer.objectSince === undefined || peer.objectSince > latest) continue;
      peer.objectSince = undefined;
      const { answer, close } = peer.wire.giveUp();
      this.#hub.refuse(peer, answer, close);
    }
  }

  /** What it does, as one line; the rates are those since the last call. */
  stats(): string {
    const { accepted, delivered } = this.#hub.counts;
    const now = performance.now();
    const perSecond = (count: number) => Math.round(1000 * count / Math.max(1, now - this.#counted.at));
    const queued = Iterator.from(this.#peers).reduce((sum, { outbox }) => sum + outbox.queued, 0);
    const line = [
      `users ${this.#hub.sizes.users}`,
      `rooms ${this.#hub.sizes.rooms}`,
      `messages/s ${perSecond(accepted - this.#counted.accepted)} in`,
      `${perSecond(delivered - this.#counted.delivered)} out`,
      `queued ${queued} B`,
      `dropped ${this.#dropped}`,
    ].join(", ");
    this.#counted = { accepted, delivered, at: now };
    return line;
  }
}
