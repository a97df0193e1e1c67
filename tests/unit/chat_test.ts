import fc from "fast-check";
import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { type ChatEvent, GOODBYE, isGoodbye, MAX_MESSAGE, Talk, type TalkOptions } from "../../lib/chat.ts";
import { FrameTooLargeError, ProtocolError, TruncatedError, UsageError } from "../../lib/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const texts = fc.array(fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", "/")), { maxLength: 8 })
  .map((texts) => texts.filter((text) => !isGoodbye(encodeText(text)) && !text.endsWith("\r")));
/** Sizes of reads, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + sizes[i % sizes.length]!;
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** What a talk hears in these chunks: texts, and `null` for a goodbye. */
function heard(chunks: Iterable<Uint8Array>, talk = new Talk({ opens: false })): (string | null)[] {
  return Array.from(chunks, (chunk) => {
    talk.receive(chunk);
    const events: ChatEvent[] = [];
    for (let event; (event = talk.next()) !== undefined;) events.push(event);
    return events.map((event) => event.type === "message" ? decodeText(event.text) : null);
  }).flat();
}

function talkWith(options: Partial<TalkOptions> = {}): Talk {
  return new Talk({ opens: false, ...options });
}

Deno.test("Talk hears the same lines wherever the stream is cut, and says what the other side hears", () => {
  fc.assert(fc.property(texts, cuts, fc.constantFrom("", "an unfinished line"), (texts, sizes, rest) => {
    const speaker = talkWith({ opens: true });
    const stream = concat([...texts.map((text) => speaker.say(encodeText(text))), encodeText(rest)]);
    for (const chunks of [[stream], cut(stream, [1]), cut(stream, sizes)]) assertEquals(heard(chunks), texts);
  }));
});

Deno.test("Talk hears each datagram as its lines: the end of the datagram ends the last one", () => {
  const datagrams = ["one\n", "two", "three\nfour\r\n", ""].map(encodeText);
  assertEquals(heard(datagrams, talkWith({ datagrams: true })), ["one", "two", "three", "four", ""]);
});

Deno.test("Talk, raw: each chunk is a message without its own line end, and nothing is appended", () => {
  const talk = talkWith({ raw: true });
  assertEquals(heard(["one", "two\n", "three\nfour\r\n"].map(encodeText), talk), ["one", "two", "three\nfour"]);
  assertEquals(talk.say(encodeText("five")), encodeText("five"));
  const datagrams = talkWith({ raw: true, datagrams: true });
  assertEquals(heard([encodeText("one\ntwo"), new Uint8Array()], datagrams), ["one\ntwo", ""]);
});

Deno.test("Talk, raw: an empty message cannot be said on a stream, and takes no turn; a datagram may be empty", () => {
  const stream = talkWith({ raw: true, opens: true });
  assertEquals([stream.say(new Uint8Array()).length, stream.ourTurn], [0, true]);
  const datagrams = talkWith({ raw: true, datagrams: true, opens: true });
  assertEquals([datagrams.say(new Uint8Array()).length, datagrams.ourTurn], [0, false]);
});

Deno.test("Talk knows whose turn it is: the one who has something to answer", () => {
  const [client, operator] = [talkWith({ opens: true }), talkWith()];
  assertEquals([client.ourTurn, operator.ourTurn], [true, false]);
  assertEquals(heard([client.say(encodeText("hello"))], operator), ["hello"]);
  assertEquals([client.ourTurn, operator.ourTurn], [false, true]);
  assertEquals(heard([operator.say(encodeText("hi"))], client), ["hi"]);
  assertEquals([client.ourTurn, operator.ourTurn], [true, false]);
  assertEquals(heard([operator.say(encodeText("and out of turn"))], client), ["and out of turn"]);
  assertEquals([client.ourTurn, operator.ourTurn], [true, false]);
});

Deno.test("Talk: a message answers one that was heard, or all of them", () => {
  const talk = talkWith();
  heard([encodeText("one\ntwo\n")], talk);
  talk.say(encodeText("1"));
  assertEquals(talk.ourTurn, true);
  talk.say(encodeText("2"));
  assertEquals(talk.ourTurn, false);
  heard([encodeText("three\nfour\n")], talk);
  talk.say(encodeText("34"), { all: true });
  assertEquals(talk.ourTurn, false);
});

Deno.test("q or Q alone ends the talk, whoever says it; nothing of what follows is heard", () => {
  for (const goodbye of ["q", "Q", "q\n", "Q\r\n"]) assert(isGoodbye(encodeText(goodbye)), goodbye);
  for (const text of ["", "qq", " q", "q ", "1", "quit"]) assert(!isGoodbye(encodeText(text)), text);
  const talk = talkWith();
  assertEquals(heard([encodeText("so\nQ\nlate\n")], talk), ["so", null]);
  assertEquals([talk.over, heard([encodeText("later\n")], talk)], [true, []]);
});

Deno.test("after our own goodbye, what the other side has said before it arrived is still heard", () => {
  const talk = talkWith({ opens: true });
  assertEquals(talk.say(GOODBYE), encodeText("q\n"));
  assertEquals([talk.over, heard([encodeText("late\n")], talk)], [true, ["late"]]);
  talk.end();
});

Deno.test("Talk takes telnet's Ctrl-C for a goodbye and its options for nothing", () => {
  const interrupt = Uint8Array.of(255, 244, 255, 253, 6);
  assertEquals(heard([concat([Uint8Array.of(255, 251, 3), encodeText("hi\r\nhal"), interrupt])]), ["hi", null]);
});

Deno.test("Talk accepts a line of the limit, in whatever pieces, and refuses a longer one before its end", () => {
  const longest = new Uint8Array(MAX_MESSAGE).fill(0x61);
  assertEquals(heard([longest, encodeText("\n")]).map((text) => text?.length), [MAX_MESSAGE]);
  const talk = talkWith();
  talk.receive(longest);
  assertEquals(talk.next(), undefined);
  talk.receive(encodeText("a"));
  for (let i = 0; i < 2; i++) assertThrows(() => talk.next(), FrameTooLargeError, "limit is 65507 bytes");
});

Deno.test("Talk refuses to say more than one datagram carries, its line end included; the turn stays", () => {
  const talk = talkWith({ opens: true, datagrams: true });
  assertThrows(() => talk.say(new Uint8Array(MAX_MESSAGE)), UsageError, "65508 bytes is too long: limit is 65507");
  assertEquals([talk.ourTurn, talk.say(new Uint8Array(MAX_MESSAGE - 1)).length], [true, MAX_MESSAGE]);
  assertEquals(talkWith({ raw: true }).say(new Uint8Array(MAX_MESSAGE)).length, MAX_MESSAGE);
});

Deno.test("Talk.end() tells a clean end from one in mid-line and from an answer that never came", () => {
  const clean = talkWith();
  heard([encodeText("hello\n")], clean);
  clean.end();
  assertEquals(clean.over, true);

  const cutShort = talkWith();
  heard([encodeText("hello\nhalf")], cutShort);
  assertEquals(decodeText(cutShort.unfinished), "half");
  assertThrows(() => cutShort.end(), TruncatedError, "after 4 bytes");

  const unanswered = talkWith({ opens: true });
  unanswered.say(encodeText("hello"));
  assertThrows(() => unanswered.end(), TruncatedError, "Cannot get an answer");
});

Deno.test("Talk makes of garbage messages or a ProtocolError, and never holds more than a line and a chunk", () => {
  const modes = fc.record({ opens: fc.boolean(), raw: fc.boolean(), datagrams: fc.boolean() });
  const garbage = fc.uint8Array({ maxLength: 2000 });
  fc.assert(fc.property(modes, garbage, cuts, (options, garbage, sizes) => {
    const talk = new Talk(options);
    try {
      heard(cut(garbage, sizes), talk);
      assert(talk.unfinished.length <= MAX_MESSAGE);
      talk.end();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
    }
  }));
});

Deno.test("two talks that are joined hear exactly what the other says, until one says q", () => {
  fc.assert(fc.property(texts, cuts, fc.constantFrom(true, false), (texts, sizes, raw) => {
    const ends = [new Talk({ opens: true, raw }), new Talk({ opens: false, raw })] as const;
    texts.filter((text) => text !== "" || !raw).forEach((text, i) => {
      const [from, to] = i % 2 === 0 ? ends : [ends[1], ends[0]];
      assert(from.ourTurn && !to.ourTurn);
      const bytes = from.say(encodeText(text));
      assertEquals(heard(raw ? [bytes] : cut(bytes, sizes), to), [text]);
    });
    assertEquals(heard([ends[0].say(GOODBYE)], ends[1]), [null]);
    assert(ends[0].over && ends[1].over);
  }));
});
