import fc from "fast-check";
import { A } from "../../lib/jim/dialects.ts";
import { type Answer, answerTo, type Event, LIMITS, type Request } from "../../lib/jim/messages.ts";
import { countCharacters, roomNameFault, userNameFault } from "../../lib/jim/names.ts";
import {
  encodeObject,
  formAnswer,
  formEvent,
  formPresence,
  formRequest,
  parseAnswer,
  parseEvent,
  parseRequest,
  readTime,
} from "../../lib/jim/protocol.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";

const TIME = 1763712000;

/** The request that an object asks for. */
function requestOf(object: Record<string, unknown>): Request {
  const { request, refusal } = parseRequest(object);
  assert(request !== undefined, refusal?.text ?? "");
  return request;
}

/** Why an object is refused. */
function refusalOf(object: Record<string, unknown>): string {
  const { refusal } = parseRequest(object);
  assert(refusal !== undefined, JSON.stringify(object));
  assertEquals(refusal.code, 400);
  return refusal.text;
}

// --- The functions of the exercise -----------------------------------------------------------------------------------

Deno.test("formPresence() is the object of the course's text", () => {
  assertEquals(formPresence("C0deMaver1ck", { time: TIME, status: "Yep, I am here!" }), {
    action: "presence",
    time: TIME,
    type: "status",
    user: { account_name: "C0deMaver1ck", status: "Yep, I am here!" },
  });
  assertEquals(formPresence("bob", { time: TIME }).user, { account_name: "bob" });
});

Deno.test("formRequest() forms every action of the course's text, and ours", () => {
  const user = { account_name: "bob", password: "secret" };
  for (
    const [request, object] of [
      [{ action: "authenticate", name: "bob", password: "secret" }, { action: "authenticate", time: TIME, user }],
      [{ action: "register", name: "bob", password: "secret" }, { action: "register", time: TIME, user }],
      [{ action: "msg", to: "#tea", text: "hi" }, { action: "msg", time: TIME, to: "#tea", from: "me", message: "hi" }],
      [{ action: "join", room: "#tea" }, { action: "join", time: TIME, room: "#tea" }],
      [{ action: "leave", room: "#tea" }, { action: "leave", time: TIME, room: "#tea" }],
      [{ action: "get_contacts" }, { action: "get_contacts", time: TIME }],
      [{ action: "add_contact", name: "bob" }, { action: "add_contact", time: TIME, user_id: "bob" }],
      [{ action: "del_contact", name: "bob" }, { action: "del_contact", time: TIME, user_id: "bob" }],
      [{ action: "get_users" }, { action: "get_users", time: TIME }],
      [{ action: "who", room: "#tea" }, { action: "who", time: TIME, room: "#tea" }],
      [{ action: "quit" }, { action: "quit", time: TIME }],
    ] as const
  ) {
    assertEquals<unknown>(formRequest(request, { time: TIME, from: "me" }), object);
  }
});

Deno.test("formAnswer() puts the text in alert up to 399 and in error from 400", () => {
  assertEquals(formAnswer(answerTo("msg", 202, { id: 7, time: TIME + 1 }), { time: TIME }), [
    { response: 202, time: TIME + 1, alert: "accepted", id: 7 },
  ]);
  assertEquals(formAnswer(answerTo("msg", 404), { time: TIME }), [
    { response: 404, time: TIME, error: "no such user or room" },
  ]);
});

Deno.test("formAnswer() counts the items of a list and appends them", () => {
  assertEquals(formAnswer(answerTo("get_contacts", 202, { names: ["bob", "eve"] }), { time: TIME }), [
    { response: 202, time: TIME, alert: "accepted", quantity: 2 },
    { action: "contact_list", user_id: "bob" },
    { action: "contact_list", user_id: "eve" },
  ]);
  assertEquals(formAnswer(answerTo("who", 202, { names: ["bob"] }), { time: TIME })[1], {
    action: "user_list",
    user_id: "bob",
  });
  const message = { type: "msg", id: 5, time: TIME - 9, from: "bob", to: "me", text: "hi" } as const;
  assertEquals(formAnswer(answerTo("history", 202, { messages: [message] }), { time: TIME }), [
    { response: 202, time: TIME, alert: "accepted", quantity: 1 },
    { action: "msg", time: TIME - 9, to: "me", from: "bob", message: "hi", id: 5 },
  ]);
  for (const more of [{ names: [] }, { messages: [] }]) {
    assertEquals(formAnswer(answerTo("who", 202, more), { time: TIME })[0]!.quantity, 0);
  }
  assertEquals(formAnswer(answerTo("who", 200), { time: TIME })[0]!.quantity, undefined);
});

Deno.test("parseAnswer() reads answers however they were spelled", () => {
  for (
    const object of [
      { response: 404, error: "nobody" },
      { response: "404", error: "nobody" },
      { response: "404 nobody", alert: "nobody" },
      { code: 404, time: 1, error: "nobody" },
      { action: "response", code: 404, user: null, to: null, message: "nobody" },
      { reply: 404, info: "nobody" },
      { status: "404 Not Found", error: "nobody" },
      { RESPONSE: 404, ERROR: "nobody" },
      { action: "authenticate", response: 404, error: "nobody" },
    ]
  ) {
    const { code, text } = parseAnswer(object)!;
    assertEquals({ code, text }, { code: 404, text: "nobody" }, JSON.stringify(object));
  }
  assertEquals(parseAnswer({ response: 200 }), { code: 200, text: "OK" });
  assertEquals(parseAnswer({ response: 299 }), { code: 299, text: "" });
});

Deno.test("parseAnswer() takes nothing else for an answer", () => {
  for (
    const object of [
      {},
      { action: "msg", message: "200" },
      { action: "msg", code: null },
      { response: null },
      { response: 20 },
      { response: 200.5 },
      { response: "2000" },
      { response: "OK" },
      { response: [200] },
      { response: -200 },
      { response: 1e300 },
    ]
  ) assertEquals(parseAnswer(object), undefined, JSON.stringify(object));
});

Deno.test("parseAnswer() reads lists in one object", () => {
  for (
    const object of [
      { response: 202, data_list: ["bob", "eve"] },
      { response: 202, alert: ["bob", "eve"] },
      { action: "response", code: 200, message: ["bob", 7, "eve"] },
    ]
  ) assertEquals(parseAnswer(object)!.names, ["bob", "eve"]);
});

// --- What is refused -------------------------------------------------------------------------------------------------

const PRESENCE = { action: "presence", time: TIME, user: { account_name: "bob" } };
const MESSAGE = { action: "msg", time: TIME, to: "bob", from: "me", message: "hi" };

Deno.test("parseRequest() refuses an action that is missing, unknown, too long or no string", () => {
  assertEquals(refusalOf({}), "action is missing");
  assertEquals(refusalOf({ action: null }), "action is missing");
  for (const action of [1, true, [], {}]) assertEquals(refusalOf({ action }), "action must be a string");
  assertStringIncludes(refusalOf({ action: "dance" }), "unknown action: there are presence, ");
  assertStringIncludes(refusalOf({ action: "" }), "unknown action");
  assertStringIncludes(refusalOf({ action: "x".repeat(15) }), "unknown action");
  assertEquals(refusalOf({ action: "x".repeat(16) }), "action has 16 characters: limit is 15");
  for (const action of ["constructor", "__proto__", "toString", "probe"]) {
    assertStringIncludes(refusalOf({ action }), "unknown action");
  }
});

Deno.test("parseRequest() refuses wrong types in every field and tells which", () => {
  const wrong = [1, 1.5, true, [], ["bob"], {}];
  for (const value of wrong) {
    for (
      const [object, field] of [
        [{ ...PRESENCE, user: { account_name: value } }, "user.account_name must be a string"],
        [{ ...PRESENCE, user: { account_name: "bob", status: value } }, "user.status must be a string"],
        [{ ...PRESENCE, user: { account_name: "bob", password: value } }, "user.password must be a string"],
        [{ action: "authenticate", user: { account_name: "bob", password: value } }, "user.password must be a string"],
        [{ ...MESSAGE, to: value }, "to must be a string"],
        [{ ...MESSAGE, message: value }, "message must be a string"],
        [{ action: "join", room: value }, "room must be a string"],
        [{ action: "leave", room: value }, "room must be a string"],
        [{ action: "who", room: value }, "room must be a string"],
        [{ action: "add_contact", user_id: value }, "user_id must be a string"],
        [{ action: "del_contact", user_id: value }, "user_id must be a string"],
        [{ action: "history", with: value }, "with must be a string"],
        [{ action: "message", mess_text: value, to: "bob" }, "mess_text must be a string"],
      ] as const
    ) assertEquals(refusalOf(object), field);
  }
  for (const user of [1, true, []]) assertEquals(refusalOf({ ...PRESENCE, user }), "user must be an object");
  for (const after of ["1", 1.5, -1, {}, null]) {
    assertEquals(refusalOf({ action: "history", after }), "after must be the id of a message");
  }
  for (const limit of ["1", 1.5, 0, 101, -1, {}, null]) {
    assertEquals(refusalOf({ action: "history", limit }), "limit must be a whole number from 1 to 100");
  }
});

Deno.test("parseRequest() refuses a new password that is empty", () => {
  const user = { account_name: "bob", password: "" };
  assertEquals(refusalOf({ action: "register", user }), "user.password is empty");
  assertEquals(requestOf({ action: "authenticate", user }), { action: "authenticate", name: "bob", password: "" });
});

Deno.test("parseRequest() refuses what is missing and tells what", () => {
  for (
    const [object, text] of [
      [{ action: "presence" }, "user.account_name is missing"],
      [{ action: "presence", user: {} }, "user.account_name is missing"],
      [{ action: "presence", user: { account_name: null } }, "user.account_name is missing"],
      [{ action: "authenticate", user: { account_name: "bob" } }, "user.password is missing"],
      [{ action: "register", user: { account_name: "bob" } }, "user.password is missing"],
      [{ action: "msg", message: "hi" }, "to is missing"],
      [{ action: "msg", to: "bob" }, "message is missing"],
      [{ action: "join" }, "room is missing"],
      [{ action: "leave" }, "room is missing"],
      [{ action: "add_contact" }, "user_id is missing"],
      [{ action: "del_contact" }, "user_id is missing"],
    ] as const
  ) assertEquals(refusalOf(object), text);
});

Deno.test("parseRequest() never refuses a time", () => {
  for (const time of [undefined, null, 0, -1, 1.5, 1e300, "now", "1763712000", [], {}, true, 1763712000123456789]) {
    assertEquals(requestOf({ ...MESSAGE, time }).action, "msg");
    assertEquals(requestOf({ ...PRESENCE, time }).action, "presence");
  }
});

for (const [unit, character] of [["ASCII", "x"], ["Cyrillic", "я"], ["emoji", "😀"]] as const) {
  Deno.test(`parseRequest() counts characters: ${unit} at and over each limit`, () => {
    const of = (length: number) => character.repeat(length);
    const name = (length: number) => ({ ...PRESENCE, user: { account_name: of(length) } });
    const status = (length: number) => ({ ...PRESENCE, user: { account_name: "bob", status: of(length) } });
    const message = (length: number) => ({ ...MESSAGE, message: of(length) });
    const room = (length: number) => ({ action: "join", room: `#${of(length - 1)}` });
    const to = (length: number) => ({ ...MESSAGE, to: of(length) });
    const contact = (length: number) => ({ action: "add_contact", user_id: of(length) });
    const password = (length: number) => ({ action: "register", user: { account_name: "bob", password: of(length) } });
    for (
      const [object, max, field] of [
        [name, 25, "user.account_name"],
        [status, 128, "user.status"],
        [message, 500, "message"],
        [room, 25, "room"],
        [to, 25, "to"],
        [contact, 25, "user_id"],
        [password, 128, "user.password"],
      ] as const
    ) {
      requestOf(object(max));
      assertEquals(refusalOf(object(max + 1)), `${field} has ${max + 1} characters: limit is ${max}`);
    }
  });
}

Deno.test("parseRequest() refuses names with what cannot be seen, and rooms where users belong", () => {
  for (
    const name of [
      "a\nb",
      "a\0",
      "\x1b[31m",
      "a\x7f",
      "a\x9bb",
      "\u202eevil",
      "\u2066x",
      "a\u200bb",
      "a\u200db",
      "\ufeffa",
      "a\u2028b",
      "a\u00adb",
      "\ud800",
      "\ue000",
      ...["bob\u034f", "bob\ufe0f", "bob\u3164", "bob\u2800", "b\u115fob"], // all look like bob
      ...["a\u00a0b", "a\u2003b"], // and these like "a b"
    ]
  ) {
    assertStringIncludes(refusalOf({ ...PRESENCE, user: { account_name: name } }), "invisible");
    assertStringIncludes(refusalOf({ action: "join", room: `#${name}` }), "invisible");
    assertStringIncludes(refusalOf({ ...MESSAGE, to: name }), "invisible");
  }
  assertEquals(refusalOf({ ...PRESENCE, user: { account_name: "" } }), "user.account_name is empty");
  assertEquals(
    refusalOf({ ...PRESENCE, user: { account_name: " bob" } }),
    "user.account_name begins or ends with a space",
  );
  assertEquals(
    refusalOf({ ...PRESENCE, user: { account_name: "#tea" } }),
    "user.account_name begins with #, which is for rooms",
  );
  assertEquals(refusalOf({ action: "add_contact", user_id: "#tea" }), "user_id begins with #, which is for rooms");
  assertEquals(refusalOf({ action: "join", room: "tea" }), "room does not begin with #");
  assertEquals(
    refusalOf({ ...PRESENCE, user: { account_name: "_BROADCAST" } }),
    "user.account_name stands for everybody",
  );
  for (const room of ["#all", "#"]) assertStringIncludes(refusalOf({ action: "join", room }), "everybody is in #all");
});

Deno.test("parseRequest() gives the same name for both spellings of a character, NFC and NFD", () => {
  const [nfc, nfd] = ["йод", "йод".normalize("NFD")];
  assert(nfc !== nfd);
  assertEquals(requestOf({ ...PRESENCE, user: { account_name: nfd } }), { action: "presence", name: nfc });
  assertEquals(requestOf({ ...MESSAGE, to: nfd }), { action: "msg", to: nfc, text: "hi" });
  assertEquals(requestOf({ action: "join", room: `#${nfd}` }), { action: "join", room: `#${nfc}` });
  assertEquals(requestOf({ action: "add_contact", user_id: nfd }), { action: "add_contact", name: nfc });
  assertEquals(requestOf({ action: "history", with: nfd }), { action: "history", with: nfc, limit: 50 });
  // 25 characters, each of two code points until they are composed.
  requestOf({ ...PRESENCE, user: { account_name: "й".normalize("NFD").repeat(25) } });
});

Deno.test("parseRequest() keeps a message's text as it is, but for lone surrogates", () => {
  for (const text of ["", " x ", "\x1b[31m", "\u202e", "a\nb", "й".normalize("NFD"), "😀"]) {
    assertEquals(requestOf({ ...MESSAGE, message: text }), { action: "msg", to: "bob", text });
  }
  assertEquals(requestOf({ ...MESSAGE, message: "\ud83d" }), { action: "msg", to: "bob", text: "\ufffd" });
  const user = { account_name: "bob", status: "\udc00" };
  assertEquals(requestOf({ ...PRESENCE, user }), { action: "presence", name: "bob", status: "\ufffd" });
});

Deno.test("parseRequest() takes an answer of the client for a sign of life", () => {
  for (const object of [{ response: 200 }, { code: 200, alert: "" }, { response: "200", time: 1 }]) {
    assertEquals(requestOf(object), { action: "probe-answer" });
  }
});

Deno.test("parseRequest() knows the look-alike letters and the misspelling that are copied around", () => {
  const CYRILLIC = { a: "а", c: "с", e: "е", o: "о", p: "р", x: "х", y: "у" } as Record<string, string>;
  for (const action of ["presence", "leave", "get_contacts", "quit"]) {
    const spelled = action.replace(/[aceopxy]/g, (letter) => CYRILLIC[letter]!);
    assertEquals(requestOf({ ...PRESENCE, room: "#tea", action: spelled }).action as string, action);
  }
  assertEquals(requestOf({ ...PRESENCE, action: "presense" }).action, "presence");
  assertEquals(parseEvent({ action: "prоbe", time: 5 }), { type: "probe", time: 5 });
});

// --- Unknown fields --------------------------------------------------------------------------------------------------

Deno.test("parseRequest() keeps unknown fields of a message, formEvent() hands them on", () => {
  const request = requestOf({ ...MESSAGE, encoding: "utf-8", mood: { level: 3 } });
  const extra = { encoding: "utf-8", mood: { level: 3 } };
  assertEquals(request, { action: "msg", to: "bob", text: "hi", extra });
  const event = { type: "msg", time: TIME, from: "eve", to: "bob", text: "hi", extra } as const;
  assertEquals(formEvent(event), { action: "msg", time: TIME, to: "bob", from: "eve", message: "hi", ...extra });
});

Deno.test("parseRequest() keeps no field that another dialect would believe", () => {
  const lies = {
    ...{ response: 200, code: 200, reply: 200, status: "200", RESPONSE: 200, error: "x", alert: "x" },
    ...{ sender: "boss", from_: "boss", account_name: "boss", user: "boss", login: "boss", From: "boss" },
    ...{
      mess_text: "x",
      message_text: "x",
      message_txt: "x",
      destination: "all",
      id: 1,
      timestamp: 1,
      ["__proto__"]: 1,
    },
    ...{ "re\u017fponse": 200, "me\u00dfage": "x", "act\u0131on": "probe" }, // in capitals: RESPONSE, MESSAGE, ACTION
  };
  assertEquals(requestOf({ ...MESSAGE, ...lies }), { action: "msg", to: "bob", text: "hi" });
});

Deno.test("parseRequest() refuses more than 512 characters of unknown fields", () => {
  const of = (length: number) => ({ ...MESSAGE, extra: "x".repeat(length - '{"extra":""}'.length) });
  requestOf(of(512));
  assertEquals(refusalOf(of(513)), "the unknown fields have 513 characters: limit is 512");
});

// --- Times -----------------------------------------------------------------------------------------------------------

Deno.test("readTime() gives seconds of all that was seen on the wire", () => {
  for (
    const time of [
      1763712000,
      1763712000.0,
      "1763712000",
      " 1763712000.0 ",
      1763712000_000,
      1763712000_000_000,
      1763712000_000_000_000,
      "2025-11-21T08:00:00Z",
    ]
  ) assertEquals(readTime({ time }), TIME, String(time));
  assertEquals(readTime({ timestamp: TIME }), TIME);
  for (const [most, unit] of [[1e11, 1], [1e14, 1e3], [1e17, 1e6]] as const) {
    assertEquals(readTime({ time: most }), most / unit);
    assertEquals(readTime({ time: most + 1024 }), (most + 1024) / (1000 * unit));
  }
  // Without a zone they are local times: what zone the test runs in does not matter.
  const local = new Date(2025, 10, 21, 8, 30, 5).getTime() / 1000;
  for (
    const time of ["21.11.2025 08:30:05", "Fri Nov 21 08:30:05 2025", "2025-11-21-08.30.05", "2025-11-21 08:30:05"]
  ) {
    assertEquals(readTime({ time }), local, time);
  }
  for (const time of [undefined, null, "", "soon", -5, {}, [], true, "1e999"]) {
    assertEquals(readTime({ time }), undefined, String(time));
  }
});

// --- There and back --------------------------------------------------------------------------------------------------

const userNames = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((name) => name.normalize("NFC"))
  .filter((name) => userNameFault(name) === undefined && name !== "_BROADCAST");
const roomNames = userNames.map((name) => `#${name}`).filter((name) =>
  name !== "#all" && roomNameFault(name) === undefined
);
const texts = fc.string({ unit: "grapheme", maxLength: 60 }).map((text) => text.toWellFormed());
const ids = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const times = fc.integer({ min: 0, max: 4e9 });

const requests: fc.Arbitrary<Request> = fc.oneof(
  fc.record({ action: fc.constant("presence"), name: userNames, status: texts, password: texts }, {
    requiredKeys: ["action", "name"],
  }),
  fc.record({ action: fc.constant("authenticate"), name: userNames, password: texts }),
  fc.record({ action: fc.constant("register"), name: userNames, password: texts.filter((text) => text !== "") }),
  fc.record({ action: fc.constant("msg"), to: fc.oneof(userNames, roomNames, fc.constant("#all")), text: texts }),
  fc.record({ action: fc.constantFrom("join", "leave"), room: roomNames }),
  fc.record({ action: fc.constantFrom("add_contact", "del_contact"), name: userNames }),
  fc.record({ action: fc.constantFrom("get_contacts", "get_users", "quit", "probe-answer") }),
  fc.record({ action: fc.constant("who"), room: roomNames }, { requiredKeys: ["action"] }),
  fc.record({
    action: fc.constant("history"),
    with: fc.oneof(userNames, roomNames),
    after: ids,
    limit: fc.integer({ min: 1, max: LIMITS.history }),
  }, { requiredKeys: ["action", "limit"] }),
) as fc.Arbitrary<Request>;
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ type: fc.constant("msg"), id: ids, time: times, from: userNames, to: userNames, text: texts }, {
    requiredKeys: ["type", "time", "from", "to", "text"],
  }),
  fc.record({ type: fc.constant("probe"), time: times }),
  fc.record({ type: fc.constant("presence"), time: times, name: userNames, online: fc.boolean(), status: texts }, {
    requiredKeys: ["type", "time", "name", "online"],
  }),
  fc.record({ type: fc.constantFrom("contact", "user"), name: userNames }),
) as fc.Arbitrary<Event>;

const overTheWire = (object: unknown) => JSON.parse(new TextDecoder().decode(encodeObject(object as never)));

Deno.test("what a client asks, the server reads", () => {
  fc.assert(fc.property(requests, times, userNames, (request, time, from) => {
    assertEquals(requestOf(overTheWire(formRequest(request, { time, from }))), request);
  }));
});

Deno.test("what a server tells, the client reads", () => {
  fc.assert(fc.property(events, (event) => {
    const object = overTheWire(formEvent(event));
    assertEquals(parseAnswer(object), undefined);
    assertEquals(parseEvent(object), event);
  }));
});

Deno.test("what a server answers, the client reads", () => {
  const answers: fc.Arbitrary<Answer> = fc.record({
    code: fc.integer({ min: 100, max: 599 }),
    text: texts,
    id: ids,
    time: times,
  }, { requiredKeys: ["code", "text", "time"] });
  fc.assert(fc.property(answers, (answer) => {
    assertEquals(parseAnswer(overTheWire(formAnswer(answer, { time: 1 })[0])), answer);
  }));
});

Deno.test("parseRequest(), parseAnswer() and parseEvent() take any object and throw nothing", () => {
  const keys = fc.constantFrom(
    ...["action", "user", "to", "from", "message", "mess_text", "room", "user_id", "time", "code", "response", "with"],
    ...["ACTION", "USER", "RESPONSE", "after", "limit", "account_name", "destination", "__proto__", "constructor"],
  );
  const words = fc.constantFrom(
    "presence",
    "msg",
    "message",
    "join",
    "history",
    "add",
    "exit",
    "contact_list",
    "to_all",
  );
  const values = fc.oneof(
    words,
    fc.jsonValue(),
    fc.dictionary(fc.constantFrom("account_name", "status"), fc.jsonValue()),
  );
  fc.assert(
    fc.property(fc.dictionary(keys, values), fc.option(words), (object, action) => {
      const asked = action === null ? object : { ...object, action };
      const { request, refusal } = parseRequest(asked);
      assert((request === undefined) !== (refusal === undefined));
      if (request !== undefined && "text" in request) assert(countCharacters(request.text) <= LIMITS.message);
      parseAnswer(asked);
      parseEvent(asked);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("encodeObject() writes one line of raw UTF-8", () => {
  const bytes = encodeObject({ a: "й\n😀", b: [1] });
  assertEquals(new TextDecoder().decode(bytes), '{"a":"й\\n😀","b":[1]}\n');
  for (const character of ["x", "й", "😀"]) {
    for (const length of [1000, 1020, 2040, 4080, 4090, 5000, 70_000]) {
      const text = character.repeat(length);
      assertEquals(new TextDecoder().decode(encodeObject({ a: text })), `{"a":"${text}"}\n`);
    }
  }
});

Deno.test("a legal message of dialect A fits the 640 characters of the course's text", () => {
  const object = formRequest({ action: "msg", to: "я".repeat(25), text: "я".repeat(500) }, {
    time: TIME,
    from: "я".repeat(25),
    dialect: A,
  });
  assert(JSON.stringify(object).length <= LIMITS.strictObject);
});
