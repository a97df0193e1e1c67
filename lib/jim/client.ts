/**
 * The client of JIM without its socket and its terminal: lines that a person types and bytes of the server come in; objects to
 * send and lines to show come out. One request at a time is under way, so that it is known what each answer is for: also
 * servers that lose the second of two objects understand it.
 * @module
 */
import { UsageError } from "../errors.ts";
import { printable } from "../text.ts";
import { formatDuration } from "../units.ts";
import { COMMAND_HELP, parseCommand, type Vocabulary } from "./client_commands.ts";
import { A, type Dialect, type JsonObject } from "./dialects.ts";
import { type Answer, type Event, EVERYONE, LIMITS, type Message, type Request } from "./messages.ts";
import { Inbox } from "./inbox.ts";
import { addresseeFault, isRoom } from "./names.ts";
import { costOf, TokenBucket } from "./rate_limit.ts";
import { ClientWire } from "./wire.ts";

/** How long an answer may take, in ms. */
export const ANSWER_TIMEOUT_MS = 15_000;
/** How long a message may wait for its answer at a server that has never given one: some never do. */
export const UNANSWERED_MS = 1500;
/** After so long without a word from the server it is asked whether it is there, in ms. */
export const QUIET_MS = 12_000;
/** How long the server is given to close the connection after a goodbye, in ms. */
export const GOODBYE_MS = 2000;
/** A message that is older than this is shown with its time, in ms. */
const FRESH_MS = 60_000;
/** The last second of the year 9999, in UNIX seconds. */
const MAX_TIME = 253_402_300_799;
/** Names, rooms and list items that are remembered. */
const MEMORY = 10_000;
/** Objects of one connection that may be no JIM. */
const MAX_GARBAGE = 100;
/** What servers of dialect B+ say unasked. */
const LISTS_CHANGED = 205;
/** How long until a server that would not tell now what was missed is asked again, in ms, and how often. */
const ASK_AGAIN_MS = 1000;
const MAX_REFUSALS = 10;
/** Less than servers allow, by what they count for each request. */
const PACE = { perSecond: 40, burst: 150 };

/** What a client wants done. */
export type ClientEffect =
  /** One object, to be written by itself. */
  | { readonly type: "send"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** A line of what others say, or of what was asked for. It is fit for a screen, as is what is told. */
  | { readonly type: "show"; readonly line: string }
  /** A line about what happens. */
  | { readonly type: "tell"; readonly line: string }
  /** An object, as it has come. */
  | { readonly type: "object"; readonly object: JsonObject }
  /** Ask the person for the password, then call {@linkcode JimClient.password}. */
  | { readonly type: "ask-password" }
  /** The user is logged in. */
  | { readonly type: "logged-in" }
  /** The connection is of no use: close it, and connect anew. */
  | { readonly type: "hang-up"; readonly reason: string }
  /** All is done; `failure` says what was not. */
  | { readonly type: "end"; readonly failure?: string };

/** Who the client is. */
export interface JimClientOptions {
  readonly name: string;
  readonly password?: string | undefined;
  /** Makes an account before the first login. */
  readonly register?: boolean;
  /** Whom lines that are no commands are for, until a command says otherwise. */
  readonly to?: string | undefined;
  /** Default: A. */
  readonly dialect?: Dialect;
  /** The time, in ms since 1970: which messages are old is told by it. */
  readonly now: () => number;
  /** The time, in ms on a clock that nobody sets: how long something takes is told by it. */
  readonly clock: () => number;
}

/** Why a request is made, where that is not the user's wish. */
type Purpose = "login" | "newest id" | "rejoin" | "catch up" | "alive" | "goodbye";

/** A request to make. */
interface Errand {
  readonly request: Request;
  readonly purpose?: Purpose;
}

/** The request that is under way. */
interface Outstanding extends Errand {
  readonly sentAt: number;
  /** Items that have come of the list that was announced. */
  items?: Event[];
  /** Items that are still to come. */
  missing: number;
  /** Whether the server has more of them than it sends at once. */
  more?: boolean | undefined;
}

type State = "offline" | "logging in" | "online" | "leaving";

/** What was asked for, as the beginning of a sentence that says that it was refused. */
const REFUSED: Readonly<Partial<Record<Request["action"], string>>> = {
  presence: "the status is not set",
  register: "not registered",
  get_contacts: "no contacts",
  add_contact: "not added",
  del_contact: "not removed",
  history: "no history",
  who: "cannot list",
  join: "cannot join",
  leave: "cannot leave",
};

/**
 * A user's end of a conversation over any number of connections.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const client = new JimClient({ name: "bob", now: () => 0, clock: () => 0 });
 * client.connected();
 * const effect = client.next();
 * if (effect?.type === "send") {
 *   assertEquals(JSON.parse(new TextDecoder().decode(effect.bytes)).action, "presence");
 * }
 * ```
 */
export class JimClient {
  readonly #options: JimClientOptions;
  readonly #dialect: Dialect;
  readonly #clock: () => number;
  readonly #effects: ClientEffect[] = [];
  readonly #bucket: TokenBucket;
  #state: State = "offline";
  #wire: ClientWire;
  /** What the protocol needs, before what the user wants. */
  readonly #urgent: Errand[] = [];
  readonly #wanted: Errand[] = [];
  #outstanding: Outstanding | undefined;
  #password: string | undefined;
  #passwordFor: "login" | "register" | undefined;
  /** The server has said on this connection that a password is needed. */
  #passwordNeeded = false;
  #registering: boolean;
  #addressee: string | undefined;
  #status: string | undefined;
  #known = false; // it has been logged in before
  #quitting = false;
  #over = false;
  #refused = false;
  #heardAt = 0;
  #stateSince = 0;
  #garbage = 0;
  /** The server counts messages and keeps them: it is one of ours, or as good. */
  #keepsHistory = false;
  #answersMessages = false;
  readonly #inbox: Inbox;
  /** A message that was sent over a connection that was lost before its answer came. */
  #doubtful: (Errand & { readonly request: Request & { action: "msg" } }) | undefined;
  /** The question for what was missed that is to be asked again, and when. */
  #askAgain: { readonly after: number; readonly at: number } | undefined;
  /** How often in a row it was refused. */
  #refusals = 0;
  /** The rooms that were joined here. */
  readonly #joined = new Set<string>();
  /** All rooms and names that have been met. */
  readonly #rooms = new Set<string>();
  readonly #names = new Set<string>();

  /** Begins without a connection. @throws {UsageError} if the addressee is nobody's name */
  constructor(options: JimClientOptions) {
    const { password, register = false, to, dialect = A, clock } = options;
    const fault = to === undefined ? undefined : addresseeFault(to);
    if (fault !== undefined) throw new UsageError(`${to} ${fault}`);
    this.#options = options;
    this.#password = password;
    this.#registering = register;
    this.#addressee = to;
    this.#dialect = dialect;
    this.#clock = clock;
    this.#inbox = new Inbox(clock);
    this.#wire = new ClientWire({ dialect });
    this.#bucket = new TokenBucket(PACE, clock());
    if (dialect !== A) this.#status = "online"; // without one, programs of dialect C refuse a presence
  }

  /** Whether something that the user wants is still to be done: the first login, to begin with. */
  get busy(): boolean {
    return !this.#known || this.#wanted.length > 0 || this.#doubtful !== undefined ||
      this.#passwordFor === "register" ||
      (this.#outstanding !== undefined && this.#outstanding.purpose === undefined);
  }

  /** Whether all is done. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether anything was refused that the user wanted. */
  get refused(): boolean {
    return this.#refused;
  }

  /** What stands before the line to type. */
  get prompt(): string {
    return `${this.#state === "online" || this.#state === "leaving" ? "" : "(offline) "}${this.#addressee ?? ""}> `;
  }

  /** The names that have been met. */
  get vocabulary(): Vocabulary {
    return { names: this.#names, rooms: this.#rooms };
  }

  /** What is to be done next. */
  next(): ClientEffect | undefined {
    return this.#effects.shift();
  }

  // --- The user --------------------------------------------------------------------------------------------------------

  /** The user has typed a line. */
  line(text: string): void {
    try {
      this.#obey(text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      this.#refuse(error.message);
    }
    this.#pump();
  }

  #obey(text: string): void {
    const command = parseCommand(text);
    switch (command?.type) {
      case undefined:
        return;
      case "say":
        return this.#say(command.to ?? this.#addressee, command.text);
      case "address":
        return void (this.#addressee = command.to);
      case "ask":
        if (command.request.action === "join") this.#addressee = command.request.room;
        return void this.#wanted.push({ request: command.request });
      case "status":
        this.#status = command.status;
        return void this.#wanted.push({ request: this.#presence() });
      case "register":
        return this.#register();
      case "help":
        for (const line of COMMAND_HELP) this.#show(line);
        return;
      case "quit":
        this.quit();
    }
  }

  #say(to: string | undefined, text: string): void {
    if (to === undefined) throw new UsageError("nobody to send it to: /msg NAME text, or /join #room");
    this.#addressee = to;
    this.#wanted.push({ request: { action: "msg", to, text } });
  }

  #register(): void {
    if (this.#password === undefined) return this.#askPassword("register");
    this.#wanted.push({ request: { action: "register", name: this.#options.name, password: this.#password } });
  }

  #askPassword(purpose: "login" | "register"): void {
    if (this.#passwordFor === undefined) this.#effects.push({ type: "ask-password" });
    this.#passwordFor = purpose;
  }

  /** The password that was asked for; null if there is none. */
  password(password: string | null): void {
    const purpose = this.#passwordFor;
    this.#passwordFor = undefined;
    if (password === null || password === "") {
      if (purpose === "login") this.#end(`${this.#options.name} has an account: its password is needed`);
      else if (this.#registering) this.#end("an account needs a password");
      else this.#refuse("not registered: an account needs a password");
      return;
    }
    this.#password = password;
    if (purpose === "register" && !this.#registering) this.#register();
    else if (this.#state === "logging in" && this.#outstanding === undefined) this.#logIn();
    this.#pump();
  }

  /** Says goodbye when all that the user wants is done; with `now`, without waiting for it. */
  quit({ now = false }: { readonly now?: boolean } = {}): void {
    this.#quitting = true;
    if (now) {
      if (this.#passwordFor !== undefined && !this.#known) return this.#end("interrupted"); // before the first login
      this.#wanted.length = 0;
      this.#outstanding = this.#doubtful = this.#passwordFor = undefined;
    }
    if (now ? this.#state !== "online" : this.#state === "offline" && this.#known && !this.busy) this.#end();
    this.#pump();
  }

  // --- The connection --------------------------------------------------------------------------------------------------

  /** There is a connection. */
  connected(): void {
    this.#wire = new ClientWire({ dialect: this.#dialect });
    this.#enter("logging in");
    this.#passwordNeeded = false;
    this.#heardAt = this.#clock();
    this.#garbage = 0;
    if (this.#registering && this.#password === undefined) this.#askPassword("register");
    else this.#logIn();
    this.#pump();
  }

  /** The connection is lost, or could not be made. */
  disconnected(): void {
    if (this.#state === "leaving" || this.#over) return this.#end();
    const rejected = this.#state === "logging in" && !this.#known && this.#passwordFor === undefined;
    if (rejected) return this.#end(`log in as ${this.#options.name}: the server has closed the connection`);
    this.#inbox.settle();
    const lost = this.#outstanding;
    this.#outstanding = undefined;
    this.#urgent.length = 0;
    this.#askAgain = undefined;
    this.#refusals = 0;
    this.#enter("offline");
    if (lost !== undefined && lost.purpose === undefined) this.#salvage(lost.request);
    if (this.#quitting && this.#known && !this.busy) this.#end();
  }

  /** Does again what may not have been done; a message only when it is clear that it has not arrived. */
  #salvage(request: Request): void {
    if (request.action !== "msg") this.#wanted.unshift({ request });
    else if (this.#inbox.floor !== undefined) this.#doubtful = { request };
    else this.#doubt(request);
  }

  #doubt({ to, text }: Request & { action: "msg" }): void {
    this.#refuse(`not known whether it reached ${to}: ${text}`);
  }

  /** Bytes have come. */
  receive(chunk: Uint8Array): void {
    this.#heardAt = this.#clock();
    this.#wire.receive(chunk);
    for (let said; !this.#over && this.#state !== "offline" && (said = this.#wire.next()) !== undefined;) {
      if (said.type !== "garbage") this.#effects.push({ type: "object", object: said.object });
      if (said.type === "garbage") this.#hearGarbage(said.text);
      else if (said.type === "event") this.#hearEvent(said.event);
      else this.#hearAnswer(said.answer, said.object);
    }
    this.#pump();
  }

  /** Time has passed: to be called a few times a second. */
  tick(): void {
    const now = this.#clock();
    const waiting = this.#outstanding;
    if (this.#state === "leaving" && now - this.#stateSince >= GOODBYE_MS) return this.#end();
    if (waiting !== undefined && now - Math.max(waiting.sentAt, this.#heardAt) >= this.#patience(waiting)) {
      this.#giveUp(waiting);
    }
    if (this.#askAgain !== undefined && this.#state === "online" && now >= this.#askAgain.at) {
      this.#askMissed(this.#askAgain.after);
      this.#askAgain = undefined;
    }
    const quiet = this.#state === "online" && this.#outstanding === undefined && this.#urgent.length === 0;
    if (quiet && this.#keepsHistory && now - this.#heardAt >= QUIET_MS) this.#answerProbe();
    this.#pump();
  }

  #patience({ request }: Outstanding): number {
    const unsure = request.action === "msg" && !this.#keepsHistory && !this.#answersMessages;
    return unsure ? UNANSWERED_MS : ANSWER_TIMEOUT_MS;
  }

  /** No answer comes. */
  #giveUp(waiting: Outstanding): void {
    const time = formatDuration(ANSWER_TIMEOUT_MS);
    const { request, purpose, items } = waiting;
    if (items !== undefined) return this.#finish(waiting);
    if (this.#state === "logging in") return this.#loginFails(`no answer within ${time}: is it a JIM server?`);
    if (this.#keepsHistory) return this.#hangUp(`no answer within ${time}`);
    this.#outstanding = undefined;
    if (request.action === "msg" || purpose !== undefined) return;
    this.#refuse(`no answer to ${request.action} within ${time}`);
  }

  #hangUp(reason: string): void {
    this.#effects.push({ type: "hang-up", reason });
    this.disconnected();
  }

  #end(failure?: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#showHeld();
    this.#effects.push({ type: "end", ...(failure === undefined ? {} : { failure: printable(failure) }) });
  }

  #enter(state: State): void {
    this.#state = state;
    this.#stateSince = this.#clock();
  }

  /** Sends the next request, if none is under way. */
  #pump(): void {
    if (this.#over || this.#state === "offline" || this.#outstanding !== undefined) return;
    if (this.#quitting && this.#state === "online" && !this.busy) this.#doOnce({ action: "quit" }, "goodbye");
    const errands = this.#urgent.length > 0 || this.#state !== "online" ? this.#urgent : this.#wanted;
    const [errand] = errands;
    if (errand === undefined || !this.#bucket.take(this.#clock(), costOf(errand.request.action))) return;
    errands.shift();
    this.#outstanding = { ...errand, sentAt: this.#clock(), missing: 0 };
    this.#send(errand.request);
    if (errand.purpose === "goodbye") this.#enter("leaving");
  }

  #send(request: Request): void {
    const time = Math.floor(this.#options.now() / 1000);
    this.#effects.push({ type: "send", bytes: this.#wire.encode(request, { time, from: this.#options.name }) });
  }

  // --- Logging in ------------------------------------------------------------------------------------------------------

  #presence(): Request {
    return {
      action: "presence",
      name: this.#options.name,
      ...(this.#status === undefined ? {} : { status: this.#status }),
    };
  }

  #logIn(): void {
    const { name } = this.#options;
    const request: Request = this.#registering
      ? { action: "register", name, password: this.#password! }
      : this.#passwordNeeded
      ? { action: "authenticate", name, password: this.#password! }
      : this.#presence();
    this.#do(request, "login");
  }

  #hearLogin({ action }: Request, { code, text }: Answer): void {
    if (code < 300) {
      const untold = action === "authenticate" && this.#known && this.#status !== undefined;
      if (untold) this.#doOnce(this.#presence(), "alive");
      if (action !== "register") return this.#loggedIn();
      this.#registering = false;
      this.#keepsHistory = true; // only servers like ours can do that
      this.#tell(`${this.#options.name} now has an account`);
      return this.#logIn();
    }
    const challenged = code === 401 && action === "presence";
    if (!challenged) return this.#loginFails(`${text} (${code})`, code);
    this.#passwordNeeded = true;
    if (this.#password === undefined) this.#askPassword("login");
    else this.#logIn();
  }

  /** The first time that is the end; later the server may not yet know that the old connection is lost. */
  #loginFails(reason: string, code?: number): void {
    this.#passwordNeeded = false;
    if (this.#known && code !== 402) this.#hangUp(reason);
    else this.#end(`log in as ${this.#options.name}: ${reason}`);
  }

  #loggedIn(): void {
    const returning = this.#known;
    this.#known = true;
    this.#passwordNeeded = false;
    this.#enter("online");
    this.#effects.push({ type: "logged-in" });
    this.#tell(returning ? "connected again" : `logged in as ${this.#options.name}`);
    if (returning) this.#joined.forEach((room) => this.#do({ action: "join", room }, "rejoin"));
    if (!this.#keepsHistory) return;
    const { floor } = this.#inbox;
    if (!returning || floor === undefined) return this.#do({ action: "history", limit: 1 }, "newest id");
    this.#inbox.startHolding();
    this.#askMissed(floor);
  }

  #do(request: Request, purpose: Purpose): void {
    this.#urgent.push({ request, purpose });
  }

  /** The same, unless it is to be done already. */
  #doOnce(request: Request, purpose: Purpose): void {
    if (!this.#urgent.some((errand) => errand.purpose === purpose)) this.#do(request, purpose);
  }

  // --- Answers ---------------------------------------------------------------------------------------------------------

  #hearAnswer(answer: Answer, object: JsonObject): void {
    if ("response" in object && "code" in object) this.#keepsHistory = true; // only servers like ours speak all dialects at once
    if (answer.code < 200 || answer.code === LISTS_CHANGED) return;
    const asked = this.#outstanding;
    if (asked === undefined || asked.items !== undefined) {
      if (answer.code >= 400) this.#tell(`the server says: ${answer.text} (${answer.code})`);
      return;
    }
    asked.missing = announced(asked.request, answer);
    if (asked.missing > 0 && answer.code < 300) {
      asked.items = [];
      asked.more = answer.more;
      return;
    }
    this.#outstanding = undefined;
    if (asked.purpose === "login") this.#hearLogin(asked.request, answer);
    else if (asked.purpose !== undefined) this.#hearOwn(asked, answer);
    else this.#hearWanted(asked.request, answer);
  }

  /** The answer to something that the user does not know of. */
  #hearOwn({ request, purpose }: Errand, { code }: Answer): void {
    if (purpose === "catch up" && code >= 300) this.#notTold(request);
    else if (purpose === "catch up") this.#caughtUp({ complete: true });
    else if (purpose === "newest id" && code < 300) this.#inbox.beginEmpty();
    else if (purpose === "newest id") this.#keepsHistory = false;
  }

  #hearWanted(request: Request, answer: Answer): void {
    const { code, text } = answer;
    if (request.action === "msg") return this.#hearReceipt(request, answer);
    if (code >= 300) {
      const what = REFUSED[request.action] ?? `no ${request.action}`;
      const of = "room" in request && request.room !== undefined ? ` ${request.room}` : "";
      return this.#refuse(`${what}${of}: ${text} (${code})`);
    }
    switch (request.action) {
      case "join":
        this.#joined.add(request.room);
        this.#learn(request.room);
        return this.#tell(`in ${request.room}${code === 201 ? ", a new room" : ""}`);
      case "leave":
        this.#joined.delete(request.room);
        if (this.#addressee === request.room) this.#addressee = undefined;
        return this.#tell(`left ${request.room}`);
      case "register":
        return this.#tell(`${request.name} now has an account`);
      case "history":
        return this.#tell("no messages");
      case "get_contacts":
      case "who":
        return this.#showNames(request, answer.names ?? []);
      case "add_contact":
        return this.#tell(`${request.name} is now one of your contacts`);
      case "del_contact":
        return this.#tell(`${request.name} is no longer one of your contacts`);
      default:
        return this.#tell(text);
    }
  }

  #hearReceipt({ to, text }: Request & { action: "msg" }, { code, id, time, text: why }: Answer): void {
    if (code >= 300) return this.#refuse(`not delivered to ${to}: ${why} (${code}): ${text}`);
    this.#answersMessages = true;
    if (id !== undefined && time !== undefined) this.#inbox.see(id, time);
    if (code === 202) this.#tell(`${to} is not here: the message waits`);
  }

  /** All items of a list have come, or no more will. */
  #finish({ request, purpose, items = [], more = false }: Outstanding): void {
    this.#outstanding = undefined;
    if (request.action !== "history") {
      return this.#showNames(request, items.flatMap((item) => "name" in item ? [item.name] : []));
    }
    const messages = items.filter((item) => item.type === "msg");
    const newest = Math.max(0, ...messages.map(({ id = 0 }) => id));
    if (purpose === "newest id") {
      this.#inbox.begin(newest);
    } else if (purpose === "catch up") {
      this.#hold(messages);
      this.#refusals = 0;
      const last = (messages.length < request.limit && !more) || newest <= (request.after ?? 0);
      if (last) this.#caughtUp({ complete: true });
      else this.#askMissed(newest);
    } else {
      for (const message of messages) this.#showMessage(message);
    }
  }

  #showNames({ action }: Request, names: readonly string[]): void {
    for (const name of names) this.#learn(name);
    const title = action === "who" ? "online" : "contacts";
    this.#show(`${title}: ${names.length === 0 ? "nobody" : names.join(", ")}`);
  }

  // --- Events ----------------------------------------------------------------------------------------------------------

  #hearEvent(event: Event): void {
    const list = this.#outstanding;
    if (list?.items !== undefined && isItem(list.request, event)) {
      list.items.push(event);
      if (--list.missing === 0) this.#finish(list);
    } else if (event.type === "msg") {
      if (this.#inbox.holds) this.#hold([event]);
      else this.#showNew(event);
    } else if (event.type === "probe") {
      this.#answerProbe();
    } else if (event.type === "presence") {
      this.#learn(event.name);
      const status = event.status === undefined || event.status === "" ? "" : `: ${event.status}`;
      this.#tell(`${event.name} ${event.online ? "is here" : "has left"}${status}`);
    }
  }

  #answerProbe(): void {
    if (this.#state === "online") this.#doOnce(this.#presence(), "alive");
  }

  #hearGarbage(text: string): void {
    if (!this.#known) return this.#end(`the server does not speak JIM: ${text}`);
    if (this.#garbage++ === 0) this.#tell(`the server sends garbage: ${text}`);
    if (this.#garbage === MAX_GARBAGE) this.#hangUp("the server sends nothing but garbage");
  }

  // --- Messages --------------------------------------------------------------------------------------------------------

  #showNew(message: Message): void {
    const { id, time, from, to } = message;
    if (id !== undefined) {
      this.#keepsHistory = true;
      if (!this.#inbox.see(id, time)) return;
    }
    this.#learn(from);
    if (isRoom(to)) this.#learn(to);
    this.#showMessage(message);
  }

  #showMessage({ time, from, to, text }: Message): void {
    const { name, now } = this.#options;
    const age = now() - 1000 * time;
    const when = age >= FRESH_MS ? formatTime(time) : "";
    const way = isRoom(to) ? `${to} ${from}` : from === name && to !== name ? `${from} -> ${to}` : from;
    this.#show(`${when}${way}: ${text}`);
  }

  #askMissed(after: number): void {
    this.#do({ action: "history", after, limit: LIMITS.history }, "catch up");
  }

  /** The server has no time for what was missed, or cannot find it now. */
  #notTold(request: Request): void {
    const { after = 0 } = request as Request & { action: "history" };
    if (++this.#refusals > MAX_REFUSALS) this.#caughtUp({ complete: false });
    else this.#askAgain = { after, at: this.#clock() + ASK_AGAIN_MS };
  }

  #hold(messages: readonly Message[]): void {
    const sent = this.#doubtful?.request;
    const arrived = sent && messages.find((message) => this.#isOurs(message, sent));
    if (arrived !== undefined) {
      this.#doubtful = undefined;
      this.#inbox.see(arrived.id!, arrived.time);
    }
    this.#inbox.hold(messages).forEach((message) => this.#showNew(message));
  }

  /** `complete`: all that the server has accepted has come. */
  #caughtUp({ complete }: { readonly complete: boolean }): void {
    const doubtful = this.#doubtful;
    this.#doubtful = undefined;
    if (doubtful !== undefined && complete) this.#wanted.unshift(doubtful);
    else if (doubtful !== undefined) this.#doubt(doubtful.request);
    this.#showHeld();
  }

  /** Shows what was held back, in order. */
  #showHeld(): void {
    this.#inbox.release().forEach((message) => this.#showNew(message));
  }

  #isOurs({ id, time, from, to, text }: Message, sent: Request & { action: "msg" }): boolean {
    return id !== undefined && !this.#inbox.hasSeen(id, time) && from === this.#options.name && to === sent.to &&
      text === sent.text;
  }

  // --- The screen ------------------------------------------------------------------------------------------------------

  #learn(name: string): void {
    if (name !== EVERYONE && addresseeFault(name) === undefined) {
      remember(isRoom(name) ? this.#rooms : this.#names, name);
    }
  }

  #show(line: string): void {
    this.#effects.push({ type: "show", line: printable(line) });
  }

  #tell(line: string): void {
    this.#effects.push({ type: "tell", line: printable(line) });
  }

  #refuse(line: string): void {
    this.#refused = true;
    this.#tell(line);
  }
}

/** How many items of a list follow an answer, of those that were asked for. */
function announced(request: Request, { quantity = 0 }: Answer): number {
  if (request.action === "history") return Math.min(quantity, request.limit);
  return request.action === "get_contacts" || request.action === "who" ? Math.min(quantity, MEMORY) : 0;
}

function isItem({ action }: Request, { type }: Event): boolean {
  return action === "history" ? type === "msg" : type === "contact" || type === "user";
}

function remember(names: Set<string>, name: string): void {
  names.add(name);
  if (names.size > MEMORY) names.delete(names.values().next().value!);
}

/** A time on this machine's clock, to the minute; nothing for one that no calendar has. */
function formatTime(time: number): string {
  if (!(time > 0 && time < MAX_TIME)) return "";
  const date = new Date(1000 * time);
  const local = new Date(date.getTime() - 60_000 * date.getTimezoneOffset());
  return `[${local.toISOString().slice(0, 16).replace("T", " ")}] `;
}
