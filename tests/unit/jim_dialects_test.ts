import fc from "fast-check";
import { concat } from "@std/bytes";
import { A, ACTIONS, type Dialect, type DialectName, DIALECTS, PLACES, recognise } from "../../lib/jim/dialects.ts";
import { answerTo, type Code, CODES, EVERYONE, LIMITS, type Message, type Request } from "../../lib/jim/messages.ts";
import { userNameFault } from "../../lib/jim/names.ts";
import { formAnswer, formEvent, formRequest, parseAnswer, parseEvent, parseRequest } from "../../lib/jim/protocol.ts";
import { ClientWire, ServerWire } from "../../lib/jim/wire.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { TruncatedError } from "../../lib/errors.ts";

const TIME = 1763712000;
const now = () => TIME * 1000;
const bytesOf = (text: string) => new TextEncoder().encode(text);

function dialectNamed(name: DialectName): Dialect {
  return DIALECTS.find((dialect) => dialect.name === name)!;
}

/** A server's end that has heard these objects, as one `send` for each. */
function wireAfter(...objects: readonly (object | string)[]): ServerWire {
  const wire = new ServerWire({ now });
  for (const object of objects) {
    wire.receive(bytesOf(typeof object === "string" ? object : JSON.stringify(object)));
    while (wire.next() !== undefined);
  }
  return wire;
}

function objectsIn(lines: readonly Uint8Array[]): Record<string, unknown>[] {
  return lines.map((line) => {
    const text = new TextDecoder().decode(line);
    assert(text.endsWith("}\n") && text.indexOf("\n") === text.length - 1);
    return JSON.parse(text);
  });
}

const message: Message = { type: "msg", id: 7, time: TIME, from: "eve", to: "bob", text: "hi" };

// --- The programs of each dialect: what they send, and what they must get ---------------------------------------------

/** The objects that programs of a dialect send at first, and what they mean. */
const PEERS: readonly {
  readonly name: string;
  readonly dialect: DialectName;
  readonly sends: readonly object[];
  readonly means: readonly Request[];
}[] = [
  {
    name: "the course's text",
    dialect: "A",
    sends: [
      { action: "presence", time: TIME, type: "status", user: { account_name: "bob", status: "here" } },
      { action: "msg", time: TIME, to: "eve", from: "bob", encoding: "ascii", message: "hi" },
    ],
    means: [
      { action: "presence", name: "bob", status: "here" },
      { action: "msg", to: "eve", text: "hi", extra: { encoding: "ascii" } },
    ],
  },
  {
    name: "contacts as the original assignment has them, time as a string",
    dialect: "A",
    sends: [
      { action: "presence", time: "1763712000", user: { account_name: "bob" } },
      { action: "get_contacts", time: "1763712000" },
      { action: "add_contact", user_id: "eve", time: "1763712000" },
      { action: "msg", time: "1763712000", to: "eve", from: "bob", message: "hi" },
    ],
    means: [
      { action: "presence", name: "bob" },
      { action: "get_contacts" },
      { action: "add_contact", name: "eve" },
      { action: "msg", to: "eve", text: "hi" },
    ],
  },
  {
    name: "client_name, and # for everybody",
    dialect: "A",
    sends: [
      { action: "presence", time: TIME + 0.5, type: "status", user: { client_name: "bob", status: "" } },
      { action: "msg", time: TIME + 0.5, to: "#", from: "bob", message: "hi" },
    ],
    means: [{ action: "presence", name: "bob", status: "" }, { action: "msg", to: EVERYONE, text: "hi" }],
  },
  {
    name: "user_id is the client and contact_name the contact",
    dialect: "A",
    sends: [
      { action: "presence", time: TIME, user: { account_name: "bob", password: "secret" } },
      { action: "add_contact", time: TIME, user_id: "bob", contact_name: "eve" },
      { action: "join", time: TIME, room: "#tea" },
    ],
    means: [
      { action: "presence", name: "bob", password: "secret" },
      { action: "add_contact", name: "eve" },
      { action: "join", room: "#tea" },
    ],
  },
  {
    name: "the consoles of lessons 7 and 8",
    dialect: "B",
    sends: [
      { action: "presence", time: TIME + 0.25, user: { account_name: "bob" } },
      { action: "message", sender: "bob", to: "eve", time: TIME + 0.25, mess_text: "hi" },
      { action: "message", from: "bob", time: TIME + 0.25, mess_text: "all" },
      { action: "exit", time: TIME + 0.25, account_name: "bob" },
    ],
    means: [
      { action: "presence", name: "bob" },
      { action: "msg", to: "eve", text: "hi" },
      { action: "msg", to: EVERYONE, text: "all" },
      { action: "quit" },
    ],
  },
  {
    name: "acc_name",
    dialect: "B",
    sends: [{ action: "presence", time: TIME, user: { acc_name: "bob", status: "" } }],
    means: [{ action: "presence", name: "bob", status: "" }],
  },
  {
    name: "the last lessons, with windows",
    dialect: "B+",
    sends: [
      { action: "presence", time: TIME + 0.25, user: { account_name: "bob", pubkey: "PEM" } },
      { action: "get_users", time: TIME + 0.25, account_name: "bob" },
      { action: "get_contacts", time: TIME + 0.25, user: "bob" },
      { action: "add", time: TIME + 0.25, user: "bob", account_name: "eve" },
      { action: "remove", time: TIME + 0.25, user: "bob", account_name: "eve" },
      { action: "message", from: "bob", to: "eve", time: TIME + 0.25, mess_text: "hi" },
    ],
    means: [
      { action: "presence", name: "bob" },
      { action: "get_users" },
      { action: "get_contacts" },
      { action: "add_contact", name: "eve" },
      { action: "del_contact", name: "eve" },
      { action: "msg", to: "eve", text: "hi" },
    ],
  },
  {
    name: "the same without keys",
    dialect: "B+",
    sends: [
      { action: "presence", time: TIME + 0.25, user: { account_name: "bob" } },
      { action: "get_users", time: TIME + 0.25, account_name: "bob" },
    ],
    means: [{ action: "presence", name: "bob" }, { action: "get_users" }],
  },
  {
    name: "code, destination, message_text",
    dialect: "C",
    sends: [
      { action: "presence", time: TIME + 0.5, type: "status", user: { account_name: "bob", status: "here" } },
      { action: "message", time: TIME + 0.5, account_name: "bob", destination: "eve", message_text: "hi" },
      { action: "to_all", time: TIME + 0.5, account_name: "bob", message_text: "all" },
      { action: "exit", time: TIME + 0.5, account_name: "bob" },
    ],
    means: [
      { action: "presence", name: "bob", status: "here" },
      { action: "msg", to: "eve", text: "hi" },
      { action: "msg", to: EVERYONE, text: "all" },
      { action: "quit" },
    ],
  },
  {
    name: "the talker: all six keys, always",
    dialect: "D",
    sends: [
      { action: "presence", time: TIME + 0.5, user: "bob", to: null, code: null, message: null },
      { action: "msg", time: TIME + 0.5, user: "bob", to: "eve", code: null, message: "hi" },
      { action: "add_contact", time: TIME + 0.5, user: "bob", to: "eve", code: null, message: null },
      { action: "get_contacts", time: TIME + 0.5, user: "bob", to: null, code: null, message: null },
    ],
    means: [
      { action: "presence", name: "bob" },
      { action: "msg", to: "eve", text: "hi" },
      { action: "add_contact", name: "eve" },
      { action: "get_contacts" },
    ],
  },
  {
    name: "capitals",
    dialect: "E",
    sends: [{ ACTION: "PRESENCE", TIME: TIME + 0.5, USER: { ACCOUNT_NAME: "bob" } }],
    means: [{ action: "presence", name: "bob" }],
  },
];

for (const { name, dialect, sends, means } of PEERS) {
  Deno.test(`dialect ${dialect}, ${name}: is understood and recognised`, () => {
    const wire = new ServerWire({ now });
    sends.forEach((object, i) => {
      wire.receive(bytesOf(JSON.stringify(object)));
      assertEquals(wire.next(), { type: "request", request: means[i]! });
      assertEquals(wire.next(), undefined);
    });
    assertEquals(wire.dialect.name, dialect);
  });

  Deno.test(`dialect ${dialect}, ${name}: stays what it is, whatever comes later`, () => {
    const wire = wireAfter(...sends, ...PEERS.flatMap(({ sends }) => sends));
    assertEquals(wire.dialect.name, dialect);
  });
}

Deno.test("a dialect is recognised by what only its programs write", () => {
  for (
    const [object, name] of [
      [{ action: "message", destination: "eve", message: "hi" }, "C"],
      [{ action: "message", destination: "eve", mess_text: "hi" }, "B"],
      [{ action: "get_contacts", time: TIME, user: "bob", to: null, code: null, message: null }, "D"],
      [{ action: "get_contacts", time: TIME, user: "bob" }, "B+"],
      [{ action: "get_contacts", time: TIME, user_id: "bob" }, undefined],
      [{ code: 200, alert: "" }, undefined],
      [{ action: "presence", time: TIME, type: "status", user: { account_name: "bob", status: "" } }, undefined],
      [{ action: "exit", time: TIME, account_name: "bob" }, undefined],
      [{ action: "msg", to: "eve", message: "hi" }, "A"],
      [{ ACTION: "presence" }, "E"],
    ] as const
  ) assertEquals(recognise(object)?.name, name, JSON.stringify(object));
});

Deno.test("the programs of B+ look once a second for what they did not ask for", () => {
  assertEquals(DIALECTS.filter(({ pollInterval }) => pollInterval > 1000).map(({ name }) => name), ["B+"]);
});

Deno.test("further spellings that were met are understood", () => {
  const cases: [object, Request][] = [
    [{ action: "auth", user: { account_name: "bob", password: "x" } }, {
      action: "authenticate",
      name: "bob",
      password: "x",
    }],
    [{ action: "login", login: "bob", password: "x" }, { action: "authenticate", name: "bob", password: "x" }],
    [{ action: "presence", user: { login: "bob" } }, { action: "presence", name: "bob" }],
    [{ action: "presence", user: { accaunt_name: "bob" } }, { action: "presence", name: "bob" }],
    [{ action: "presense", user: { account_name: "bob" } }, { action: "presence", name: "bob" }],
    [{ action: "msg", recipient: "eve", sender: "bob", message: "hi" }, { action: "msg", to: "eve", text: "hi" }],
    [{ action: "msg", message_receiver: "eve", message_txt: "hi" }, { action: "msg", to: "eve", text: "hi" }],
    [{ action: "msg", from_: "bob", to_: "eve", message: "hi" }, { action: "msg", to: "eve", text: "hi" }],
    [{ action: "send_message", contact_login: "eve", message: "hi" }, { action: "msg", to: "eve", text: "hi" }],
    [{ action: "msg", to: "_BROADCAST", message: "hi" }, { action: "msg", to: EVERYONE, text: "hi" }],
    [{ action: "msg", to: "#all", message: "hi" }, { action: "msg", to: EVERYONE, text: "hi" }],
    [{ action: "add_contact", login: "bob", contact_login: "eve" }, { action: "add_contact", name: "eve" }],
    [{ action: "add_contact", user: "bob", contact: "eve" }, { action: "add_contact", name: "eve" }],
    [{ action: "add_contact", target_user: { account_name: "eve" } }, { action: "add_contact", name: "eve" }],
    [{ action: "delete", user: "bob", account_name: "eve" }, { action: "del_contact", name: "eve" }],
    [{ action: "users_request", account_name: "bob" }, { action: "get_users" }],
  ];
  for (const [object, request] of cases) {
    assertEquals(parseRequest(object as never), { request }, JSON.stringify(object));
  }
});

Deno.test("the canonical field is read where there is one, and others only in its absence", () => {
  const object = { action: "msg", to: "eve", destination: "x", message: "hi", mess_text: "x", message_text: "x" };
  assertEquals(parseRequest(object).request, { action: "msg", to: "eve", text: "hi" });
  const mixed = { ...object, to: undefined, message: null };
  assertEquals(parseRequest(mixed).request, { action: "msg", to: "x", text: "x" });
});

// --- Answers ---------------------------------------------------------------------------------------------------------

Deno.test("the first answer to an ambiguous client is the superset of all dialects", () => {
  const wire = wireAfter({ action: "presence", time: TIME, type: "status", user: { account_name: "bob", status: "" } });
  assertEquals(objectsIn(wire.encode(answerTo("presence", 200))), [
    { response: 200, code: 200, time: TIME, alert: "OK" },
  ]);
  assertEquals(objectsIn(new ServerWire({ now }).encode(answerTo(undefined, 400))), [
    { response: 400, code: 400, time: TIME, error: "bad request" },
  ]);
});

Deno.test("an answer in each dialect", () => {
  const expected: Record<DialectName, readonly [created: object, conflict: object]> = {
    "A": [{ response: 201, time: TIME, alert: "created" }, { response: 409, time: TIME, error: "taken" }],
    "B": [{ response: 200, time: TIME, alert: "created" }, { response: 400, time: TIME, error: "taken" }],
    "B+": [{ response: 200, time: TIME, alert: "created" }, { response: 400, time: TIME, error: "taken" }],
    "C": [{ code: 200, time: TIME, alert: "created" }, { code: 400, time: TIME, error: "taken" }],
    "D": [
      { action: "response", time: TIME, user: null, to: null, code: 200, message: "created" },
      { action: "response", time: TIME, user: null, to: null, code: 409, message: "taken" },
    ],
    "E": [{ RESPONSE: 201, TIME, ALERT: "created" }, { RESPONSE: 409, TIME, ERROR: "taken" }],
  };
  for (const dialect of DIALECTS) {
    const [created, conflict] = expected[dialect.name];
    const options = { time: TIME, dialect };
    assertEquals<unknown>(formAnswer(answerTo("join", 201), options), [created]);
    assertEquals<unknown>(formAnswer(answerTo("presence", 409, { text: "taken" }), options), [conflict]);
  }
});

Deno.test("which messages are answered: all in A, B+ and E, only errors in C and D, none in B", () => {
  const answered = DIALECTS.map((dialect) => [
    dialect.name,
    formAnswer(answerTo("msg", 200), { time: TIME, dialect }).length,
    formAnswer(answerTo("msg", 404), { time: TIME, dialect }).length,
  ]);
  assertEquals<unknown>(answered, [["A", 1, 1], ["B", 0, 0], ["B+", 1, 1], ["C", 0, 1], ["D", 0, 1], ["E", 1, 1]]);
});

Deno.test("B, B+ and C get only codes that their programs know", () => {
  const known: Partial<Record<DialectName, number[]>> = {
    "B": [200, 400],
    "B+": [200, 400],
    "C": [200, 400, 402, 404],
  };
  for (const [name, codes] of Object.entries(known)) {
    const dialect = dialectNamed(name as DialectName);
    for (const code of Object.keys(CODES).map(Number) as Code[]) {
      const [object] = formAnswer(answerTo("join", code), { time: TIME, dialect });
      const told = object![dialect.fields.code[0]!] as number;
      assert(codes.includes(told), `${name}: ${code} is told as ${told}`);
      assertEquals(told < 400, code < 400);
    }
  }
});

Deno.test("a list of names in each dialect", () => {
  const answer = answerTo("get_contacts", 202, { names: ["eve", "йод"] });
  const list = (name: DialectName) => formAnswer(answer, { time: TIME, dialect: dialectNamed(name) });
  assertEquals<unknown>(list("A"), [
    { response: 202, time: TIME, alert: "accepted", quantity: 2 },
    { action: "contact_list", user_id: "eve" },
    { action: "contact_list", user_id: "йод" },
  ]);
  assertEquals<unknown>(list("B+"), [{ response: 202, time: TIME, alert: "accepted", data_list: ["eve", "йод"] }]);
  assertEquals<unknown>(list("C"), [{ code: 202, time: TIME, alert: ["eve", "йод"] }]);
  assertEquals<unknown>(list("D"), [
    { action: "response", time: TIME, user: null, to: null, code: 200, message: ["eve", "йод"] },
  ]);
  assertEquals<unknown>(list("E").slice(1), [
    { ACTION: "contact_list", USER_ID: "eve" },
    { ACTION: "contact_list", USER_ID: "йод" },
  ]);
});

Deno.test("a list in one object is cut where the client's read would end", () => {
  const names = Array.from({ length: 5000 }, (_, i) => `имя-${i}`);
  const dialect = dialectNamed("B+");
  const [object] = formAnswer(answerTo("get_users", 202, { names }), { time: TIME, dialect });
  const told = object!.data_list as string[];
  assertEquals(told, names.slice(0, told.length));
  const { length } = bytesOf(JSON.stringify(object));
  assert(length <= dialect.readSize && length > dialect.readSize - 300, `${length} bytes`);
});

// --- Events ----------------------------------------------------------------------------------------------------------

Deno.test("a message in each dialect", () => {
  const expected: Record<DialectName, object> = {
    "A": { action: "msg", time: TIME, to: "bob", from: "eve", message: "hi", id: 7 },
    "B": { action: "message", time: TIME, to: "bob", from: "eve", sender: "eve", mess_text: "hi", id: 7 },
    "B+": { action: "message", time: TIME, to: "bob", from: "eve", sender: "eve", mess_text: "hi", id: 7 },
    "C": { action: "message", time: TIME, destination: "bob", account_name: "eve", message_text: "hi", id: 7 },
    "D": { action: "msg", time: TIME, user: "eve", to: "bob", code: null, message: "hi", id: 7 },
    "E": { ACTION: "msg", TIME, TO: "bob", FROM: "eve", MESSAGE: "hi", ID: 7 },
  };
  for (const dialect of DIALECTS) {
    assertEquals<unknown>(formEvent(message, { dialect, receiver: "bob" }), expected[dialect.name]);
  }
});

Deno.test("B, B+ and C show only what is addressed to their user: the text names the room", () => {
  for (const dialect of DIALECTS) {
    const event = { ...message, to: "#tea" };
    const told = parseEvent(formEvent(event, { dialect, receiver: "bob" })!);
    const redirected = ["B", "B+", "C"].includes(dialect.name);
    assertEquals<unknown>(told, redirected ? { ...event, to: "bob", text: "[#tea] hi" } : event);
  }
});

Deno.test("a program of B, presumed from its bare presence, gets its messages before it has sent one", () => {
  const presence = { action: "presence", time: TIME + 0.5, user: { account_name: "bob" } };
  const guessed = wireAfter(presence);
  assertEquals(objectsIn(guessed.encode(message, "bob"))[0]!.mess_text, "hi");
  assertEquals(objectsIn(guessed.encode(answerTo("presence", 409)))[0], {
    ...{ response: 400, code: 400, time: TIME, error: "this name is already connected" },
  });
  const leaving = wireAfter(presence, { action: "exit", time: TIME + 0.5, account_name: "bob" });
  assertEquals(leaving.dialect.name, "B");
  // Whoever writes lines, an integer as time, a type or a status is not of B.
  for (
    const other of [
      JSON.stringify(presence) + "\n",
      { ...presence, time: TIME },
      { ...presence, type: "status" },
      { ...presence, user: { account_name: "bob", status: "x" } },
    ]
  ) assertEquals(objectsIn(wireAfter(other).encode(message, "bob"))[0]!.message, "hi");
});

Deno.test("probes go to programs of A only, the presence of others to those that read streams", () => {
  const probe = { type: "probe", time: TIME } as const;
  const presence = { type: "presence", time: TIME, name: "eve", online: true } as const;
  for (const { sends, dialect } of PEERS) {
    const wire = wireAfter(...sends);
    assertEquals(wire.probes, dialect === "A");
    assertEquals(wire.encode(probe).length, dialect === "A" ? 1 : 0);
    assertEquals(wire.encode(presence).length, 0);
  }
  const ambiguous = wireAfter(PEERS[0]!.sends[0]!);
  assert(!ambiguous.probes);
  const lines = wireAfter(JSON.stringify(PEERS[0]!.sends[0]) + "\n");
  assert(lines.probes);
  assertEquals(objectsIn(lines.encode(presence)), [
    { action: "presence", time: TIME, type: "status", user: { account_name: "eve" }, online: true },
  ]);
});

Deno.test("the bytes of an event are the same for all receivers of a dialect", () => {
  const [one, two] = [wireAfter(...PEERS[0]!.sends), wireAfter(...PEERS[1]!.sends)];
  const event = { ...message, to: "#tea" };
  assert(one.encode(event, "bob")[0] === two.encode(event, "eve")[0]);
  const console = wireAfter(...PEERS.find(({ dialect }) => dialect === "B")!.sends);
  assertEquals(objectsIn(console.encode(event, "bob"))[0]!.to, "bob");
  assertEquals(objectsIn(console.encode(event, "eve"))[0]!.to, "eve");
  assert(console.encode(message, "bob")[0] === console.encode(message, "bob")[0]);
});

Deno.test("the messages of a history come in parts too, and the answer counts the parts", () => {
  const text = "\u{1F600}".repeat(500);
  const messages = [1, 2].map((id) => ({ type: "msg", id, time: 1, from: "eve", to: "bob", text } as const));
  for (const [end, count] of [["", 8], ["\n", 2]] as const) {
    const wire = wireAfter(`{"action":"history","time":1}${end}`);
    const [head, ...lines] = wire.encode(answerTo("history", 202, { messages }));
    assertEquals([objectsIn([head!])[0]!.quantity, lines.length], [count, count]);
    if (end === "") { for (const { length } of lines) assert(length <= wire.dialect.readSize); }
    const parts = objectsIn(lines).map((object) => parseEvent(object) as Message);
    assertEquals(parts.map((part) => part.text).join(""), text + text);
  }
});

Deno.test("a message that one read of a client would not hold comes in parts, unless the client reads streams", () => {
  const text = "😀".repeat(500);
  const long = { ...message, text, extra: { note: "x".repeat(490) } };
  for (const { sends } of PEERS) {
    const wire = wireAfter(...sends);
    const lines = wire.encode(long, "bob");
    for (const { length } of lines) assert(length <= wire.dialect.readSize);
    const parts = objectsIn(lines).map((object) => parseEvent(object) as Message);
    assertEquals(parts.map((part) => part.text).join(""), text);
    assert(parts.every(({ text }) => text.isWellFormed()));
    assertEquals(lines.length, wire.dialect.readSize === 1024 ? 4 : 1);
  }
  const lines = wireAfter(JSON.stringify(PEERS[0]!.sends[0]) + "\n");
  assertEquals(objectsIn(lines.encode(long, "bob")).length, 1);
  // What nobody knows goes first.
  const short = { ...long, text: "x".repeat(500) };
  const [object, ...rest] = objectsIn(wireAfter(...PEERS[0]!.sends).encode(short, "bob"));
  assertEquals([object?.message, object?.note, rest], [short.text, undefined, []]);
});

// --- The table -------------------------------------------------------------------------------------------------------

Deno.test("every word of every dialect is read, and every place", () => {
  for (const { words, fields, name } of DIALECTS) {
    for (const [action, word] of Object.entries(words)) {
      const canonical = action === "contact" || action === "user" ? undefined : action;
      assertEquals<unknown>(ACTIONS.get(word), canonical, `${name}: ${word}`);
    }
    for (const [field, places] of Object.entries(fields)) {
      for (const place of places) assert(PLACES[field as keyof typeof PLACES].includes(place), `${name}: ${place}`);
    }
  }
});

const userNames = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((name) => name.normalize("NFC"))
  .filter((name) => userNameFault(name) === undefined && name !== "_BROADCAST");
const texts = fc.string({ unit: "grapheme", maxLength: 60 }).map((text) => text.toWellFormed());
const times = fc.integer({ min: 1, max: 4e9 });
const dialects = fc.constantFrom(...DIALECTS);
const requests = fc.oneof(
  fc.record({ action: fc.constant("presence"), name: userNames }),
  fc.record({ action: fc.constant("msg"), to: fc.oneof(userNames, fc.constant(EVERYONE)), text: texts }),
  fc.record({ action: fc.constantFrom("add_contact", "del_contact"), name: userNames }),
  fc.record({ action: fc.constantFrom("get_contacts", "get_users", "quit") }),
) as fc.Arbitrary<Request>;
const messages = fc.record({
  type: fc.constant("msg"),
  id: fc.nat(),
  time: times,
  from: userNames,
  to: userNames,
  text: texts,
}) as fc.Arbitrary<Message>;

Deno.test("what a client of any dialect asks, the server reads", () => {
  fc.assert(fc.property(requests, dialects, times, userNames, (request, dialect, time, from) => {
    const object = JSON.parse(JSON.stringify(formRequest(request, { time, from, dialect })));
    assertEquals(parseRequest(object), { request });
  }));
});

Deno.test("what a server tells in any dialect, the client reads", () => {
  fc.assert(fc.property(messages, dialects, (message, dialect) => {
    const object = JSON.parse(JSON.stringify(formEvent(message, { dialect, receiver: message.to })));
    assertEquals<unknown>(parseEvent(dialect.upperCase ? { ...object } : object)?.type, "msg");
    assertEquals(parseAnswer(object), undefined);
    assertEquals({ ...parseEvent(object) as Message, id: message.id! }, message);
  }));
});

Deno.test("what a server answers in any dialect, the client reads", () => {
  const codes = fc.constantFrom(...Object.keys(CODES).map(Number)) as fc.Arbitrary<Code>;
  fc.assert(fc.property(codes, texts, times, dialects, (code, text, time, dialect) => {
    const [object] = formAnswer(answerTo("join", code, { text }), { time, dialect });
    const expected = { code: dialect.codes[code] ?? code, text, time };
    assertEquals(parseAnswer(JSON.parse(JSON.stringify(object))), expected);
  }));
});

Deno.test("a program of any dialect is recognised by its first message at the latest", () => {
  fc.assert(fc.property(dialects, userNames, texts, times, (dialect, name, text, time) => {
    const template = dialect.template.event; // what it writes in every object
    const message = formRequest({ action: "msg", to: name, text }, { time, from: name, dialect });
    const found = recognise({ ...template, ...message });
    assertEquals(found?.name, dialect.name === "B+" ? "B" : dialect.name); // B+ asks for its lists before
  }));
});

// --- Two ends --------------------------------------------------------------------------------------------------------

Deno.test("ServerWire and ClientWire, joined and cut anywhere, understand each other", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
  const cut = (bytes: Uint8Array, sizes: readonly number[]) => {
    const chunks: Uint8Array[] = [];
    for (let start = 0, i = 0; start < bytes.length; i++) {
      chunks.push(bytes.subarray(start, start += sizes[i % sizes.length]!));
    }
    return chunks;
  };
  fc.assert(fc.property(fc.array(requests), fc.array(messages), sizes, (requests, messages, sizes) => {
    const [server, client] = [new ServerWire({ now }), new ClientWire()];
    const asked = requests.map((request) => client.encode(request, { time: TIME, from: "bob" }));
    const read: unknown[] = [];
    for (const chunk of cut(concat(asked), sizes)) {
      server.receive(chunk);
      for (let said; (said = server.next()) !== undefined;) read.push(said);
    }
    assertEquals(read, requests.map((request) => ({ type: "request", request })));
    if (requests.length > 0) assert(server.streams && server.dialect === A);
    const told = messages.map((message) => formEvent(message)!);
    const heard: unknown[] = [];
    const lines = messages.flatMap((message) => server.encode(message, "bob"));
    for (const chunk of cut(concat([...lines]), sizes)) {
      client.receive(chunk);
      for (let said; (said = client.next()) !== undefined;) heard.push(said);
    }
    if (requests.length > 0) {
      assertEquals(heard, messages.map((event, i) => ({ type: "event", event, object: told[i] })));
    }
    server.end();
    client.end();
  }));
});

Deno.test("ServerWire refuses what is no request and goes on", () => {
  const wire = new ServerWire({ now });
  const refusals = (bytes: Uint8Array) => {
    wire.receive(bytes);
    const texts: string[] = [];
    for (let said; (said = wire.next()) !== undefined;) {
      assert(said.type === "refusal" && !said.close && said.answer.code === 400);
      texts.push(said.answer.text);
    }
    return texts;
  };
  assertEquals(refusals(bytesOf("hello\n[1]\n7\n{]}\n")), [
    "this is no JSON object",
    "this is no JSON object",
    "this is no JSON object",
    "this is no JSON",
    "this is no JSON object",
  ]);
  assertEquals(refusals(bytesOf(`{"a":"${"x".repeat(LIMITS.object)}"}`)), [
    "an object is too large: limit is 65536 bytes",
  ]);
  assertEquals(refusals(bytesOf(`{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`)), [
    "an object is too deep: limit is 64 levels",
  ]);
  assertEquals(refusals(bytesOf('{"action":"dance","time":1}'))[0]!.slice(0, 14), "unknown action");
  wire.receive(bytesOf('{"action":"quit"}'));
  assertEquals(wire.next(), { type: "request", request: { action: "quit" } });
});

Deno.test("ServerWire refuses pickle and closes", () => {
  const wire = new ServerWire({ now });
  wire.receive(Uint8Array.of(0x80, 0x03, 0x7d));
  const said = wire.next();
  assert(said?.type === "refusal" && said.close);
  assertEquals(said.answer, { code: 400, text: "this is pickle, which is not read: send JSON" });
  assertEquals(wire.next(), undefined);
});

Deno.test("ServerWire reads windows-1251", () => {
  const wire = new ServerWire({ now });
  wire.receive(concat([bytesOf('{"action":"msg","to":"bob","message":"'), Uint8Array.of(0xef, 0xf0), bytesOf('"}')]));
  assertEquals(wire.next(), { type: "request", request: { action: "msg", to: "bob", text: "пр" } });
});

Deno.test("ServerWire with strict refuses objects of more than 640 characters", () => {
  for (const character of ["x", "я", "😀"]) {
    const object = { action: "msg", time: 1, to: "bob", from: "me", message: character.repeat(500), encoding: "" };
    const room = 640 - Array.from(JSON.stringify(object)).length;
    for (const [length, fits] of [[room, true], [room + 1, false]] as const) {
      const bytes = bytesOf(JSON.stringify({ ...object, encoding: "x".repeat(length) }));
      const [strict, tolerant] = [new ServerWire({ now, strict: true }), new ServerWire({ now })];
      for (const wire of [strict, tolerant]) wire.receive(bytes);
      assertEquals(tolerant.next()?.type, "request");
      const said = strict.next();
      assertEquals(said?.type, fits ? "request" : "refusal");
      if (said?.type === "refusal") {
        assertStringIncludes(said.answer.text, "the object has 641 characters: limit is 640");
      }
    }
  }
});

Deno.test("ServerWire gives an unfinished object up when told to", () => {
  const wire = wireAfter('{"action":');
  assert(wire.unfinished);
  assertThrows(() => wire.end(), TruncatedError);
  const said = wire.giveUp();
  assert(said.type === "refusal" && !said.close);
  assertEquals(said.answer.text, "the object was not completed in time");
  assert(!wire.unfinished);
  wire.receive(bytesOf('"x"}{"action":"quit"}'));
  assertEquals(wire.next(), { type: "request", request: { action: "quit" } });
});

Deno.test("ClientWire reads what foreign servers write, and tells what it cannot", () => {
  const client = new ClientWire();
  client.receive(
    bytesOf('{"code": 200, "alert": ""}{"action": "message", "from": "eve", "mess_text": "hi"}[]{"x": 1}'),
  );
  const said = Array.from({ length: 6 }, () => client.next());
  assertEquals(said.map((said) => said?.type), ["answer", "event", "garbage", "garbage", undefined, undefined]);
  assert(said[1]?.type === "event");
  assertEquals(said[1].event, { type: "msg", time: 0, from: "eve", to: EVERYONE, text: "hi" });
  assertEquals(said[1].object, { action: "message", from: "eve", mess_text: "hi" });
});
