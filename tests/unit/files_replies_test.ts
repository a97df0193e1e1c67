import fc from "fast-check";
import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { ProtocolError } from "../../lib/errors.ts";
import {
  COMPLETE,
  FOLLOWS,
  formatReply,
  HASHED,
  LISTED,
  LISTED_PARTIAL,
  MAX_REPLY_LENGTH,
  OTHER_OFFSET,
  PARTIAL,
  PROGRESS,
  type ReplyLine,
  ReplyReader,
  SEND,
  SENT,
  STORED,
  WORKING,
} from "../../lib/files/replies.ts";
import { changedAt } from "../../lib/net/files/disk.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const texts = fc.string({ unit: fc.constantFrom("a", " ", "-", "5", "é", "\t"), maxLength: 20 });
const replies = fc.array(
  fc.tuple(fc.integer({ min: 100, max: 599 }), fc.array(texts, { minLength: 1, maxLength: 4 })),
  { maxLength: 6 },
);
const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });

function linesOf(replies: readonly (readonly [number, readonly string[]])[]): ReplyLine[] {
  return replies.flatMap(([code, texts]) => texts.map((text, i) => ({ code, text, more: i < texts.length - 1 })));
}

function encode(lines: readonly ReplyLine[]): Uint8Array {
  return encodeText(lines.map(({ code, text, more }) => formatReply(code, text, more)).join(""));
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; start += sizes[i++ % sizes.length]!) {
    yield bytes.subarray(start, start + sizes[i % sizes.length]!);
  }
}

function read(chunks: Iterable<Uint8Array>, reader = new ReplyReader()): ReplyLine[] {
  return Array.from(chunks, (chunk) => {
    reader.receive(chunk);
    const lines = [];
    for (let line; (line = reader.next()) !== undefined;) lines.push(line);
    return lines;
  }).flat();
}

Deno.test("ReplyReader gives the lines that formatReply() made, wherever the stream is cut", () => {
  fc.assert(fc.property(replies, cuts, (replies, sizes) => {
    const lines = linesOf(replies);
    const stream = concat([encode(lines), encodeText("22")]);
    for (const chunks of [[stream], cut(stream, [1]), cut(stream, sizes)]) assertEquals(read(chunks), lines);
  }));
});

Deno.test("ReplyReader takes LF for CRLF, and leaves a body as it is", () => {
  const reader = new ReplyReader();
  const lines = read([encodeText("150 2 0 2\n")], reader);
  assertEquals(lines, [{ code: 150, text: "2 0 2", more: false }]);
  reader.receive(concat([Uint8Array.of(0xff, 0x0a), encodeText("226 sent\r\n")]));
  assertEquals(reader.pending, 12);
  assertEquals(reader.takeBody(2), Uint8Array.of(0xff, 0x0a));
  assertEquals(reader.next(), { code: 226, text: "sent", more: false });
  assertEquals(reader.takeBody(5).length, 0);
});

Deno.test("ReplyReader refuses what is no reply", () => {
  for (const line of ["hello", "20 x", "2000 x", "200", "600 x", "099 x", "200_x", " 200 x", ""]) {
    assertThrows(() => read([encodeText(`${line}\n`)]), ProtocolError, "Cannot read the reply");
  }
  assertThrows(() => read([encodeText("212-a\n213 b\n")]), ProtocolError, "Cannot read the reply");
});

Deno.test("ReplyReader refuses a line above the limit, and holds no more than that", () => {
  const longest = formatReply(200, "x".repeat(MAX_REPLY_LENGTH - 6));
  assertEquals(read([encodeText(longest)])[0]!.text.length, MAX_REPLY_LENGTH - 6);
  assertThrows(() => read([encodeText(longest.replace("\r", "xx\r"))]), ProtocolError, "limit");
  assertThrows(() => read([new Uint8Array(MAX_REPLY_LENGTH)]), ProtocolError, "limit");
});

Deno.test("ReplyReader makes of garbage lines or a ProtocolError", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), cuts, (garbage, sizes) => {
    try {
      read(cut(concat([encodeText("200 "), garbage]), sizes));
    } catch (error) {
      assert(error instanceof ProtocolError, `${error}`);
    }
  }));
});

const digest = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/), { nil: undefined });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const date = fc.date({ min: new Date(0), max: new Date("9999-01-01"), noInvalidDate: true }).map((date) =>
  date.getTime()
);
const KINDS = {
  ...{
    size: count,
    offset: count,
    count,
    durable: count,
    received: count,
    mtime: count,
    percent: count,
    changed: date,
  },
  ...{ prefix: digest, sha256: digest, id: fc.stringMatching(/^[0-9a-f]{16}$/), name: fc.string({ unit: "grapheme" }) },
};
const TEXTS = {
  ...{
    WORKING,
    PROGRESS,
    SEND,
    FOLLOWS,
    LISTED,
    LISTED_PARTIAL,
    COMPLETE,
    HASHED,
    STORED,
    SENT,
    PARTIAL,
    OTHER_OFFSET,
  },
};

for (const [name, text] of Object.entries(TEXTS)) {
  Deno.test(`${name}.parse() reads what ${name}.format() writes, and free text after it`, () => {
    fc.assert(fc.property(fc.record(KINDS), fc.constantFrom("", " 5 Mbit/s"), (values, rest) => {
      const read = text.parse(text.format(values) + rest) as Record<string, unknown>;
      assert(Object.keys(read).length > 0);
      for (const [key, value] of Object.entries(read)) assertEquals(value, values[key as keyof typeof values]);
    }));
    for (const wrong of ["", "x", `x${text.format({ ...VALUES })}`, `${text.format({ ...VALUES })}x`]) {
      assertThrows(() => text.parse(wrong), ProtocolError, "Cannot read the reply");
    }
  });
}

const VALUES = {
  ...{ size: 1, offset: 1, count: 1, durable: 1, received: 1, mtime: 1, percent: 1, changed: 1 },
  ...{ prefix: undefined, sha256: undefined, id: "0".repeat(16), name: "a" },
};

Deno.test("a number above 2^53 - 1 in a reply is refused", () => {
  assertThrows(() => STORED.parse("stored 9007199254740992 sha256=-"), ProtocolError, "too large");
});

Deno.test("changedAt: a file from another age does not make the list unreadable", () => {
  const info = { size: 1, sha256: undefined, name: "f" };
  for (const time of [NaN, -1, 0, Date.UTC(10_000, 0), 8.64e15]) {
    const changed = changedAt({ mtime: new Date(time) });
    assertEquals(LISTED.parse(LISTED.format({ ...info, changed })), { ...info, changed });
  }
  assertEquals(changedAt({ mtime: null }), 0);
});
