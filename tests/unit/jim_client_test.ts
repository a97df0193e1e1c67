import fc from "fast-check";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { UsageError } from "../../lib/errors.ts";
import {
  ANSWER_TIMEOUT_MS,
  GOODBYE_MS,
  JimClient,
  type JimClientOptions,
  QUIET_MS,
  UNANSWERED_MS,
} from "../../lib/jim/client.ts";
import { COMMAND_HELP, completeCommand, parseCommand } from "../../lib/jim/client_commands.ts";
import { DIALECTS } from "../../lib/jim/dialects.ts";
import type { JsonObject } from "../../lib/jim/dialects.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";

/** A superset answer, as servers like ours give one to a stranger. */
const WELCOME = { response: 200, code: 200, time: 1, alert: "OK" };
const NO_HISTORY = { response: 202, time: 1, alert: "accepted", quantity: 0 };
const START = 1_763_712_000_000;

/** A client, and a hand that plays its user, its server and its clock. */
class Stage {
  now = START;
  /** How long the machine has slept: only the clock of the day went on. */
  slept = 0;
  readonly client: JimClient;
  readonly shown: string[] = [];
  readonly told: string[] = [];
  readonly others: string[] = [];
  failure: string | undefined;

  constructor(options: Partial<JimClientOptions> = {}) {
    this.client = new JimClient({ name: "bob", now: () => this.now + this.slept, clock: () => this.now, ...options });
  }

  /** What the client sends now. */
  sent(): JsonObject[] {
    const objects: JsonObject[] = [];
    for (let effect; (effect = this.client.next()) !== undefined;) {
      if (effect.type === "send") objects.push(JSON.parse(decodeText(effect.bytes)));
      else if (effect.type === "show") this.shown.push(effect.line);
      else if (effect.type === "tell") this.told.push(effect.line);
      else if (effect.type !== "object") this.others.push(effect.type);
      if (effect.type === "end") this.failure = effect.failure;
    }
    return objects;
  }

  /** The server says something; resolves to what the client sends. */
  hear(...objects: JsonObject[]): JsonObject[] {
    for (const object of objects) this.client.receive(encodeText(JSON.stringify(object)));
    return this.sent();
  }

  type(line: string): JsonObject[] {
    this.client.line(line);
    return this.sent();
  }

  wait(ms: number): JsonObject[] {
    this.now += ms;
    this.client.tick();
    return this.sent();
  }

  /** Connects and logs in at a server that keeps a history, which is empty. */
  logIn(): this {
    this.client.connected();
    this.sent();
    this.hear(WELCOME, NO_HISTORY);
    this.told.length = 0;
    this.others.length = 0;
    return this;
  }

  message(id: number, text: string, more: JsonObject = {}): JsonObject {
    return { action: "msg", time: this.now / 1000, id, from: "alice", to: "bob", message: text, ...more };
  }
}

const actions = (objects: JsonObject[]) => objects.map(({ action }) => action);

// --- Commands --------------------------------------------------------------------------------------------------------

Deno.test("parseCommand: what each line means", () => {
  const cases: [string, unknown][] = [
    ["", undefined],
    ["  ", undefined],
    ["hello  ", { type: "say", text: "hello  " }],
    ["  /hello", { type: "say", text: "  /hello" }],
    ["//hello", { type: "say", text: "/hello" }],
    ["/msg bob  hello  there", { type: "say", to: "bob", text: "hello  there" }],
    ["/msg #tea hi", { type: "say", to: "#tea", text: "hi" }],
    ["/msg #all hi", { type: "say", to: "#all", text: "hi" }],
    ['/msg "two words" hi', { type: "say", to: "two words", text: "hi" }],
    ["/msg bob", { type: "address", to: "bob" }],
    ["/msg e\u0301ve hi", { type: "say", to: "\u00e9ve", text: "hi" }],
    ["/join #tea", { type: "ask", request: { action: "join", room: "#tea" } }],
    ["/leave #tea ", { type: "ask", request: { action: "leave", room: "#tea" } }],
    ["/who", { type: "ask", request: { action: "who" } }],
    ["/who #tea", { type: "ask", request: { action: "who", room: "#tea" } }],
    ["/contacts", { type: "ask", request: { action: "get_contacts" } }],
    ["/add bob", { type: "ask", request: { action: "add_contact", name: "bob" } }],
    ["/del bob", { type: "ask", request: { action: "del_contact", name: "bob" } }],
    ["/history", { type: "ask", request: { action: "history", limit: 20 } }],
    ["/history 5", { type: "ask", request: { action: "history", limit: 5 } }],
    ["/history bob", { type: "ask", request: { action: "history", limit: 20, with: "bob" } }],
    ["/history #tea 100", { type: "ask", request: { action: "history", limit: 100, with: "#tea" } }],
    ["/status at lunch", { type: "status", status: "at lunch" }],
    ["/status", { type: "status", status: "" }],
    ["/register", { type: "register" }],
    ["/help", { type: "help" }],
    ["/quit", { type: "quit" }],
  ];
  for (const [line, command] of cases) assertEquals<unknown>(parseCommand(line), command, line);
});

Deno.test("parseCommand: what is wrong is said, with what would be right", () => {
  const cases: [string, string][] = [
    ["/nope", "there is no /nope: see /help"],
    ["/constructor", "there is no /constructor"],
    ["/", "there is no /: see /help"],
    ["/msg", "a name is missing: /msg NAME|#room [text]"],
    ["/msg # hi", "# is empty"],
    ["/msg x\u202e hi", "has a control"],
    ["/join tea", "tea does not begin with #: /join #room"],
    ["/join #tea now", 'what is "now"?: /join #room'],
    ["/add #tea", "#tea begins with #, which is for rooms: /add NAME"],
    ["/add", "a name is missing: /add NAME"],
    ["/contacts all", 'what is "all"?: /contacts'],
    ["/history bob many", "many is no number from 1 to 100"],
    ["/history 0", "0 is no number from 1 to 100"],
    ["/history 101", "101 is no number"],
    ["x".repeat(501), "the message has 501 characters: limit is 500"],
    ["/msg bob " + "x".repeat(501), "the message has 501 characters"],
    ["/status " + "x".repeat(129), "the status has 129 characters: limit is 128"],
    ["/msg " + "x".repeat(26), "has 26 characters: limit is 25"],
  ];
  for (const [line, message] of cases) assertThrows(() => parseCommand(line), UsageError, message);
  assertEquals(parseCommand("🙂".repeat(500))?.type, "say");
});

Deno.test("completeCommand: commands, names and rooms where they may stand", () => {
  const vocabulary = { names: ["alice", "albert", "two words"], rooms: ["#tea"] };
  const cases: [string, string[], string][] = [
    ["/", COMMAND_HELP.slice(0, -1).map((line) => `${line.split(" ")[0]} `).sort(), "/"],
    ["/h", ["/help ", "/history "], "/h"],
    ["/msg al", ["albert ", "alice "], "al"],
    ["/msg t", [], "t"],
    ["/msg ", ['"two words" ', "#all ", "#tea ", "albert ", "alice "], ""],
    ["/join #", ["#tea "], "#"],
    ["/history #a", ["#all "], "#a"],
    ["/add #", [], "#"],
    ["/msg alice al", [], "/msg alice al"],
    ["/status al", [], "al"],
    ["al", [], "al"],
  ];
  for (const [line, candidates, end] of cases) {
    const [found, word] = completeCommand(line, vocabulary);
    assertEquals(found, candidates, line);
    if (found.length > 0) assertEquals(word, end, line);
  }
});

Deno.test("parseCommand: any line is a command or a UsageError", () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.string().map((text) => `/${text}`)), (line) => {
    completeCommand(line, { names: ["a"], rooms: ["#a"] });
    try {
      parseCommand(line);
    } catch (error) {
      assert(error instanceof UsageError, String(error));
    }
  }));
});

// --- Logging in ------------------------------------------------------------------------------------------------------

Deno.test("JimClient: logs in by a presence, and only then sends what was typed", () => {
  const stage = new Stage({ to: "alice" });
  assertEquals(stage.type("early"), []);
  stage.client.connected();
  assertEquals(stage.sent(), [{
    action: "presence",
    time: START / 1000,
    type: "status",
    user: { account_name: "bob" },
  }]);
  assertEquals(stage.client.prompt, "(offline) alice> ");
  assertEquals(stage.hear({ response: 200 }), [
    { action: "msg", time: START / 1000, to: "alice", from: "bob", message: "early" },
  ]);
  assertEquals(stage.told, ["logged in as bob"]);
  assertEquals(stage.client.prompt, "alice> ");
});

Deno.test("JimClient: 401 is answered with the password; asked for, if there is none", () => {
  const authenticate = {
    action: "authenticate",
    time: START / 1000,
    user: { account_name: "bob", password: "secret" },
  };
  const stage = new Stage({ password: "secret" });
  stage.client.connected();
  stage.sent();
  assertEquals(stage.hear({ response: 401, error: "authenticate" }), [authenticate]);
  stage.hear({ response: 200 });
  assertEquals(stage.told, ["logged in as bob"]);

  const asked = new Stage();
  asked.client.connected();
  asked.sent();
  assertEquals(asked.hear({ response: 401 }), []);
  assertEquals(asked.others, ["ask-password"]);
  asked.client.password("secret");
  assertEquals(asked.sent(), [authenticate]);
});

Deno.test("JimClient: the status of an account is told again on each connection", () => {
  const stage = new Stage({ password: "sesame" }).logIn();
  stage.type("/status at lunch");
  stage.hear({ response: 200 });
  stage.client.disconnected();
  stage.client.connected();
  stage.sent();
  assertEquals(actions(stage.hear({ response: 401 })), ["authenticate"]);
  const [presence] = stage.hear({ response: 200 });
  assertEquals([presence?.action, presence?.user], ["presence", { account_name: "bob", status: "at lunch" }]);
  assertEquals(actions(stage.hear({ response: 200 })), ["history"]);
});

Deno.test("JimClient: a password that is typed while the connection is lost is used on the next one", () => {
  const stage = new Stage();
  stage.client.connected();
  stage.sent();
  stage.hear({ response: 401 });
  for (let i = 0; i < 2; i++) {
    stage.client.disconnected();
    stage.client.connected();
    assertEquals(actions(stage.sent()), ["presence"]);
    if (i === 0) stage.hear({ response: 401 });
  }
  stage.client.password("secret");
  assertEquals(stage.sent(), []);
  assertEquals(actions(stage.hear({ response: 401 })), ["authenticate"]);
  assertEquals(stage.others, ["ask-password"]);
});

for (const password of [null, ""]) {
  Deno.test(`JimClient: without a password (${password}) an account is not entered`, () => {
    const stage = new Stage();
    stage.client.connected();
    stage.sent();
    stage.hear({ response: 401 });
    stage.client.password(password);
    stage.sent();
    assertEquals(stage.failure, "bob has an account: its password is needed");
  });
}

Deno.test("JimClient: a first login that fails is the end; later the old connection may only not be gone yet", () => {
  for (const code of [400, 402, 409, 500, 511]) {
    const stage = new Stage();
    stage.client.connected();
    stage.sent();
    stage.hear({ response: code, error: "no\x07" });
    assertEquals([stage.failure, stage.client.over], [`log in as bob: no\\x07 (${code})`, true]);

    const later = new Stage().logIn();
    later.client.disconnected();
    later.client.connected();
    later.sent();
    later.hear({ response: code, error: "no" });
    assertEquals(later.others, code === 402 ? ["end"] : ["hang-up"]);
  }
});

Deno.test("JimClient: a server that says nothing, or no JIM, is told from one that does", () => {
  const silent = new Stage();
  silent.client.connected();
  silent.sent();
  silent.wait(ANSWER_TIMEOUT_MS - 1);
  assertEquals(silent.failure, undefined);
  silent.wait(1);
  assertEquals(silent.failure, "log in as bob: no answer within 15 s: is it a JIM server?");
  const closed = new Stage();
  closed.client.connected();
  closed.client.disconnected();
  closed.sent();
  assertEquals(closed.failure, "log in as bob: the server has closed the connection");
  const http = new Stage();
  http.client.connected();
  http.client.receive(encodeText("HTTP/1.1 400 Bad Request\r\n\r\n"));
  http.sent();
  assertEquals(http.failure, "the server does not speak JIM: this is no JSON object");
});

Deno.test("JimClient: --register makes the account first, then logs in with it", () => {
  const stage = new Stage({ password: "secret", register: true });
  stage.client.connected();
  assertEquals(actions(stage.sent()), ["register"]);
  assertEquals(actions(stage.hear({ response: 201 })), ["presence"]);
  assertEquals(actions(stage.hear({ response: 401 })), ["authenticate"]);
  assertEquals(actions(stage.hear({ response: 200 })), ["history"]); // so that nothing is missed later
  assertEquals(stage.told, ["bob now has an account", "logged in as bob"]);
  const taken = new Stage({ register: true });
  taken.client.connected();
  assertEquals([taken.sent(), taken.others], [[], ["ask-password"]]);
  taken.client.password("secret");
  assertEquals(actions(taken.sent()), ["register"]);
  taken.hear({ response: 409, error: "this name is taken" });
  assertEquals(taken.failure, "log in as bob: this name is taken (409)");
});

Deno.test("JimClient: /register asks for the password that there is not", () => {
  const stage = new Stage().logIn();
  assertEquals([stage.type("/register"), stage.others], [[], ["ask-password"]]);
  stage.client.password(null);
  stage.type("/register");
  stage.client.password("secret");
  assertEquals(actions(stage.sent()), ["register"]);
  stage.hear({ response: 201 });
  assertEquals(stage.told, ["not registered: an account needs a password", "bob now has an account"]);
});

// --- One request at a time -------------------------------------------------------------------------------------------

Deno.test("JimClient: one request is under way, and each answer belongs to it", () => {
  const stage = new Stage().logIn();
  assertEquals(actions(stage.type("/join #tea")), ["join"]);
  for (const line of ["hello", "/msg alice hi", "/leave #tea", "/add alice"]) assertEquals(stage.type(line), []);
  assertEquals(stage.hear({ response: 201 }).map(({ to }) => to), ["#tea"]);
  assertEquals(stage.hear({ response: 200, id: 1, time: 1 }).map(({ to }) => to), ["alice"]);
  assertEquals(actions(stage.hear({ response: 404, error: "no such user" })), ["leave"]);
  assertEquals(actions(stage.hear({ response: 200 })), ["add_contact"]);
  stage.hear({ response: 404, error: "no such user" });
  assertEquals(stage.told, [
    "in #tea, a new room",
    "not delivered to alice: no such user (404): hi",
    "left #tea",
    "not added: no such user (404)",
  ]);
  assert(stage.client.refused && !stage.client.busy);
});

Deno.test("JimClient: what was refused is said in words", () => {
  const stage = new Stage().logIn();
  for (const line of ["/join #tea", "/leave #tea", "/who #tea", "/who", "/history #tea", "/contacts", "/del alice"]) {
    stage.type(line);
    stage.hear({ response: 404, error: "no" });
  }
  assertEquals(stage.told, [
    "cannot join #tea: no (404)",
    "cannot leave #tea: no (404)",
    "cannot list #tea: no (404)",
    "cannot list: no (404)",
    "no history: no (404)",
    "no contacts: no (404)",
    "not removed: no (404)",
  ]);
});

Deno.test("JimClient: text goes to whom the last command addressed, or to nobody", () => {
  const stage = new Stage().logIn();
  const says = (line: string) => {
    const sent = stage.type(line).map(({ to, message }) => `${to}: ${message}`);
    stage.hear({ response: 200 });
    return sent;
  };
  assertEquals(says("hello"), []);
  assertEquals(stage.told, ["nobody to send it to: /msg NAME text, or /join #room"]);
  assertEquals(says("/msg alice"), []);
  assertEquals(says("hello"), ["alice: hello"]);
  assertEquals(says("/msg eve //hi"), ["eve: //hi"]);
  assertEquals(says("//hi"), ["eve: /hi"]);
  says("/join #tea");
  assertEquals(says("tea?"), ["#tea: tea?"]);
  says("/leave #tea");
  assertEquals(says("gone"), []);
  assertThrows(
    () => new JimClient({ name: "bob", to: "\x1b", now: () => 0, clock: () => 0 }),
    UsageError,
    "has a control",
  );
});

Deno.test("JimClient: lists are shown whole, in every form", () => {
  const stage = new Stage().logIn();
  const contact = (name: string) => ({ action: "contact_list", user_id: name });
  stage.type("/contacts");
  stage.hear({ response: 202, quantity: 2 }, contact("alice"), stage.message(7, "in between"), contact("eve\x1b"));
  stage.type("/contacts");
  stage.hear({ response: 202, data_list: ["alice", "eve"] });
  stage.type("/contacts");
  stage.hear({ response: 202, quantity: 0 });
  stage.type("/who #tea");
  stage.hear({ response: 202, quantity: 1 }, { action: "user_list", user_id: "bob" });
  stage.type("/who #x");
  stage.hear({ response: 403, error: "you are not in #x" });
  assertEquals(stage.shown, [
    "alice: in between",
    "contacts: alice, eve\\x1b",
    "contacts: alice, eve",
    "contacts: nobody",
    "online: bob",
  ]);
  assertEquals(stage.told, ["cannot list #x: you are not in #x (403)"]);
  assertEquals([...stage.client.vocabulary.names], ["alice", "eve", "bob"]);
});

Deno.test("JimClient: an answer within a list is none to it, and no more items belong to it than were asked for", () => {
  const stage = new Stage().logIn();
  stage.type("/history 2");
  stage.hear({ response: 202, quantity: 1000 }, stage.message(1, "one"), { response: 400, error: "slow down" });
  assertEquals([stage.shown, stage.told], [[], ["the server says: slow down (400)"]]);
  stage.hear(stage.message(2, "two"));
  assertEquals(stage.shown, ["alice: one", "alice: two"]);
});

Deno.test("JimClient: a list that does not end is shown as far as it came", () => {
  const stage = new Stage().logIn();
  stage.type("/contacts");
  stage.hear({ response: 202, quantity: 3 }, { action: "contact_list", user_id: "alice" });
  assertEquals(stage.shown, []);
  stage.wait(ANSWER_TIMEOUT_MS);
  assertEquals(stage.shown, ["contacts: alice"]);
});

Deno.test("JimClient: /history shows messages however often they were seen, with their time", () => {
  const stage = new Stage().logIn();
  stage.hear(stage.message(1, "one"));
  stage.now += 90_000;
  const old = { ...stage.message(1, "one"), time: START / 1000 };
  stage.type("/history alice 2");
  stage.hear({ response: 202, quantity: 2 }, old, stage.message(2, "two", { from: "bob", to: "alice" }));
  assertEquals([stage.shown[0], stage.shown[2]], ["alice: one", "bob -> alice: two"]);
  assert(/^\[2025-11-2\d \d\d:\d\d\] alice: one$/.test(stage.shown[1]!), stage.shown[1]);
  stage.type("/history");
  stage.hear(NO_HISTORY);
  assertEquals(stage.told, ["no messages"]);
});

Deno.test("JimClient: a server that never answers messages holds nothing up; one that once did is waited for", () => {
  const stage = new Stage({ to: "alice" });
  stage.client.connected();
  stage.sent();
  stage.hear({ response: 200 });
  assertEquals(stage.type("one").length, 1);
  assertEquals(stage.type("two"), []);
  assertEquals(stage.wait(UNANSWERED_MS - 1), []);
  assertEquals(stage.wait(1).map(({ message }) => message), ["two"]);
  stage.hear({ response: 200 });
  stage.type("three");
  stage.type("four");
  assertEquals(stage.wait(UNANSWERED_MS), []);
  assertEquals(stage.wait(ANSWER_TIMEOUT_MS).map(({ message }) => message), ["four"]);
  stage.hear({ response: 200 });
  stage.type("/join #tea");
  stage.wait(ANSWER_TIMEOUT_MS);
  assertEquals(stage.told, ["logged in as bob", "no answer to join within 15 s"]);
});

Deno.test("JimClient: sends no faster than servers allow", () => {
  const stage = new Stage({ to: "alice" }).logIn();
  let sent = 0;
  for (let i = 0; i < 400; i++) {
    sent += stage.type(`${i}`).length;
    sent += stage.hear({ response: 200 }).length;
  }
  assert(sent > 100 && sent < 160, `${sent}`);
  for (let i = 0; i < 400; i++) {
    const now = stage.wait(25).length;
    sent += now + (now > 0 ? stage.hear({ response: 200 }).length : 0);
  }
  assertEquals([sent, stage.client.busy], [400, false]);
});

Deno.test("JimClient: sends what costs more less often", () => {
  const stage = new Stage().logIn();
  let sent = 0;
  for (let i = 0; i < 30; i++) sent += stage.type("/who").length + stage.hear(NO_HISTORY).length;
  assert(sent >= 10 && sent <= 20, `${sent}`); // 200 tokens, 10 each
  for (let i = 0; i < 100; i++) if (stage.wait(25).length > 0) sent += 1 + stage.hear(NO_HISTORY).length;
  assert(sent >= 20 && sent <= 32, `${sent}`); // 50 a second
});

Deno.test("JimClient: says goodbye when all is answered, and does not wait for ever", () => {
  const stage = new Stage({ to: "alice" }).logIn();
  stage.type("one");
  stage.client.quit();
  assertEquals(stage.sent(), []);
  assertEquals(actions(stage.hear({ response: 200 })), ["quit"]);
  assertEquals(stage.others, []);
  stage.wait(GOODBYE_MS);
  assertEquals([stage.others, stage.failure], [["end"], undefined]);
  const closed = new Stage().logIn();
  assertEquals(actions(closed.type("/quit")), ["quit"]);
  assertEquals(closed.client.prompt, "> "); // it is not the connection that failed
  closed.client.disconnected();
  closed.sent();
  assertEquals(closed.others, ["end"]);
  const hurried = new Stage({ to: "alice" }).logIn();
  hurried.type("one");
  hurried.type("two");
  hurried.client.quit({ now: true });
  assertEquals(actions(hurried.sent()), ["quit"]);
  for (const now of [true, false]) {
    const offline = new Stage({ to: "alice" }).logIn();
    offline.client.disconnected();
    if (now) offline.type("never mind");
    offline.client.quit({ now });
    offline.sent();
    assertEquals(offline.others, ["end"]);
  }
  const lost = new Stage({ to: "alice" });
  lost.client.connected();
  lost.hear({ response: 200 });
  lost.type("one");
  lost.client.quit();
  lost.client.disconnected();
  lost.sent();
  assertEquals(lost.others, ["logged-in", "end"]);
  const asked = new Stage().logIn();
  asked.type("/register");
  asked.client.quit({ now: true });
  assertEquals(actions(asked.sent()), ["quit"]);
});

Deno.test("JimClient: every dialect gets its own words", () => {
  for (const dialect of DIALECTS) {
    const stage = new Stage({ to: "alice", dialect });
    stage.client.connected();
    stage.sent();
    stage.hear({ [dialect.upperCase ? "RESPONSE" : "code"]: 200 });
    const [said] = stage.type("hello");
    const keys = JSON.stringify(said);
    assertStringIncludes(keys, dialect.upperCase ? '"MESSAGE":"hello"' : `"${dialect.fields.text[0]}":"hello"`);
    stage.wait(UNANSWERED_MS);
    const [quit] = stage.type("/quit");
    assertEquals(quit?.action ?? quit?.ACTION, dialect.words.quit ?? "quit");
  }
});

// --- What others say -------------------------------------------------------------------------------------------------

Deno.test("JimClient: messages, rooms, contacts that come and go; probes are answered", () => {
  const stage = new Stage().logIn();
  const probe = { action: "probe", time: 1 };
  const presence = { action: "presence", time: 1, user: { account_name: "eve", status: "at\nlunch" } };
  assertEquals(
    actions(stage.hear(
      stage.message(1, "hi"),
      stage.message(2, "tea?", { to: "#tea" }),
      stage.message(3, "all", { to: "#all" }),
      { action: "message", from: "alice", to: "bob", mess_text: "B" },
      presence,
      { ...presence, online: false, user: { account_name: "eve" } },
      probe,
    )),
    ["presence"],
  );
  assertEquals(stage.shown, ["alice: hi", "#tea alice: tea?", "#all alice: all", "alice: B"]);
  assertEquals(stage.told, ["eve is here: at\\nlunch", "eve has left"]);
  assertEquals([...stage.client.vocabulary.rooms], ["#tea"]);
});

Deno.test("JimClient: however often it is probed or told to quit while it must not send, it does each once", () => {
  const stage = new Stage().logIn();
  while (stage.type("/status here").length > 0) stage.hear({ response: 200 }); // until it would be too fast
  assertEquals(stage.hear(...Array<JsonObject>(50).fill({ action: "probe" })), []);
  assertEquals(actions(stage.wait(25)), ["presence"]);
  assertEquals(actions(stage.hear({ response: 200 })), []);
  assertEquals(actions(stage.wait(25)), ["presence"]); // the status
  stage.hear({ response: 200 });
  assertEquals(actions(stage.wait(25)), []);
  const leaving = new Stage().logIn();
  while (leaving.type("/status here").length > 0) leaving.hear({ response: 200 });
  leaving.wait(25);
  leaving.hear({ response: 200 });
  leaving.client.quit();
  for (let i = 0; i < 3; i++) assertEquals(leaving.wait(1), []);
  assertEquals(actions(leaving.wait(25)), ["quit"]);
  assertEquals(leaving.hear({ response: 200 }), []);
  assertEquals(leaving.wait(100), []);
});

Deno.test("JimClient: strangers' controls are shown and not obeyed; nor do their names get into what Tab offers", () => {
  const stage = new Stage().logIn();
  const evil = "\x1b[2J\x9b1m\u202e\r\n\x07";
  stage.hear(
    stage.message(1, evil, { from: evil, to: `#${evil}` }),
    { action: "presence", user: { account_name: evil, status: evil } },
    { response: 500, error: evil },
  );
  stage.type("/who");
  stage.hear({ response: 202, data_list: [evil] });
  stage.type("/join #tea");
  stage.hear({ response: 403, error: evil });
  // deno-lint-ignore no-control-regex
  const controls = /[\x00-\x1f\x7f-\x9f\u202e]/;
  for (const line of [...stage.shown, ...stage.told]) assert(!controls.test(line), JSON.stringify(line));
  assertEquals([...stage.client.vocabulary.names, ...stage.client.vocabulary.rooms], []);
});

Deno.test("JimClient: what was said while the machine slept is shown with its time, and nothing took long", () => {
  const stage = new Stage().logIn();
  const time = stage.now / 1000 + 3600;
  stage.type("/who");
  stage.slept = 8 * 3_600_000;
  stage.wait(1);
  assertEquals(stage.others, []);
  stage.hear(stage.message(1, "night", { time }), stage.message(2, "morning", { time: stage.now / 1000 + 8 * 3600 }));
  assertEquals(stage.shown.map((line) => line.replace(/^\[[-0-9: ]+\]/, "[then]")), [
    "[then] alice: night",
    "alice: morning",
  ]);
});

Deno.test("JimClient: times that no calendar has are left out", () => {
  const stage = new Stage().logIn();
  [-1e300, 1e300, 0, -1, 1e25].forEach((time, i) => stage.hear(stage.message(i + 1, "x", { time })));
  assertEquals(stage.shown, Array(5).fill("alice: x"));
});

Deno.test("JimClient: what a server says unasked changes no answer", () => {
  const stage = new Stage({ to: "alice" }).logIn();
  assertEquals(stage.hear({ response: 200 }, { response: 205 }, { response: 100, alert: "x" }), []);
  stage.type("one");
  stage.hear({ response: 205 }, { response: 404, error: "gone" });
  stage.hear({ response: 400, error: "no answer to a probe" });
  assertEquals(stage.told, [
    "not delivered to alice: gone (404): one",
    "the server says: no answer to a probe (400)",
  ]);
});

Deno.test("JimClient: garbage is told of once a connection, and nothing but garbage ends it", () => {
  const stage = new Stage().logIn();
  for (let i = 0; i < 99; i++) stage.client.receive(encodeText("?\n"));
  stage.hear(stage.message(1, "still here"));
  assertEquals([stage.told, stage.shown], [["the server sends garbage: this is no JSON object"], [
    "alice: still here",
  ]]);
  stage.client.disconnected();
  stage.client.connected();
  stage.hear(WELCOME, NO_HISTORY);
  for (let i = 0; i < 99; i++) stage.client.receive(encodeText("?\n"));
  stage.sent();
  assertEquals(stage.others, ["logged-in"]);
  stage.client.receive(encodeText("?\n"));
  stage.sent();
  assertEquals(stage.others, ["logged-in", "hang-up"]);
});

Deno.test("JimClient: any bytes give effects, in bounded number and without throwing", () => {
  const key = fc.constantFrom("action", "response", "code", "from", "to", "message", "id", "time", "quantity", "user");
  const value = fc.oneof(
    fc.constantFrom("msg", "presence", "probe", "contact_list", "alice", "#tea", 200, 202, 401, 404, 1e300, -1, null),
    fc.jsonValue({ maxDepth: 2 }),
  );
  const object = fc.dictionary(key, value).map((object) => JSON.stringify(object));
  const chunk = fc.oneof(object.map(encodeText), fc.uint8Array());
  const step = fc.oneof(
    chunk.map((bytes) => (stage: Stage) => stage.client.receive(bytes)),
    fc.constantFrom("/who", "hi", "/history", "/contacts", "/join #tea").map((line) => (stage: Stage) =>
      stage.client.line(line)
    ),
    fc.nat(40_000).map((ms) => (stage: Stage) => void stage.wait(ms)),
    fc.constant((stage: Stage) => stage.client.disconnected()),
    fc.constant((stage: Stage) => stage.client.connected()),
    fc.constant((stage: Stage) => stage.client.quit()),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const stage = new Stage({ to: "alice" }).logIn();
    for (const step of steps) {
      step(stage);
      assert(stage.sent().length <= 2);
    }
  }));
});

// --- Connections that are lost ---------------------------------------------------------------------------------------

Deno.test("JimClient: finds a dead link within 30 s, whether it waits for an answer or not", () => {
  assert(QUIET_MS + ANSWER_TIMEOUT_MS < 30_000);
  const idle = new Stage().logIn();
  assertEquals(idle.wait(QUIET_MS - 1), []);
  assertEquals(actions(idle.wait(1)), ["presence"]);
  idle.wait(ANSWER_TIMEOUT_MS);
  assertEquals(idle.others, ["hang-up"]);
  const alive = new Stage().logIn();
  for (let i = 0; i < 5; i++) {
    assertEquals(actions(alive.wait(QUIET_MS)), ["presence"]);
    alive.hear({ response: 200 });
  }
  assertEquals(alive.others, []);
  const asking = new Stage({ to: "alice" }).logIn();
  asking.type("hello");
  asking.wait(ANSWER_TIMEOUT_MS - 1);
  asking.hear(asking.message(1, "it lives"));
  asking.wait(1);
  assertEquals(asking.others, []);
  asking.wait(ANSWER_TIMEOUT_MS);
  assertEquals(asking.others, ["hang-up"]);
});

Deno.test("JimClient: after a loss it joins again, asks for what it missed, shows it in order and nothing twice", () => {
  const stage = new Stage().logIn();
  stage.type("/join #tea");
  stage.hear({ response: 201 });
  stage.hear(stage.message(5, "five"));
  stage.now += 40_000;
  stage.hear(stage.message(6, "six"));
  stage.client.disconnected();
  assertEquals(stage.client.prompt, "(offline) #tea> ");
  stage.client.connected();
  assertEquals(actions(stage.sent()), ["presence"]);
  assertEquals(actions(stage.hear(WELCOME)), ["join"]);
  stage.hear(stage.message(9, "nine")); // live, before what is older
  const asked = stage.hear({ response: 200 });
  assertEquals([asked[0]?.action, asked[0]?.after], ["history", 5]); // six may have overtaken another
  stage.hear(
    { response: 202, quantity: 4 },
    stage.message(6, "six"),
    stage.message(7, "seven"),
    stage.message(8, "eight"),
    stage.message(9, "nine"),
  );
  assertEquals(stage.shown, ["five", "six", "seven", "eight", "nine"].map((text) => `alice: ${text}`));
});

Deno.test("JimClient: a message whose answer was lost is sent again only if the server does not have it", () => {
  for (const arrived of [false, true]) {
    const stage = new Stage({ to: "alice" }).logIn();
    stage.type("one");
    stage.type("two");
    stage.client.disconnected();
    assert(stage.client.busy);
    stage.client.connected();
    stage.sent();
    assertEquals(actions(stage.hear(WELCOME)), ["history"]);
    const mine = stage.message(1, "one", { from: "bob", to: "alice" });
    const sent = arrived ? stage.hear({ response: 202, quantity: 1 }, mine) : stage.hear(NO_HISTORY);
    assertEquals(sent.map(({ message }) => message), [arrived ? "two" : "one"]);
    assertEquals(stage.shown, []);
  }
  const foreign = new Stage({ to: "alice" });
  foreign.client.connected();
  foreign.hear({ response: 200 });
  foreign.type("one");
  foreign.client.disconnected();
  foreign.sent();
  assertEquals(foreign.told.at(-1), "not known whether it reached alice: one");
});

/** Loses the connection and logs in again: from where on the client asks for what it missed. */
function returnAndAsk(stage: Stage): unknown {
  stage.client.disconnected();
  stage.client.connected();
  stage.sent();
  return stage.hear(WELCOME).find(({ action }) => action === "history")?.after;
}

Deno.test("JimClient: asks from before whatever waited for it, or may have been overtaken", () => {
  const late = new Stage().logIn();
  late.hear(late.message(10, "ten"));
  late.now += 60_000;
  assertEquals(returnAndAsk(late), 10);
  late.hear(NO_HISTORY, late.message(4, "it waited"));
  assertEquals(returnAndAsk(late), 3);

  const early = new Stage();
  early.client.connected();
  early.hear(WELCOME, early.message(4, "it waited"));
  early.hear({ response: 202, quantity: 1 }, early.message(10, "of last year"));
  assertEquals([returnAndAsk(early), early.shown], [3, ["alice: it waited"]]);

  const twice = new Stage().logIn();
  twice.hear(twice.message(5, "five"));
  assertEquals(returnAndAsk(twice), 0);
  twice.now += 60_000;
  assertEquals(returnAndAsk(twice), 0); // what came before five has still not come
});

Deno.test("JimClient: what it holds back is not lost with the connection, nor at the end", () => {
  const stage = new Stage().logIn();
  returnAndAsk(stage);
  stage.hear(stage.message(2, "held"));
  assertEquals([returnAndAsk(stage), stage.shown], [0, []]);
  stage.hear(NO_HISTORY);
  assertEquals(stage.shown, ["alice: held"]);
  returnAndAsk(stage);
  stage.hear(stage.message(3, "at the end"));
  stage.client.disconnected();
  stage.client.quit({ now: true });
  stage.sent();
  assertEquals(stage.shown, ["alice: held", "alice: at the end"]);
});

Deno.test("JimClient: what was under way comes first again; a room that was left is not joined again", () => {
  const stage = new Stage().logIn();
  stage.type("/join #old");
  stage.hear({ response: 201 });
  stage.type("/leave #old");
  stage.hear({ response: 200 });
  stage.type("/join #new");
  stage.type("/who");
  assertEquals(returnAndAsk(stage), 0);
  assertEquals(stage.hear(NO_HISTORY).map(({ action, room }) => [action, room]), [["join", "#new"]]);
  assertEquals(actions(stage.hear({ response: 200 })), ["who"]);
});

Deno.test("JimClient: an earlier message with the same text is not taken for the one in doubt", () => {
  const stage = new Stage({ to: "alice" }).logIn();
  stage.type("ok");
  const first = stage.message(1, "ok", { from: "bob", to: "alice" });
  stage.hear({ response: 200, id: 1, time: first.time });
  stage.type("ok");
  assertEquals(returnAndAsk(stage), 0);
  assertEquals(actions(stage.hear({ response: 202, quantity: 1 }, first)), ["msg"]);
});

Deno.test("JimClient: a history that never gets further is given up", () => {
  const stage = new Stage().logIn();
  stage.client.disconnected();
  stage.client.connected();
  stage.sent();
  assertEquals(actions(stage.hear(WELCOME)), ["history"]);
  const page = Array.from({ length: 100 }, (_, i) => stage.message(i + 1, `${i + 1}`));
  assertEquals(stage.hear({ response: 202, quantity: 100 }, ...page).map(({ after }) => after), [100]);
  assertEquals(stage.hear({ response: 202, quantity: 100 }, ...page), []);
  assertEquals(stage.shown.length, 100);
});

Deno.test("JimClient: what was missed and is too long to be told at once is asked for until there is no more", () => {
  const stage = new Stage().logIn();
  assertEquals(returnAndAsk(stage), 0);
  const page = [stage.message(1, "one"), stage.message(2, "two")];
  assertEquals(stage.hear({ response: 202, quantity: 2, more: true }, ...page).map(({ after }) => after), [2]);
  assertEquals(stage.hear({ response: 202, quantity: 1 }, stage.message(3, "three")), []);
  assertEquals(stage.shown, ["alice: one", "alice: two", "alice: three"]);
});

Deno.test("JimClient: a server that will not tell now what was missed is asked again; what comes meanwhile waits", () => {
  const stage = new Stage({ to: "alice" }).logIn();
  stage.type("in doubt");
  assertEquals(returnAndAsk(stage), 0);
  const page = Array.from({ length: 100 }, (_, i) => stage.message(i + 1, `${i + 1}`));
  assertEquals(stage.hear({ response: 202, quantity: 100 }, ...page).map(({ after }) => after), [100]);
  const tooFast = { response: 400, error: "too fast" };
  assertEquals(stage.hear(tooFast, stage.message(102, "live")), []);
  assertEquals(stage.wait(999), []);
  assertEquals(stage.wait(1).map(({ after }) => after), [100]);
  assertEquals(stage.shown, []);
  assertEquals(actions(stage.hear({ response: 202, quantity: 1 }, stage.message(101, "101"))), ["msg"]);
  assertEquals(stage.shown.slice(-3), ["alice: 100", "alice: 101", "alice: live"]);

  const never = new Stage({ to: "alice" }).logIn();
  never.type("in doubt");
  returnAndAsk(never);
  let asked = 1;
  for (never.hear(tooFast); never.wait(1000).length > 0; never.hear(tooFast)) asked++;
  assertEquals([asked, never.told.at(-1)], [11, "not known whether it reached alice: in doubt"]);
});

Deno.test("JimClient: a server that counts anew is heard all the same", () => {
  const stage = new Stage().logIn();
  stage.hear(stage.message(1, "old"));
  stage.now += 60_000;
  stage.client.disconnected();
  stage.client.connected();
  stage.hear(WELCOME);
  stage.hear(NO_HISTORY);
  stage.hear(stage.message(1, "new"));
  assertEquals(stage.shown, ["alice: old", "alice: new"]);
});

/** A server that keeps messages and numbers them, behind a link that breaks. */
class Server {
  readonly stored: JsonObject[] = [];
  readonly #toClient: Uint8Array[] = [];
  online = false;

  say(object: JsonObject): void {
    this.#toClient.push(encodeText(JSON.stringify(object) + "\n"));
  }

  store(message: JsonObject, time: number): JsonObject {
    const stored = { ...message, action: "msg", id: 10 * this.stored.length + 3, time };
    this.stored.push(stored);
    return stored;
  }

  hear(object: JsonObject, time: number): void {
    if (object.action === "presence") {
      this.online = true;
      this.say({ ...WELCOME, time });
    } else if (object.action === "history") {
      const { after, limit } = object as { after?: number; limit: number };
      const later = this.stored.filter(({ id }) => (id as number) > (after ?? -1));
      const page = after === undefined ? later.slice(-limit) : later.slice(0, limit);
      this.say({ response: 202, time, quantity: page.length });
      page.forEach((message) => this.say(message));
    } else if (object.action === "msg") {
      const { id } = this.store(object, time);
      this.say({ response: 200, id, time });
    }
  }

  /** What arrives of what was said: all of it, or the first `count` bytes. */
  deliver(client: JimClient, count = Infinity): void {
    for (const chunk of this.#toClient.splice(0)) {
      client.receive(chunk.subarray(0, count));
      if ((count -= chunk.length) <= 0) return;
    }
  }
}

Deno.test("JimClient: however connections break, every message is shown once, in order, and arrives once", () => {
  const step = fc.oneof(
    fc.constant({ type: "hear" } as const),
    fc.constant({ type: "say" } as const),
    fc.constant({ type: "deliver" } as const),
    fc.record({ type: fc.constant("cut" as const), bytes: fc.nat(300), reached: fc.boolean() }),
    fc.record({ type: fc.constant("wait" as const), ms: fc.nat(40_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const stage = new Stage({ to: "alice" }).logIn();
      const server = new Server();
      server.online = true;
      let said = 0;
      let heard = 0;
      const transmit = (reached = true) => {
        for (const object of stage.sent()) if (reached) server.hear(object, stage.now / 1000);
      };
      const settle = () => {
        for (let i = 0; i < 6; i++) {
          transmit();
          server.deliver(stage.client);
        }
        transmit();
      };
      const reconnect = () => {
        transmit(false);
        server.deliver(stage.client, 0);
        server.online = false;
        stage.client.disconnected();
        stage.client.connected();
      };
      for (const step of steps) {
        stage.now++;
        if (step.type === "hear") {
          const message = server.store({ from: "alice", to: "bob", message: `in ${heard++}` }, stage.now / 1000);
          if (server.online) server.say(message);
        } else if (step.type === "say") stage.client.line(`out ${said++}`);
        else if (step.type === "deliver") server.deliver(stage.client);
        else if (step.type === "wait") stage.now += Math.min(step.ms, QUIET_MS - 1);
        else {
          transmit(step.reached);
          server.deliver(stage.client, step.bytes);
          reconnect();
        }
        transmit();
      }
      settle();
      while (stage.client.busy) {
        stage.wait(1000);
        settle();
      }
      const shown = stage.shown.map((line) => line.replace(/^\[.*?\] /, ""));
      assertEquals(shown, Array.from({ length: heard }, (_, i) => `alice: in ${i}`));
      const arrived = server.stored.filter(({ from }) => from === "bob").map(({ message }) => message);
      assertEquals(arrived, Array.from({ length: said }, (_, i) => `out ${i}`));
    }),
    { numRuns: 500 },
  );
});
