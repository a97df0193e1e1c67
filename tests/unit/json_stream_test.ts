import fc from "fast-check";
import { concat } from "@std/bytes";
import { TruncatedError } from "../../lib/errors.ts";
import { JsonStream, type JsonStreamEvent, type JsonStreamOptions } from "../../lib/json_stream.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
/** Sizes of reads, over and over. */
const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + sizes[i % sizes.length]!;
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** All that a stream which arrives in these chunks holds. */
function eventsOf(chunks: Iterable<Uint8Array>, options?: JsonStreamOptions): JsonStreamEvent[] {
  const stream = new JsonStream(options);
  const events: JsonStreamEvent[] = [];
  for (const chunk of chunks) {
    stream.receive(chunk);
    for (let event; (event = stream.next()) !== undefined;) events.push(event);
  }
  return events;
}

/** The same, short: objects as their values, the rest as their types; the same whole and byte by byte. */
function read(content: string | Uint8Array, options?: JsonStreamOptions): unknown[] {
  const bytes = typeof content === "string" ? bytesOf(content) : content;
  const whole = eventsOf([bytes], options);
  assertEquals(eventsOf(cut(bytes, [1]), options), whole);
  return whole.map((event) => event.type === "object" ? event.object : event.type);
}

for (
  const [name, stream] of [
    ["one after the other", '{"a":1}{"b":2}'],
    ["on lines", '{"a":1}\n{"b":2}\n'],
    ["on lines with CRLF", '{"a":1}\r\n{"b":2}\r\n'],
    ["pretty-printed", '{\n    "a": 1\n}\n{\r\n\t"b": 2\r\n}'],
    ["with NULs and commas between", '{"a":1}\0,{"b":2}\0'],
    ["after a byte order mark", '\ufeff{"a":1}\ufeff{"b":2}'],
  ] as const
) {
  Deno.test(`JsonStream finds objects ${name}`, () => assertEquals(read(stream), [{ a: 1 }, { b: 2 }]));
}

Deno.test("JsonStream is not confused by braces, brackets and quotes in strings", () => {
  const tricky = { "}{": '"}{\\', "[": ["]", { "{": '\\"}' }], "]}": "[{" };
  assertEquals(read(JSON.stringify(tricky) + '{"a":1}'), [tricky, { a: 1 }]);
});

Deno.test("JsonStream gives an object's text as it came", () => {
  assertEquals(eventsOf([bytesOf(' { "a" : 1.0 }\n')]), [{ type: "object", object: { a: 1 }, text: '{ "a" : 1.0 }' }]);
});

for (
  const [name, stream, expected] of [
    ["a word", 'hello {"a":1}', ["garbage", { a: 1 }]],
    ["words on two lines", 'hello world\nagain\n{"a":1}', ["garbage", "garbage", { a: 1 }]],
    ["numbers", '1 2 3\n{"a":1}', ["garbage", { a: 1 }]],
    ["a string", '"text"\n{"a":1}', ["garbage", { a: 1 }]],
    ["null", 'null{"a":1}', ["garbage", { a: 1 }]],
    ["an array", '[1, 2]\n{"a":1}', ["garbage", { a: 1 }]],
    ["an array of objects", '[{"a":1},{"b":2}]', ["garbage", { a: 1 }, { b: 2 }, "garbage"]],
    ["a brace too many", '{"a":1}}{"b":2}', [{ a: 1 }, "garbage", { b: 2 }]],
    ["single quotes", `{'a':1}{"b":2}`, ["malformed", { b: 2 }]],
    ["a missing value", '{"a":}{"b":2}', ["malformed", { b: 2 }]],
    ["brackets that do not match", '{"a":[}]{"b":2}', ["malformed", { b: 2 }]],
    ["a trailing comma", '{"a":1,}{"b":2}', ["malformed", { b: 2 }]],
    ["NaN, which Python writes", '{"a":NaN}{"b":2}', ["malformed", { b: 2 }]],
    ["a control character in a string", '{"a":"\t"}{"b":2}', ["malformed", { b: 2 }]],
    ["a line end in a string", '{"a":"x\ny"}\n{"b":2}', ["malformed", { b: 2 }]],
    ["a lost quote", '{"a":"x}\n{"b":2}\n', ["malformed", { b: 2 }]],
    ["a lost brace", '{"a":{"x":1}\n{"b":2}}{"c":3}', ["malformed", { c: 3 }]],
  ] as const
) {
  Deno.test(`JsonStream goes on after ${name}`, () => assertEquals<unknown>(read(stream), expected));
}

Deno.test("JsonStream takes objects of exactly the limits and skips larger and deeper ones", () => {
  const ofLength = (length: number) => `{"a":"${"x".repeat(length - 8)}"}`;
  const ofDepth = (depth: number) => '{"a":'.repeat(depth - 1) + "{}" + "}".repeat(depth - 1);
  const limits = { maxObject: 100, maxDepth: 5 };
  assertEquals(read(ofLength(100) + "{}", limits).at(-1), {});
  assertEquals(read(ofLength(100) + "{}", limits)[0], { a: "x".repeat(92) });
  assertEquals(read(ofLength(101) + "{}", limits), ["too-large", {}]);
  assertEquals(read(ofLength(100_000) + "{}", limits), ["too-large", {}]);
  assertEquals(read(ofDepth(5) + "{}", limits)[0], JSON.parse(ofDepth(5)));
  assertEquals(read(ofDepth(6) + "{}", limits), ["too-deep", {}]);
  assertEquals(read(`{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}{}`), ["too-deep", {}]);
  assertEquals(read(`   ${ofLength(100)}`, limits).length, 1); // what comes before it does not count
});

Deno.test("JsonStream tells of an object that is too large once, before it ends, and stores none of it", () => {
  const stream = new JsonStream();
  stream.receive(bytesOf('{"a":"'));
  const chunk = new Uint8Array(64 * 1024).fill(0x61);
  const told: unknown[] = [];
  for (let sent = 0; sent < 10 * 2 ** 20; sent += chunk.length) {
    stream.receive(chunk);
    for (let event; (event = stream.next()) !== undefined;) told.push(event.type);
    assert(stream.pending <= 64 * 1024);
  }
  assertEquals(told, ["too-large"]);
  assert(stream.unfinished);
  stream.receive(bytesOf('"}{"b":2}'));
  assertEquals(stream.next(), { type: "object", object: { b: 2 }, text: '{"b":2}' });
});

Deno.test("JsonStream stores no more than an object, whatever is between objects", () => {
  const stream = new JsonStream({ maxObject: 100 });
  for (const filler of [" ", "\0", "x", "[", '"']) {
    stream.receive(bytesOf(filler.repeat(100_000) + '{"a":"'));
    while (stream.next() !== undefined);
    assertEquals(stream.pending, 6);
    stream.reset();
  }
});

Deno.test("JsonStream reads windows-1251 when told to, and UTF-8 first", () => {
  const windows = concat([bytesOf('{"a":"'), Uint8Array.of(0xef, 0xf0, 0xe8, 0xe2, 0xe5, 0xf2), bytesOf('"}')]);
  assertEquals(read(windows), ["not-utf8"]);
  assertEquals(read(windows, { fallbackEncoding: "windows-1251" }), [{ a: "привет" }]);
  assertEquals(read('{"a":"привет 😀"}', { fallbackEncoding: "windows-1251" }), [{ a: "привет 😀" }]);
  assertEquals(read(concat([windows, bytesOf("{}")])), ["not-utf8", {}]);
});

Deno.test("JsonStream knows a pickle by its first bytes and reads nothing after it", () => {
  for (const pickle of ["80037d71", "8004958a", "286470300a", "7d71002e"]) {
    assertEquals(read(concat([Uint8Array.fromHex(pickle), bytesOf('{"a":1}')])), ["pickle"]);
  }
  assertEquals(read('(dq {"a":1}'), ["garbage", { a: 1 }]);
  assertEquals(read('} {"a":1}'), ["garbage", { a: 1 }]);
  assertEquals(read(concat([bytesOf('{"a":1}'), Uint8Array.of(0x80, 0x03)])), [{ a: 1 }, "garbage"]);
});

Deno.test("JsonStream keeps a key named __proto__ as a field", () => {
  const [object] = read('{"__proto__":{"admin":true}}') as [Record<string, unknown>];
  assertEquals(object.admin, undefined);
  assertEquals(Object.keys(object), ["__proto__"]);
});

Deno.test("JsonStream.streams tells who writes lines, or three objects at once", () => {
  for (
    const [chunks, streams] of [
      [['{"a":1}'], false],
      [['{"a":1}', '{"b":2}', '{"c":3}', '{"d":4}'], false],
      [['{"a":1}{"b":2}'], false],
      [['{"a":1}{"b":2}{"c":3}'], true],
      [['{"a":1}\n'], true],
      [['{"a":1}\r\n'], true],
      [['{"a":1}', "\n"], true],
      [['{"a":1}', "\r", "\n"], true],
      [["{\n"], false],
      [['{\n"a":1\n}'], false],
      [['\n{"a":1}'], false],
      [['{"a":1}x\n'], false],
    ] as const
  ) {
    const stream = new JsonStream();
    for (const chunk of chunks) {
      stream.receive(bytesOf(chunk));
      while (stream.next() !== undefined);
    }
    assertEquals(stream.streams, streams, JSON.stringify(chunks));
  }
});

Deno.test("JsonStream.streams is known with the object that a line end follows", () => {
  for (const line of ['{"a":1}\n', '{"a":1}\r\n']) {
    const stream = new JsonStream();
    stream.receive(bytesOf(line));
    stream.next();
    assert(stream.streams);
  }
});

Deno.test("JsonStream.reset() is for all lines of the object", () => {
  const stream = new JsonStream();
  stream.receive(bytesOf('{\n  "a": 1,\n'));
  assertEquals(stream.next(), undefined);
  stream.reset();
  stream.receive(bytesOf('  "b": 2,\n  "c": 3\n}\n{"d":4}\nx'));
  assertEquals(stream.next(), { type: "object", object: { d: 4 }, text: '{"d":4}' });
  assertEquals(stream.next(), { type: "garbage" });
});

Deno.test("JsonStream.reset() gives an object up and what comes of it is not told of", () => {
  const stream = new JsonStream();
  stream.receive(bytesOf('{"a":{"b":"'));
  assertEquals(stream.next(), undefined);
  assert(stream.unfinished);
  stream.reset();
  assert(!stream.unfinished);
  assertEquals(stream.pending, 0);
  stream.end();
  stream.receive(bytesOf('c"}} {"d":1}'));
  assertEquals(stream.next()?.type, "object");
  assertEquals(stream.next(), undefined);
});

Deno.test("JsonStream.end() tells a clean end from one in the middle of an object", () => {
  const bytes = bytesOf(' {"a":"}"} ');
  for (let length = 0; length <= bytes.length; length++) {
    const stream = new JsonStream();
    stream.receive(bytes.subarray(0, length));
    while (stream.next() !== undefined);
    if (length > 1 && length < 10) assertThrows(() => stream.end(), TruncatedError, "in the middle of it");
    else stream.end();
  }
});

/** Pieces of streams, good and bad. */
const pieces = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { maxKeys: 4 }).map((object) =>
    JSON.stringify(object)
  ),
  fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }).map((object) => JSON.stringify(object, null, 2)),
  fc.constantFrom("\n", "\r\n", "{", "}", "[", "]", '"', "\\", "x", "(dp", "\0", ",", " "),
).map(bytesOf);
const streams = fc.array(fc.oneof({ weight: 5, arbitrary: pieces }, fc.uint8Array({ maxLength: 20 })), {
  maxLength: 12,
})
  .map((pieces: Uint8Array[]) => concat(pieces));

Deno.test("JsonStream gives the same events wherever the stream is cut", () => {
  const options = [{}, { maxObject: 20, maxDepth: 2 }, { fallbackEncoding: "windows-1251" }] as const;
  fc.assert(
    fc.property(streams, cuts, fc.constantFrom(...options), (stream, sizes, options) => {
      const whole = eventsOf([stream], options);
      assertEquals(eventsOf(cut(stream, sizes), options), whole);
      assertEquals(eventsOf(cut(stream, [1]), options), whole);
    }),
    { numRuns: 500 },
  );
});

Deno.test("JsonStream finds what JSON.stringify() wrote, with anything allowed between", () => {
  const objects = fc.array(fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue(), { maxKeys: 5 }), {
    maxLength: 8,
  });
  const gaps = fc.constantFrom("", "\n", "\r\n", " , ", "\0");
  fc.assert(fc.property(objects, gaps, fc.constantFrom(0, 2), cuts, (objects, gap, indent, sizes) => {
    const texts = objects.map((object) => JSON.stringify(object, null, indent));
    const events = eventsOf(cut(bytesOf(texts.join(gap)), sizes));
    assertEquals(events, texts.map((text) => ({ type: "object", object: JSON.parse(text), text })));
  }));
});

Deno.test("JsonStream makes of garbage events and nothing else, and never holds more than an object", () => {
  fc.assert(fc.property(streams, cuts, fc.integer({ min: 1, max: 30 }), (stream, sizes, maxObject) => {
    const reader = new JsonStream({ maxObject });
    for (const chunk of cut(stream, sizes)) {
      reader.receive(chunk);
      while (reader.next() !== undefined);
      assert(reader.pending <= Math.max(maxObject, 2)); // two bytes may begin a pickle
    }
  }));
});
