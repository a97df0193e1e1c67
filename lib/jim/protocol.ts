/**
 * Forms and reads the objects of JIM: from what is meant (messages.ts) to how a dialect says it, and from whatever is said
 * to what is meant. Written faithfully, read tolerantly.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";
import {
  A,
  actionOf,
  ACTIONS,
  at,
  BROADCASTS,
  type Dialect,
  type Field,
  isObject,
  type JsonObject,
  PLACES,
} from "./dialects.ts";
import {
  type Action,
  type Answer,
  answerTo,
  CODES,
  type Event,
  EVERYONE,
  type Extra,
  LIMITS,
  type Message,
  type Request,
} from "./messages.ts";
import { addresseeFault, countCharacters, roomNameFault, userNameFault } from "./names.ts";

/** Messages of an answer to `history` that does not say how many. */
const HISTORY_MESSAGES = 50;

/** How an object is formed. */
export interface FormOptions {
  /** Now, in UNIX seconds. */
  readonly time: number;
  /** Default: dialect A. */
  readonly dialect?: Dialect;
}

// --- What a client forms ---------------------------------------------------------------------------------------------

/**
 * The presence message, which logs `name` in.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(formPresence("bob", { time: 1763712000, status: "here" }), {
 *   action: "presence",
 *   time: 1763712000,
 *   type: "status",
 *   user: { account_name: "bob", status: "here" },
 * });
 * ```
 */
export function formPresence(
  name: string,
  { status, ...options }: FormOptions & { readonly status?: string },
): JsonObject {
  return formRequest({ action: "presence", name, ...(status === undefined ? {} : { status }) }, options);
}

/** The object of a request. `from` is the name that the client has logged in with. */
export function formRequest(
  request: Request,
  { time, from, dialect = A }: FormOptions & { readonly from?: string },
): JsonObject {
  const { action } = request;
  if (action === "probe-answer") return formAnswer(answerTo(action, 200), { time, dialect })[0]!;
  const object: Record<string, unknown> = { action: dialect.words[action] ?? action, time };
  const caller = dialect.caller[action];
  if (caller !== undefined && from !== undefined) object[caller] = from;
  if (action === "presence") object.type = "status";
  for (const [field, value] of Object.entries(fieldsOf(request, from))) {
    if (value !== undefined) write(object, dialect, field as Field, value);
  }
  if (action === "msg") Object.assign(object, request.extra);
  if (action === "history") Object.assign(object, { with: request.with, after: request.after, limit: request.limit });
  return dialect.upperCase ? capitalise(object) : object;
}

/** The fields of a request that dialects put in different places. */
function fieldsOf(request: Request, from: string | undefined): Partial<Record<Field, unknown>> {
  switch (request.action) {
    case "presence":
      return { name: request.name, status: request.status, password: request.password };
    case "authenticate":
    case "register":
      return { name: request.name, password: request.password };
    case "msg":
      return { to: request.to, from, text: request.text };
    case "join":
    case "leave":
    case "who":
      return { room: request.room };
    case "add_contact":
    case "del_contact":
      return { contact: request.name };
    default:
      return {};
  }
}

// --- What a server reads ---------------------------------------------------------------------------------------------

/**
 * What an object from a client asks for, in whichever dialect; or the answer that refuses it: 400, with a text that names
 * what is wrong and the limit that was exceeded. Who it says it is from does not matter. Fields that nobody knows are
 * kept in a message and ignored elsewhere; fields of the wrong type are refused.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const request = { action: "msg", to: "bob", text: "hi" };
 * assertEquals(parseRequest({ action: "msg", time: 1, to: "bob", from: "me", message: "hi" }), { request });
 * assertEquals(parseRequest({ action: "message", time: 1.5, to: "bob", sender: "me", mess_text: "hi" }), { request });
 * ```
 */
export function parseRequest(
  object: JsonObject,
): { readonly request: Request; readonly refusal?: never } | { readonly refusal: Answer; readonly request?: never } {
  let action: Action | undefined;
  try {
    const said = "ACTION" in object ? lowerCase(object) : object;
    action = readAction(said);
    return { request: readRequest(said, action) };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { refusal: answerTo(action, 400, { text: error.message }) };
  }
}

function readAction(object: JsonObject): Action {
  const { action } = object;
  if (action === undefined || action === null) {
    if (readCode(object, ["response", "code", "reply"]) !== undefined) return "probe-answer";
    throw new ProtocolError("action is missing");
  }
  if (typeof action !== "string") throw new ProtocolError("action must be a string");
  const known = actionOf(action);
  if (known !== undefined) return known;
  limit("action", action, LIMITS.action);
  throw new ProtocolError(`unknown action: there are ${[...new Set(ACTIONS.values())].join(", ")}`);
}

function readRequest(object: JsonObject, action: Action): Request {
  switch (action) {
    case "presence":
      return {
        action,
        name: readUserName(object, "name"),
        ...optional("status", readString(object, "status", LIMITS.status)?.toWellFormed()),
        ...optional("password", readString(object, "password", LIMITS.password)),
      };
    case "authenticate":
    case "register":
      return { action, name: readUserName(object, "name"), password: readPassword(object, action) };
    case "msg":
      return readMessage(object);
    case "join":
    case "leave":
      return { action, room: readRoom(object) };
    case "add_contact":
    case "del_contact":
      return { action, name: readUserName(object, "contact") };
    case "who":
      return { action, ...(object.room === undefined || object.room === null ? {} : { room: readRoom(object) }) };
    case "history":
      return readHistory(object);
    default:
      return { action };
  }
}

/** A new one is not empty: such an account would be everybody's. */
function readPassword(object: JsonObject, action: "authenticate" | "register"): string {
  const password = required(object, "password", readString(object, "password", LIMITS.password));
  if (password === "" && action === "register") throw new ProtocolError("user.password is empty");
  return password;
}

function readMessage(object: JsonObject): Request {
  const text = required(object, "text", readString(object, "text", LIMITS.message));
  const to = readAddressee(object);
  return { action: "msg", to, text: text.toWellFormed(), ...optional("extra", readExtra(object)) };
}

/** Whom a message is for. `to_all` has no addressee, and dialect B leaves it out when it means everybody. */
function readAddressee(object: JsonObject): string {
  if (object.action === "to_all") return EVERYONE;
  const to = readString(object, "to");
  if (to === undefined && object.action === "message") return EVERYONE;
  return addressee("to", required(object, "to", to));
}

/** A user or a room, in NFC; {@linkcode EVERYONE}, by whichever name everybody was meant. */
function addressee(place: string, given: string): string {
  const name = given.normalize("NFC");
  if (BROADCASTS.has(name)) return EVERYONE;
  check(place, addresseeFault(name));
  return name;
}

function readRoom(object: JsonObject): string {
  const room = required(object, "room", readString(object, "room")).normalize("NFC");
  if (BROADCASTS.has(room)) throw new ProtocolError("everybody is in #all: nobody joins or leaves it");
  check("room", roomNameFault(room));
  return room;
}

function readUserName(object: JsonObject, field: "name" | "contact"): string {
  const name = required(object, field, readString(object, field)).normalize("NFC");
  check(A.fields[field][0]!, BROADCASTS.has(name) ? "stands for everybody" : userNameFault(name));
  return name;
}

function readHistory(object: JsonObject): Request {
  const { with: partner, after, limit = HISTORY_MESSAGES } = object;
  if (partner !== undefined && typeof partner !== "string") throw new ProtocolError("with must be a string");
  const name = partner === undefined ? undefined : addressee("with", partner);
  if (!isCount(limit) || limit < 1 || limit > LIMITS.history) {
    throw new ProtocolError(`limit must be a whole number from 1 to ${LIMITS.history}`);
  }
  if (after !== undefined && !isCount(after)) throw new ProtocolError("after must be the id of a message");
  return {
    action: "history",
    ...optional("with", name),
    ...optional("after", after),
    limit,
  };
}

/** Every key that means something in one of the dialects: handed on, it could say to them what the sender must not. */
const KNOWN_KEYS: ReadonlySet<string> = new Set([
  ...Object.values(PLACES).flat().map((place) => place.split(".")[0]!),
  ...["action", "time", "id", "type", "error", "alert", "quantity", "online", "bin", "data_list", "__proto__"],
]);

/** What else a message holds. In capitals, as dialect E has them, more keys are known: `reſponse`, `meßage`. */
function readExtra(object: JsonObject): Extra | undefined {
  let extra: Record<string, unknown> | undefined;
  for (const key in object) {
    if (!KNOWN_KEYS.has(key) && !KNOWN_KEYS.has(key.toUpperCase().toLowerCase())) (extra ??= {})[key] = object[key];
  }
  if (extra === undefined) return undefined;
  const { length } = JSON.stringify(extra);
  if (length > LIMITS.extra) {
    throw new ProtocolError(`the unknown fields have ${length} characters: limit is ${LIMITS.extra}`);
  }
  return extra;
}

// --- What a server forms ---------------------------------------------------------------------------------------------

/**
 * The objects of an answer: one, and one for each item of a list where the dialect has it so; none where its clients
 * expect no answer.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { answerTo } from "./messages.ts";
 * assertEquals(formAnswer(answerTo("join", 201), { time: 1763712000 }), [
 *   { response: 201, time: 1763712000, alert: "created" },
 * ]);
 * ```
 * With `superset` it is understood in all dialects that leave a key out of account which they do not know.
 */
export function formAnswer(
  answer: Answer,
  { time, dialect = A, superset = false }: FormOptions & { readonly superset?: boolean },
): JsonObject[] {
  if (answer.action === "msg" && !answersMessage(answer, dialect)) return [];
  const { names, messages } = answer;
  const object: Record<string, unknown> = { ...dialect.template.answer };
  const isList = names !== undefined && dialect.list !== "objects";
  const code = isList ? dialect.list.code : dialect.codes[answer.code] ?? answer.code;
  for (const key of superset ? [...A.fields.code, "code"] : dialect.fields.code) object[key] = code;
  object.time = answer.time ?? time;
  object[dialect.answerText[code < 400 ? 0 : 1]] = answer.text;
  if (answer.id !== undefined) object.id = answer.id;
  if (isList) object[dialect.list.key] = namesThatFit(names, dialect);
  const items: Event[] = [];
  if (names !== undefined && !isList) {
    const type = answer.action === "get_contacts" ? "contact" : "user";
    items.push(...names.map((name) => ({ type, name } as const)));
  }
  if (messages !== undefined) items.push(...messages);
  if (items.length > 0 || (names ?? messages) !== undefined && !isList) object.quantity = items.length;
  if (answer.more === true) object.more = true;
  return [
    dialect.upperCase ? capitalise(object) : object,
    ...items.map((item) => formEvent(item, { dialect })).filter((item) => item !== undefined),
  ];
}

function answersMessage(answer: Answer, { answersMessages }: Dialect): boolean {
  return answersMessages === "all" || answersMessages === "errors" && answer.code >= 400;
}

/** As many names as a client can read at once. */
function namesThatFit(names: readonly string[], { readSize }: Dialect): string[] {
  let left = readSize - 256; // for the rest of the object
  return names.filter((name) => (left -= encodeText(JSON.stringify(name)).length + 1) > 0);
}

/**
 * The object of an event; undefined where the dialect has no word for it. `receiver` is the user whom it goes to: the
 * clients of some dialects show only what is addressed to their user, so that a room is named in the text.
 */
export function formEvent(
  event: Event,
  { dialect = A, receiver }: { readonly dialect?: Dialect; readonly receiver?: string | undefined } = {},
): JsonObject | undefined {
  const object: Record<string, unknown> = {
    ...dialect.template.event,
    action: dialect.words[event.type] ?? event.type,
  };
  switch (event.type) {
    case "msg":
      writeMessage(object, event, dialect, receiver);
      break;
    case "probe":
      if (!dialect.notices) return undefined;
      object.time = event.time;
      break;
    case "presence":
      if (!dialect.notices) return undefined;
      object.time = event.time;
      object.type = "status";
      write(object, dialect, "name", event.name);
      if (event.status !== undefined) write(object, dialect, "status", event.status);
      object.online = event.online;
      break;
    default:
      write(object, dialect, "contact", event.name);
  }
  return dialect.upperCase ? capitalise(object) : object;
}

function writeMessage(object: Record<string, unknown>, message: Message, dialect: Dialect, receiver?: string): void {
  const { id, time, from, to, text, extra } = message;
  const redirected = dialect.addressedToReceiver && receiver !== undefined && to !== receiver;
  object.time = time;
  write(object, dialect, "to", redirected ? receiver : to);
  write(object, dialect, "from", from);
  write(object, dialect, "text", redirected ? `[${to}] ${text}` : text);
  if (id !== undefined) object.id = id;
  if (extra !== undefined) Object.assign(object, extra);
}

// --- What a client reads ---------------------------------------------------------------------------------------------

/**
 * What a server answers, in whichever dialect; undefined if the object is no answer (see {@linkcode parseEvent}).
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(parseAnswer({ response: 200, alert: "hello" }), { code: 200, text: "hello" });
 * assertEquals(parseAnswer({ action: "msg", message: "hello" }), undefined);
 * ```
 */
export function parseAnswer(object: JsonObject): Answer | undefined {
  const said = "RESPONSE" in object ? lowerCase(object) : object;
  const code = readCode(said, PLACES.code);
  if (code === undefined) return undefined;
  const texts = [said.error, said.alert, said.message, said.info, CODES[code as keyof typeof CODES]];
  const names = [said.data_list, said.alert, said.message, said.contacts, said.list_info].find(Array.isArray);
  return {
    code,
    text: texts.find((text) => typeof text === "string") ?? "",
    ...optional("id", isCount(said.id) ? said.id : undefined),
    ...optional("time", readTime(said)),
    ...optional("quantity", isCount(said.quantity) ? said.quantity : undefined),
    ...optional("more", said.more === true ? true : undefined),
    ...optional("names", names?.filter((name) => typeof name === "string")),
  };
}

/** What a server tells, in whichever dialect; undefined if the object is no event that is known. */
export function parseEvent(object: JsonObject): Event | undefined {
  const said = "ACTION" in object ? lowerCase(object) : object;
  const time = readTime(said) ?? 0;
  const { action } = said;
  if (action === "probe" || action === "prоbe") return { type: "probe", time }; // the second with a Cyrillic о, as in the course's text
  if (action === "contact_list" || action === "user_list") {
    const name = readText(said, "contact");
    return name === undefined ? undefined : { type: action === "contact_list" ? "contact" : "user", name };
  }
  const known = typeof action === "string" ? actionOf(action) : undefined;
  if (known === "msg") return parseMessage(said, time);
  if (known !== "presence") return undefined;
  const name = readText(said, "name");
  const status = readText(said, "status");
  return name === undefined
    ? undefined
    : { type: "presence", time, name, online: said.online !== false, ...optional("status", status) };
}

function parseMessage(object: JsonObject, time: number): Event | undefined {
  const from = readText(object, "from");
  const text = readText(object, "text");
  if (from === undefined || text === undefined) return undefined;
  const to = readText(object, "to");
  return {
    type: "msg",
    ...optional("id", isCount(object.id) ? object.id : undefined),
    time,
    from,
    to: to === undefined || BROADCASTS.has(to) ? EVERYONE : to,
    text,
  };
}

/** The code of an answer: a number, or a string that begins with one of three digits. */
function readCode(object: JsonObject, places: readonly string[]): number | undefined {
  for (const place of places) {
    const value = at(object, place);
    const code = typeof value === "string" ? Number(/^\d{3}(?!\d)/.exec(value)?.[0] ?? NaN) : value;
    if (isCount(code) && code >= 100 && code <= 999) return code;
  }
  return undefined;
}

/**
 * The `time` of an object in UNIX seconds, which some programs write in ms, µs or ns, as a string or as a date; undefined
 * if it is none of these.
 */
export function readTime(object: JsonObject): number | undefined {
  const value = PLACES.time.map((place) => at(object, place)).find((value) => value !== undefined);
  const text = typeof value === "string" ? value.trim() : "";
  const number = typeof value === "number" ? value : text === "" ? NaN : Number(text);
  if (Number.isFinite(number) && number >= 0) {
    return number / (number > 1e17 ? 1e9 : number > 1e14 ? 1e6 : number > 1e11 ? 1e3 : 1);
  }
  const [, day, month, year, clock] = /^(\d\d)\.(\d\d)\.(\d{4}) (\d\d:\d\d:\d\d)$/.exec(text) ?? [];
  const date = Date.parse(
    day === undefined ? text.replace(/-(\d\d)\.(\d\d)\.(\d\d)$/, " $1:$2:$3") : `${year}-${month}-${day}T${clock}`,
  );
  return Number.isNaN(date) ? undefined : date / 1000;
}

// --- Bytes -----------------------------------------------------------------------------------------------------------

const encoder = new TextEncoder();
/** Larger than almost any object. */
const scratch = new Uint8Array(4096);

/** An object as bytes: one line of JSON, raw UTF-8, ended by LF. */
export function encodeObject(object: JsonObject): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(object) + "\n";
  const { read, written } = encoder.encodeInto(text, scratch); // three times as fast as encode() where it is not all ASCII
  return read === text.length ? scratch.slice(0, written) : encodeText(text);
}

// --- Fields ----------------------------------------------------------------------------------------------------------

/** Puts a value in every place where the dialect has the field. */
function write(object: Record<string, unknown>, dialect: Dialect, field: Field, value: unknown): void {
  for (const place of dialect.fields[field]) {
    const dot = place.indexOf(".");
    if (dot === -1) object[place] = value;
    else {
      const outer = place.slice(0, dot);
      object[outer] = { ...(object[outer] as JsonObject | undefined), [place.slice(dot + 1)]: value };
    }
  }
}

/**
 * A string field from the first place that holds anything.
 * @throws {ProtocolError} if that is no string, or has more than `max` characters
 */
function readString(object: JsonObject, field: Field, max = Infinity): string | undefined {
  for (const place of PLACES[field]) {
    const value = at(object, place);
    if (value === undefined || (place === "user" && isObject(value))) continue;
    if (typeof value !== "string") {
      throw new ProtocolError(`${place} must be ${place === "user" ? "an object" : "a string"}`);
    }
    limit(place, value, max);
    return value;
  }
  return undefined;
}

/** A string field if there is one, for readers who take what they get. */
function readText(object: JsonObject, field: Field): string | undefined {
  return PLACES[field].map((place) => at(object, place)).find((value) => typeof value === "string");
}

function required(object: JsonObject, field: Field, value: string | undefined): string {
  if (value !== undefined) return value;
  const [place = ""] = A.fields[field];
  const [outer = ""] = place.split(".");
  const wrong = place !== outer && object[outer] !== undefined && !isObject(object[outer]);
  throw new ProtocolError(wrong ? `${outer} must be an object` : `${place} is missing`);
}

function limit(place: string, text: string, max: number): void {
  if (text.length <= max) return;
  const length = countCharacters(text);
  if (length > max) throw new ProtocolError(`${place} has ${length} characters: limit is ${max}`);
}

function check(place: string, fault: string | undefined): void {
  if (fault !== undefined) throw new ProtocolError(`${place} ${fault}`);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): { [key in Key]?: Value } {
  return (value === undefined ? {} : { [key]: value }) as { [key in Key]?: Value };
}

/** The object with its keys in lower case, those of objects directly within it too, and its action. */
function lowerCase(object: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => {
      const name = key.toLowerCase();
      if (name === "action" && typeof value === "string") return [name, value.toLowerCase()];
      return [name, isObject(value) ? lowerKeys(value) : value];
    }),
  );
}

function lowerKeys(object: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key.toLowerCase(), value]));
}

/** The object with its keys in capitals, those of objects directly within it too. */
function capitalise(object: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]) => [key.toUpperCase(), isObject(value) ? capitalise(value) : value]),
  );
}
