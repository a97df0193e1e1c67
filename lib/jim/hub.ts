/**
 * The server of JIM without its sockets: who is online, who is where, and what follows from what a client asks. What it has
 * to say it emits as {@linkcode Effect}s; what it remembers is kept by a {@linkcode Store}.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { formatDuration } from "../units.ts";
import {
  type Action,
  type Answer,
  answerTo,
  type Code,
  type Event,
  EVERYONE,
  LIMITS,
  type Request,
} from "./messages.ts";
import { GuessLimit } from "./guess_limit.ts";
import { isRoom } from "./names.ts";
import { costOf, type RateLimit, TokenBucket } from "./rate_limit.ts";
import { type Room, Rooms, Watchers } from "./rooms.ts";
import { type NewMessage, type Store, type StoredMessage, StoreError } from "./store.ts";

/** The rooms of a server, the rooms of one member, the contacts of one user, the users of one answer: at most so many. */
export const MAX_ROOMS = 10_000;
export const MAX_ROOMS_OF_MEMBER = 100;
export const MAX_CONTACTS = 1000;
const MAX_USERS_LISTED = 1000;
/** How many messages that waited are sent before the receiver has taken them. */
const WAITING_PAGE = 50;
/** Bytes of messages that are sent at once: half of what may wait for a slow reader, who must not be lost for asking. */
const MAX_PAGE = 128 * 1024;
/** Refused requests until a connection is closed: those above the rate limit count, and get fewer with time. */
const PATIENCE: RateLimit = { perSecond: 10, burst: 400 };

/** What the hub has to say to a peer, which is whatever the edge calls a connection. */
export type Effect<Peer> =
  /** An answer to what the peer has asked, or a goodbye. */
  | { readonly type: "answer"; readonly to: Peer; readonly answer: Answer }
  /** The peer now has a name. */
  | { readonly type: "login"; readonly to: Peer; readonly name: string }
  /** An event for each of the peers. */
  | { readonly type: "event"; readonly to: readonly Peer[]; readonly event: Event }
  /** The connection ends after what has been said, or, if there is one, a goodbye in its place; the hub has forgotten it. */
  | { readonly type: "close"; readonly to: Peer; readonly reason: string; readonly goodbye?: Answer };

/** Passwords: slow by nature, so that nobody can try many. */
export interface Passwords {
  /** What to keep of a password. */
  hash(password: string): Promise<string>;
  /** Whether `password` is the one that was kept; if none was kept it takes as long and says no. */
  verify(password: string, kept: string | undefined): Promise<boolean>;
}

/** How a hub behaves. */
export interface HubOptions<Peer> {
  readonly store: Store;
  readonly passwords: Passwords;
  /** The time, in ms since 1970: what is said carries it. */
  readonly now: () => number;
  /** The time, in ms on a clock that nobody sets: who is silent, asks too fast or guesses is told by it. */
  readonly clock: () => number;
  readonly emit: (effect: Effect<Peer>) => void;
  /** Resolves when the peer has taken all that was said to it, or is gone. */
  readonly flushed: (peer: Peer) => Promise<void>;
  /** Whether a peer understands a probe. */
  readonly probes: (peer: Peer) => boolean;
  /** Told of what goes wrong and is nobody's fault here: the store's disk is full. */
  readonly trouble: (error: StoreError) => void;
  /** Nobody is logged in without an account. */
  readonly accountsOnly?: boolean;
  /** Nobody can make an account. */
  readonly closed?: boolean;
  /** Nothing waits for users who are offline. */
  readonly noStore?: boolean;
  /** Who is silent for so many ms is probed, and closed half as many later; 0: never. */
  readonly idleTimeout?: number;
  readonly rate?: RateLimit;
}

/** A connection, as the hub sees it. */
interface Session<Peer> {
  readonly peer: Peer;
  readonly address: string;
  readonly bucket: TokenBucket;
  /** What is left of the hub's patience; made when it is first tried. */
  patience: TokenBucket | undefined;
  /** When the peer was last heard, or last got what it had asked for, in ms. */
  heardAt: number;
  /** What it has asked for is being done: it is not the one that is silent. */
  waits: boolean;
  /** When it has been probed since, in ms. */
  probedAt: number | undefined;
  /** Undefined: not logged in. */
  user: OnlineUser<Peer> | undefined;
  gone: boolean;
}

/** A user who is logged in. */
interface OnlineUser<Peer> {
  readonly name: string;
  readonly session: Session<Peer>;
  readonly contacts: Set<string>;
  readonly rooms: ReadonlySet<Room<OnlineUser<Peer>>>;
  status: string | undefined;
  /** Messages that waited are being sent: new ones wait too, so that they come in order. */
  catchingUp: boolean;
  /** One more has been kept since the last look. */
  keptMore: boolean;
}

/** What was refused, as the answer to it. */
class Refusal extends Error {
  constructor(readonly code: Code, readonly text?: string) {
    super(text);
  }
}

function taken(): Refusal {
  return new Refusal(409, "this name is taken");
}

/** The server's memory of who is here, and its rules. */
export class Hub<Peer> {
  /** Messages that were accepted, and deliveries of them. */
  readonly counts = { accepted: 0, delivered: 0 };
  readonly #options: HubOptions<Peer>;
  readonly #store: Store;
  readonly #rate: RateLimit;
  readonly #sessions = new Map<Peer, Session<Peer>>();
  readonly #online = new Map<string, OnlineUser<Peer>>();
  readonly #rooms: Rooms<OnlineUser<Peer>>;
  readonly #watchers = new Watchers<OnlineUser<Peer>>();
  readonly #guesses: GuessLimit;
  /** Names that are becoming accounts. */
  readonly #registering = new Set<string>();

  private constructor(options: HubOptions<Peer>, rooms: Map<string, Set<string>>) {
    this.#options = options;
    this.#store = options.store;
    this.#guesses = new GuessLimit(options.clock);
    this.#rate = options.rate ?? { perSecond: 50, burst: 200 };
    this.#rooms = new Rooms(rooms);
  }

  /** A hub that knows the rooms of its store. */
  static async open<Peer>(options: HubOptions<Peer>): Promise<Hub<Peer>> {
    return new Hub(options, await options.store.rooms());
  }

  /** How many users are online, and how many rooms there are. */
  get sizes(): { readonly users: number; readonly rooms: number } {
    return { users: this.#online.size, rooms: this.#rooms.size };
  }

  // --- Connections -----------------------------------------------------------------------------------------------------

  /** A peer has connected from an address without port. */
  connect(peer: Peer, address: string): void {
    const now = this.#options.clock();
    this.#sessions.set(peer, {
      peer,
      address,
      bucket: new TokenBucket(this.#rate, now),
      patience: undefined,
      heardAt: now,
      waits: false,
      probedAt: undefined,
      user: undefined,
      gone: false,
    });
  }

  /** A peer is gone, however it went: its name is free. Harmless for one that is gone already. */
  disconnect(peer: Peer): void {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    session.gone = true;
    this.#sessions.delete(peer);
    const { user } = session;
    if (user === undefined) return;
    this.#online.delete(user.name);
    for (const room of user.rooms) this.#rooms.depart(user, room);
    this.#rooms.forget(user.name);
    for (const name of user.contacts) this.#watchers.remove(user, name);
    this.#tellWatchers(user, false);
  }

  /** Something has come from a peer. */
  heard(peer: Peer): void {
    const session = this.#sessions.get(peer);
    if (session === undefined) return;
    session.heardAt = this.#options.clock();
    session.probedAt = undefined;
  }

  /** Probes who has been silent for too long, and closes who has not answered. To be called once a second or so. */
  tick(): void {
    const { idleTimeout = 0, now, clock, probes } = this.#options;
    if (idleTimeout === 0) return;
    const time = clock();
    for (const session of [...this.#sessions.values()]) {
      if (session.waits || time - session.heardAt < idleTimeout) continue;
      if (session.user === undefined) {
        this.#close(session, `not logged in within ${formatDuration(idleTimeout)}`, 401);
      } else if (session.probedAt === undefined) {
        if (!probes(session.peer)) continue;
        session.probedAt = time;
        this.#event([session.peer], { type: "probe", time: now() / 1000 });
      } else if (time - session.probedAt >= idleTimeout / 2) {
        this.#close(session, `no answer to a probe within ${formatDuration(idleTimeout / 2)}`, 400);
      }
    }
  }

  /** With a code, the reason is also the goodbye. */
  #close({ peer }: Session<Peer>, reason: string, code?: Code): void {
    this.disconnect(peer);
    const effect = { type: "close", to: peer, reason } as const;
    const goodbye = code && answerTo(undefined, code, { text: reason });
    this.#options.emit(goodbye === undefined ? effect : { ...effect, goodbye });
  }

  // --- Requests --------------------------------------------------------------------------------------------------------

  /**
   * Does what a peer asks and answers it. Resolves when that is done: only then may the peer's next request come, so that
   * they are answered in their order.
   */
  async request(peer: Peer, request: Request): Promise<void> {
    const session = this.#sessions.get(peer);
    if (session === undefined || !this.#admit(session, request.action)) return;
    session.waits = true;
    try {
      const answer = await this.#perform(session, request);
      if (answer !== undefined) this.#answer(peer, answer);
    } catch (error) {
      this.#answer(peer, this.#refusal(request.action, error));
    }
    session.waits = false;
    session.heardAt = this.#options.clock();
    if (request.action === "quit") this.#close(session, "said goodbye");
  }

  /** Answers what was no request, if the peer may still ask. `close`: nothing more can come from it. */
  refuse(peer: Peer, answer: Answer, close: boolean): void {
    const session = this.#sessions.get(peer);
    if (session === undefined || !this.#admit(session)) return;
    this.#answer(peer, answer);
    if (close) this.#close(session, answer.text);
  }

  /** Whether the peer asks slowly enough. If not, it is told so; and closed, if it does not slow down. */
  #admit(session: Session<Peer>, action?: Action): boolean {
    const { perSecond, burst } = this.#rate;
    const time = this.#options.clock();
    if (session.bucket.take(time, Math.min(costOf(action), burst))) return true;
    const text = `too fast: ${perSecond} requests a second are allowed, ${burst} at once`;
    session.patience ??= new TokenBucket(PATIENCE, time);
    if (session.patience.take(time)) this.#answer(session.peer, answerTo(action, 400, { text }));
    else this.#close(session, text, 400);
    return false;
  }

  #refusal(action: Action, error: unknown): Answer {
    if (error instanceof Refusal) {
      return answerTo(action, error.code, error.text === undefined ? {} : { text: error.text });
    }
    if (!(error instanceof StoreError)) throw error;
    this.#options.trouble(error);
    return answerTo(action, 500, { text: "the server cannot store or find it now: try again later" });
  }

  #perform(session: Session<Peer>, request: Request): Answer | undefined | Promise<Answer | undefined> {
    switch (request.action) {
      case "presence":
        return this.#presence(session, request);
      case "authenticate":
        return this.#authenticate(session, request);
      case "register":
        return this.#register(session, request);
      case "probe-answer":
        return undefined;
      case "quit":
        return answerTo("quit", 200, { text: "goodbye" });
    }
    const { user } = session;
    if (user === undefined) throw new Refusal(401);
    switch (request.action) {
      case "msg":
        return this.#message(user, request);
      case "join":
        return this.#join(user, request.room);
      case "leave":
        return this.#leave(user, request.room);
      case "get_contacts":
        return answerTo("get_contacts", 202, { names: [...user.contacts].sort() });
      case "add_contact":
        return this.#addContact(user, request.name);
      case "del_contact":
        return this.#removeContact(user, request.name);
      case "get_users":
        return this.#store.users(MAX_USERS_LISTED).then((names) => answerTo("get_users", 202, { names }));
      case "who":
        return this.#who(user, request.room);
      case "history":
        return this.#history(user, request);
    }
  }

  // --- Logging in ------------------------------------------------------------------------------------------------------

  async #presence(
    session: Session<Peer>,
    { name, status, password }: Request & { action: "presence" },
  ): Promise<Answer | undefined> {
    if (session.user !== undefined) return this.#newStatus(session.user, name, status);
    if (password !== undefined) {
      return await this.#authenticate(session, { action: "presence", name, password }, status);
    }
    this.#assertFree(name);
    const known = await this.#store.user(name);
    if (known?.password !== undefined) throw new Refusal(401, "this name has an account: authenticate");
    if (this.#options.accountsOnly) throw new Refusal(401, "only accounts may log in: authenticate, or register first");
    if (known === undefined) await this.#store.addGuest(name);
    return await this.#logIn(session, name, "presence", status);
  }

  #newStatus(user: OnlineUser<Peer>, name: string, status: string | undefined): Answer {
    if (name !== user.name) throw new Refusal(400, `you are logged in as ${user.name}`);
    if (status !== undefined && status !== user.status) {
      user.status = status;
      this.#tellWatchers(user, true);
    }
    return answerTo("presence", 200);
  }

  async #authenticate(
    session: Session<Peer>,
    { action, name, password }: { action: "presence" | "authenticate"; name: string; password: string },
    status?: string,
  ): Promise<Answer | undefined> {
    if (session.user !== undefined && session.user.name !== name) {
      throw new Refusal(400, `you are logged in as ${session.user.name}`);
    }
    const { right, wait } = await this.#guesses.guess(session.address, name, async () => {
      const known = await this.#store.user(name);
      return await this.#options.passwords.verify(password, known?.password);
    });
    if (wait !== undefined) {
      const seconds = formatDuration(1000 * Math.ceil(wait / 1000));
      throw new Refusal(400, `too many wrong passwords from your address: wait ${seconds}`);
    }
    if (!right) throw new Refusal(402);
    if (session.user !== undefined) return answerTo(action, 200);
    this.#assertFree(name);
    return await this.#logIn(session, name, action, status);
  }

  #assertFree(name: string): void {
    if (this.#online.has(name)) throw new Refusal(409);
    if (this.#registering.has(name)) throw taken();
  }

  async #register(
    session: Session<Peer>,
    { name, password }: Request & { action: "register" },
  ): Promise<Answer | undefined> {
    if (this.#options.closed) throw new Refusal(403, "nobody can register here: ask who runs the server");
    const owner = this.#online.get(name);
    if (owner !== undefined && owner.session !== session) throw new Refusal(409);
    if (this.#registering.has(name)) throw taken();
    this.#registering.add(name); // nobody logs in under it as a guest meanwhile
    try {
      if ((await this.#store.user(name))?.password !== undefined) throw taken();
      const kept = await this.#guesses.inTurn(session.address, () => this.#options.passwords.hash(password));
      if (!await this.#store.addAccount(name, kept)) throw taken();
      return answerTo("register", 201);
    } finally {
      this.#registering.delete(name);
    }
  }

  /** Logs in, answers, and sends what has waited. */
  async #logIn(
    session: Session<Peer>,
    name: string,
    action: Action,
    status: string | undefined,
  ): Promise<undefined> {
    const contacts = new Set(await this.#store.contacts(name));
    if (session.gone) return;
    this.#assertFree(name);
    const rooms = this.#rooms.of(name);
    const user = { name, session, contacts, rooms, status, catchingUp: false, keptMore: false };
    session.user = user;
    this.#online.set(name, user);
    for (const room of rooms) this.#rooms.arrive(user, room);
    for (const contact of contacts) this.#watchers.add(user, contact);
    this.#options.emit({ type: "login", to: session.peer, name });
    this.#answer(session.peer, answerTo(action, 200));
    this.#tellWatchers(user, true);
    this.#catchUp(user);
  }

  /** Sends what has waited for a user, page by page; each page is forgotten when the user has taken it. */
  async #catchUp(user: OnlineUser<Peer>): Promise<void> {
    user.catchingUp = true;
    try {
      do {
        user.keptMore = false;
        while (await this.#sendWaiting(user));
      } while (user.keptMore && !user.session.gone);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#options.trouble(error);
    } finally {
      user.catchingUp = false;
    }
  }

  /** Sends the first messages that wait; false if there are none, or nobody to take them. */
  async #sendWaiting({ name, session }: OnlineUser<Peer>): Promise<boolean> {
    const page = firstThatFit(await this.#store.waiting(name, WAITING_PAGE));
    if (page.length === 0 || session.gone) return false;
    for (const message of page) this.#deliver([session.peer], message);
    await this.#options.flushed(session.peer);
    if (session.gone) return false;
    await this.#store.delivered(name, page.map(({ id }) => id));
    return true;
  }

  // --- Messages --------------------------------------------------------------------------------------------------------

  #message(user: OnlineUser<Peer>, { to, text, extra }: Request & { action: "msg" }): Promise<Answer> {
    const time = this.#options.now() / 1000;
    const message = { time, from: user.name, to, text, ...(extra === undefined ? {} : { extra }) };
    if (to === EVERYONE) return this.#toMany(user, message, this.#online.values());
    if (!isRoom(to)) return this.#toUser(message);
    return this.#toMany(user, message, this.#roomOf(user, to).online);
  }

  async #toMany(
    sender: OnlineUser<Peer>,
    message: NewMessage,
    receivers: Iterable<OnlineUser<Peer>>,
  ): Promise<Answer> {
    const id = await this.#store.addMessage(message);
    const peers: Peer[] = [];
    for (const user of receivers) if (user !== sender) peers.push(user.session.peer);
    return this.#accepted(200, { type: "msg", id, ...message }, peers);
  }

  async #toUser(message: NewMessage): Promise<Answer> {
    const { to } = message;
    let id: number;
    if (this.#online.get(to)?.catchingUp === false) {
      id = await this.#store.addMessage(message);
      const receiver = this.#online.get(to);
      if (receiver?.catchingUp === false) {
        return this.#accepted(200, { type: "msg", id, ...message }, [receiver.session.peer]);
      }
      if (receiver === undefined && this.#options.noStore) throw new Refusal(410);
      await this.#store.letWait(to, id); // it has gone meanwhile, and may be here again
    } else {
      if (!this.#online.has(to)) await this.#assertWaitsFor(to);
      id = await this.#store.addMessage(message, to);
    }
    this.#waitsFor(to);
    return this.#accepted(202, { type: "msg", id, ...message }, []);
  }

  async #assertWaitsFor(name: string): Promise<void> {
    if (await this.#store.user(name) === undefined) throw new Refusal(404);
    if (this.#options.noStore) throw new Refusal(410);
  }

  /** A message now waits for a user: one who has logged in meanwhile must not wait for it. */
  #waitsFor(name: string): void {
    const user = this.#online.get(name);
    if (user === undefined) return;
    user.keptMore = true;
    if (!user.catchingUp) this.#catchUp(user);
  }

  #accepted(code: 200 | 202, message: StoredMessage, to: readonly Peer[]): Answer {
    this.counts.accepted++;
    this.#deliver(to, message);
    return answerTo("msg", code, { id: message.id, time: message.time });
  }

  #deliver(to: readonly Peer[], message: StoredMessage): void {
    this.counts.delivered += to.length;
    this.#event(to, message);
  }

  async #history(user: OnlineUser<Peer>, { with: other, after, limit }: Request & { action: "history" }) {
    if (other !== undefined && isRoom(other) && other !== EVERYONE) this.#roomOf(user, other);
    const found = await this.#store.history({
      reader: user.name,
      rooms: Array.from(user.rooms, ({ name }) => name),
      limit: Math.min(limit, LIMITS.history),
      ...(other === undefined ? {} : { with: other }),
      ...(after === undefined ? {} : { after }),
    });
    const messages = after === undefined ? firstThatFit(found.reverse()).reverse() : firstThatFit(found);
    return answerTo("history", 202, { messages, ...(messages.length < found.length ? { more: true } : {}) });
  }

  // --- Rooms and contacts ----------------------------------------------------------------------------------------------

  /** The room of that name, if the user is one of its members. */
  #roomOf(user: OnlineUser<Peer>, name: string): Room<OnlineUser<Peer>> {
    const room = this.#rooms.find(name);
    if (room === undefined) throw new Refusal(404);
    if (!user.rooms.has(room)) throw new Refusal(403, `you are not in ${name}: join it first`);
    return room;
  }

  async #join(user: OnlineUser<Peer>, name: string): Promise<Answer> {
    const known = this.#rooms.find(name);
    if (known !== undefined && user.rooms.has(known)) return answerTo("join", 200);
    if (user.rooms.size >= MAX_ROOMS_OF_MEMBER) {
      throw new Refusal(400, `you are in ${MAX_ROOMS_OF_MEMBER} rooms already`);
    }
    if (known === undefined) await this.#makePlace();
    const created = await this.#store.join(name, user.name);
    const room = this.#rooms.join(user.name, name);
    const here = this.#online.get(user.name); // it may have left meanwhile, and be here again
    if (here !== undefined) this.#rooms.arrive(here, room);
    return answerTo("join", created ? 201 : 200);
  }

  /** Sees to it that there may be one more room: those whose members are all guests and offline are given up for it. */
  async #makePlace(): Promise<void> {
    while (this.#rooms.size >= MAX_ROOMS) {
      const room = this.#rooms.deserted;
      if (room === undefined) throw new Refusal(400, "there are too many rooms");
      const guests = await this.#store.dissolve(room.name);
      for (const name of guests) this.#forgetMember(name, room);
      if (guests.length === 0) this.#rooms.keep(room); // it is asked about once, not at every join
    }
  }

  async #leave(user: OnlineUser<Peer>, name: string): Promise<Answer> {
    const room = this.#roomOf(user, name);
    await this.#store.leave(name, user.name);
    this.#forgetMember(user.name, room);
    return answerTo("leave", 200);
  }

  #forgetMember(name: string, room: Room<OnlineUser<Peer>>): void {
    const here = this.#online.get(name);
    if (here !== undefined) this.#rooms.depart(here, room);
    this.#rooms.leave(name, room);
    if (here === undefined) this.#rooms.forget(name);
  }

  #who(user: OnlineUser<Peer>, name: string | undefined): Answer {
    const room = name === undefined || name === EVERYONE ? undefined : this.#roomOf(user, name);
    const names = Array.from(room?.online ?? this.#online.values(), ({ name }) => name).sort();
    return answerTo("who", 202, { names: names.slice(0, MAX_USERS_LISTED) });
  }

  async #addContact(user: OnlineUser<Peer>, name: string): Promise<Answer> {
    if (user.contacts.size >= MAX_CONTACTS) throw new Refusal(400, `you have ${MAX_CONTACTS} contacts already`);
    if (await this.#store.user(name) === undefined) throw new Refusal(404);
    await this.#store.addContact(user.name, name);
    user.contacts.add(name);
    if (!user.session.gone) this.#watchers.add(user, name);
    return answerTo("add_contact", 200);
  }

  async #removeContact(user: OnlineUser<Peer>, name: string): Promise<Answer> {
    if (!user.contacts.has(name)) throw new Refusal(404, `${name} is not one of your contacts`);
    await this.#store.removeContact(user.name, name);
    user.contacts.delete(name);
    this.#watchers.remove(user, name);
    return answerTo("del_contact", 200);
  }

  #tellWatchers({ name, status }: OnlineUser<Peer>, online: boolean): void {
    const watchers = this.#watchers.of(name);
    if (watchers.size === 0) return;
    const event = { type: "presence", time: this.#options.now() / 1000, name, online } as const;
    const to = Array.from(watchers, ({ session }) => session.peer);
    this.#event(to, status === undefined || !online ? event : { ...event, status });
  }

  // --- Speaking --------------------------------------------------------------------------------------------------------

  #answer(to: Peer, answer: Answer): void {
    this.#options.emit({ type: "answer", to, answer });
  }

  #event(to: readonly Peer[], event: Event): void {
    if (to.length > 0) this.#options.emit({ type: "event", to, event });
  }
}

/** The first messages of a list that are not too much to be sent at once; one, whatever its size. */
function firstThatFit(messages: readonly StoredMessage[]): StoredMessage[] {
  let left = MAX_PAGE;
  return messages.filter((message, i) => (left -= encodeText(JSON.stringify(message)).length) >= 0 || i === 0);
}
