/**
 * Both ends of a JIM connection as pure values: bytes come in, requests or answers and events come out, and what is to be
 * said comes out as bytes in the dialect that the peer has been heard to speak.
 * @module
 */
import { JsonStream, type JsonStreamEvent } from "../json_stream.ts";
import { A, type Dialect, guess, type JsonObject, recognise } from "./dialects.ts";
import { type Answer, answerTo, type Event, LIMITS, type Message, type Request } from "./messages.ts";
import { countCharacters } from "./names.ts";
import { encodeObject, formAnswer, formEvent, formRequest, parseAnswer, parseEvent, parseRequest } from "./protocol.ts";

/** What a client has said. */
export type ClientSaid =
  /** It asks for something. */
  | { readonly type: "request"; readonly request: Request }
  /** What it sent is no request: the answer says why. `close`: nothing more can come from it. */
  | { readonly type: "refusal"; readonly answer: Answer; readonly close: boolean };

/** What is wrong with something that is no object, for the answer 400. */
const FAULTS: Readonly<Record<Exclude<JsonStreamEvent["type"], "object">, string>> = {
  malformed: "this is no JSON",
  garbage: "this is no JSON object",
  "too-large": `an object is too large: limit is ${LIMITS.object} bytes`,
  "too-deep": `an object is too deep: limit is ${LIMITS.depth} levels`,
  "not-utf8": "this is no UTF-8",
  pickle: "this is pickle, which is not read: send JSON",
};

/** How both ends read. */
const STREAM = { maxObject: LIMITS.object, maxDepth: LIMITS.depth, fallbackEncoding: "windows-1251" } as const;

/** How a server's end works. */
export interface ServerWireOptions {
  /** An object of more than 640 characters is refused. Default: up to 64 KiB are read. */
  readonly strict?: boolean;
  /** The time, in ms since 1970. Default: `Date.now`. */
  readonly now?: () => number;
}

/**
 * The server's end of one connection.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { answerTo } from "./messages.ts";
 * const wire = new ServerWire({ now: () => 1763712000_000 });
 * wire.receive(new TextEncoder().encode('{"action":"join","time":1,"room":"#tea"}\n'));
 * assertEquals(wire.next(), { type: "request", request: { action: "join", room: "#tea" } });
 * const [line] = wire.encode(answerTo("join", 201));
 * assertEquals(new TextDecoder().decode(line), '{"response":201,"time":1763712000,"alert":"created"}\n');
 * ```
 */
export class ServerWire {
  readonly #stream = new JsonStream(STREAM);
  readonly #strict: boolean;
  readonly #now: () => number;
  #recognised: Dialect | undefined;
  #guessed: Dialect | undefined;

  /** Begins a connection. */
  constructor({ strict = false, now = Date.now }: ServerWireOptions = {}) {
    this.#strict = strict;
    this.#now = now;
  }

  /** The dialect that the client speaks, as far as it can be known. */
  get dialect(): Dialect {
    return this.#recognised ?? (this.streams ? A : this.#guessed ?? A); // programs of B do not write lines
  }

  /** Whether the client understands a probe. */
  get probes(): boolean {
    return this.dialect.notices && (this.#recognised !== undefined || this.streams);
  }

  /** Whether the peer finds the objects of one write by itself; if not, each needs a write of its own and a pause. */
  get streams(): boolean {
    return this.#stream.streams;
  }

  /** Whether an object has begun and not ended: it may take 10 s. */
  get unfinished(): boolean {
    return this.#stream.unfinished;
  }

  /** Stores a copy of what has arrived. */
  receive(chunk: Uint8Array): void {
    this.#stream.receive(chunk);
  }

  /** What the client has said next; undefined: more bytes are needed. */
  next(): ClientSaid | undefined {
    const event = this.#stream.next();
    if (event === undefined) return undefined;
    if (event.type !== "object") return refuse(FAULTS[event.type], event.type === "pickle");
    this.#listen(event.object);
    if (this.#strict && event.text.length > LIMITS.strictObject) {
      const length = countCharacters(event.text);
      if (length > LIMITS.strictObject) {
        return refuse(`the object has ${length} characters: limit is ${LIMITS.strictObject}`);
      }
    }
    const { request, refusal } = parseRequest(event.object);
    return request === undefined ? { type: "refusal", answer: refusal, close: false } : { type: "request", request };
  }

  /**
   * Tells that the stream has ended.
   * @throws {TruncatedError} if it ended in the middle of an object
   */
  end(): void {
    this.#stream.end();
  }

  /** The unfinished object takes too long: forgets it and gives the refusal. */
  giveUp(): ClientSaid & { readonly type: "refusal" } {
    this.#stream.reset();
    return refuse("the object was not completed in time");
  }

  /**
   * The objects to write, each ended by LF, in the client's dialect: none where the dialect has no word for it. The bytes of
   * an event are shared by the receivers that it is encoded for in a row: never write into them. `receiver` is the name logged in on this connection.
   */
  encode(said: Answer | Event, receiver?: string): readonly Uint8Array[] {
    if ("type" in said) return this.#encodeEvent(said, receiver);
    const options = { time: this.#now() / 1000, dialect: this.dialect, superset: this.#recognised === undefined };
    const messages = this.streams ? undefined : said.messages?.flatMap((message) => this.#fitting(message));
    return formAnswer(messages === undefined ? said : { ...said, messages }, options).map(encodeObject);
  }

  /** A message of a list, in as many parts as the client needs to read it. */
  #fitting(message: Message): Message[] {
    const fits = form(message, this.dialect).every(({ length }) => length <= this.dialect.readSize);
    return fits ? [message] : smaller(message).flatMap((part) => this.#fitting(part));
  }

  #encodeEvent(event: Event, receiver: string | undefined, encode: typeof form = shared): readonly Uint8Array[] {
    const { dialect } = this;
    if (event.type === "probe" && !this.probes) return [];
    // A client that reads no streams takes whatever it did not ask for as the answer to its next request.
    if (event.type === "presence" && !this.streams) return [];
    const redirected = dialect.addressedToReceiver && event.type === "msg" && event.to !== receiver;
    const objects = (redirected ? form : encode)(event, dialect, receiver);
    const fit = this.streams || event.type !== "msg" || objects.every(({ length }) => length <= dialect.readSize);
    return fit ? objects : smaller(event).flatMap((part) => this.#encodeEvent(part, receiver, form));
  }

  /** Learns the client's dialect. */
  #listen(object: JsonObject): void {
    this.#recognised ??= recognise(object);
    this.#guessed ??= guess(object);
  }
}

function refuse(text: string, close = false): ClientSaid & { readonly type: "refusal" } {
  return { type: "refusal", answer: answerTo(undefined, 400, { text }), close };
}

/** The event that was encoded last, by dialect: one for a thousand receivers is encoded once for each of their dialects. */
let lastEvent: Event | undefined;
const lastForms = new Map<Dialect, readonly Uint8Array[]>();

function shared(event: Event, dialect: Dialect): readonly Uint8Array[] {
  if (event !== lastEvent) {
    lastEvent = event;
    lastForms.clear();
  }
  let objects = lastForms.get(dialect);
  if (objects === undefined) lastForms.set(dialect, objects = form(event, dialect));
  return objects;
}

function form(event: Event, dialect: Dialect, receiver?: string): readonly Uint8Array[] {
  const object = formEvent(event, { dialect, receiver });
  return object === undefined ? [] : [encodeObject(object)];
}

/** A message for a client that cannot read it in one: without what is not known to it, or in two parts. */
function smaller({ extra, ...message }: Message): Message[] {
  if (extra !== undefined) return [message];
  const characters = Array.from(message.text);
  const middle = Math.ceil(characters.length / 2);
  return [characters.slice(0, middle), characters.slice(middle)].map((part) => ({ ...message, text: part.join("") }));
}

/** What a server has said; `object` is how it said it. */
export type ServerSaid =
  | { readonly type: "answer"; readonly answer: Answer; readonly object: JsonObject }
  | { readonly type: "event"; readonly event: Event; readonly object: JsonObject }
  /** Nothing that can be understood; `text` says why. */
  | { readonly type: "garbage"; readonly text: string };

/** The client's end of a connection. It speaks one dialect, A unless it is told another, and understands all. */
export class ClientWire {
  readonly #stream = new JsonStream(STREAM);
  readonly #dialect: Dialect;

  /** Begins a connection. */
  constructor({ dialect = A }: { readonly dialect?: Dialect } = {}) {
    this.#dialect = dialect;
  }

  /** Stores a copy of what has arrived. */
  receive(chunk: Uint8Array): void {
    this.#stream.receive(chunk);
  }

  /** What the server has said next; undefined: more bytes are needed. */
  next(): ServerSaid | undefined {
    const said = this.#stream.next();
    if (said === undefined) return undefined;
    if (said.type !== "object") return { type: "garbage", text: FAULTS[said.type] };
    const { object } = said;
    const answer = parseAnswer(object);
    if (answer !== undefined) return { type: "answer", answer, object };
    const event = parseEvent(object);
    return event === undefined
      ? { type: "garbage", text: "this is neither an answer nor an event" }
      : { type: "event", event, object };
  }

  /**
   * Tells that the stream has ended.
   * @throws {TruncatedError} if it ended in the middle of an object
   */
  end(): void {
    this.#stream.end();
  }

  /** The object to write, ended by LF. `time` is now, in UNIX seconds; `from` the name that has logged in. */
  encode(request: Request, options: { readonly time: number; readonly from?: string }): Uint8Array<ArrayBuffer> {
    return encodeObject(formRequest(request, { ...options, dialect: this.#dialect }));
  }
}
