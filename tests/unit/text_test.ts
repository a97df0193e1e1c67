import fc from "fast-check";
import { concat } from "@std/bytes";
import { encodeText } from "../../lib/bytes.ts";
import { printable, printableJson, printableRuns, type TextRun, UpperCase, Utf8Reader } from "../../lib/text.ts";
import { assert, assertEquals } from "../assert.ts";

/** Text, damaged text and noise, one after the other. */
const bytes = fc.array(fc.oneof(
  fc.string({ unit: "binary" }).map(encodeText),
  fc.tuple(fc.string({ unit: "binary" }), fc.nat(4)).map(([text, count]) => encodeText(text).slice(count)),
  fc.uint8Array({ maxLength: 8 }),
  fc.constantFrom([0xc0, 0x80], [0xe0, 0x80, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [
    0xf5,
    0x80,
    0x80,
    0x80,
  ], [0xef, 0xbb, 0xbf])
    .map((bytes) => Uint8Array.from(bytes)),
)).map((parts) => concat(parts));
/** The same bytes, and a way to cut them. */
const cutBytes = fc.tuple(bytes, fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }));

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; start += sizes[i++ % sizes.length]!) {
    yield bytes.subarray(start, start + sizes[i % sizes.length]!);
  }
}

function readAll(chunks: Iterable<Uint8Array>): TextRun[] {
  const reader = new Utf8Reader();
  return [...Array.from(chunks, (chunk) => reader.receive(chunk)).flat(), ...reader.end()];
}

function encodeRuns(runs: TextRun[]): Uint8Array {
  return concat(runs.map((run) => typeof run === "string" ? encodeText(run) : run));
}

Deno.test("Utf8Reader: text and invalid bytes, wherever the stream is cut, are the stream", () => {
  fc.assert(fc.property(cutBytes, ([bytes, sizes]) => {
    assertEquals(encodeRuns(readAll(cut(bytes, sizes))), bytes);
  }));
});

Deno.test("Utf8Reader: the same runs come out wherever the stream is cut", () => {
  const shown = (runs: TextRun[]) => printableRuns(runs);
  fc.assert(fc.property(cutBytes, ([bytes, sizes]) => {
    assertEquals(shown(readAll(cut(bytes, sizes))), shown(readAll([bytes])));
  }));
});

Deno.test("Utf8Reader: what is text is what TextDecoder takes for text", () => {
  const text = (runs: TextRun[]) => runs.filter((run) => typeof run === "string").join("");
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  fc.assert(fc.property(cutBytes, ([bytes, sizes]) => {
    const expected = decoder.decode(bytes).replaceAll("\ufffd", "");
    assertEquals(text(readAll(cut(bytes, sizes))).replaceAll("\ufffd", ""), expected);
  }));
});

Deno.test("Utf8Reader: at most 3 bytes wait for the rest of their character", () => {
  fc.assert(fc.property(cutBytes, ([bytes, sizes]) => {
    const reader = new Utf8Reader();
    let waiting = 0;
    for (const chunk of cut(bytes, sizes)) {
      waiting += chunk.length - encodeRuns(reader.receive(chunk)).length;
      assert(waiting <= 3, `${waiting} bytes wait`);
    }
    assertEquals(encodeRuns(reader.end()).length, waiting);
    assertEquals(reader.end(), []);
  }));
});

Deno.test("Utf8Reader: a chunk may be overwritten after it was received", () => {
  const reader = new Utf8Reader();
  const chunk = Uint8Array.of(0x68, 0xff, 0xd0);
  const runs = reader.receive(chunk);
  chunk.fill(0x21);
  assertEquals([...runs, ...reader.receive(Uint8Array.of(0xb9))], ["h", Uint8Array.of(0xff), "й"]);
});

Deno.test("printable: leaves no control, no line separator and no unseen character", () => {
  fc.assert(fc.property(bytes, (bytes) => {
    const shown = printableRuns(readAll([bytes]));
    assertEquals(shown.replace(/[\u200c\u200d]/g, "").match(/[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/u), null);
  }));
});

Deno.test("printable: escapes what a terminal would obey and shows the rest as it is", () => {
  const cases: [string, string][] = [
    ["plain wörld 世界 👋", "plain wörld 世界 👋"],
    ["👨‍👩‍👧 می‌خواهم क्‍ष", "👨\u200d👩\u200d👧 می\u200cخواهم क्\u200dष"],
    ["a\r\n\tb", "a\\r\\n\\tb"],
    ["\x1b[31m\x07\x00\x7f", "\\x1b[31m\\x07\\x00\\x7f"],
    ["\x9b2J", "\\x9b2J"],
    ["\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"],
    ["\u2028\u200b\ufeff", "\\u2028\\u200b\\ufeff"],
    ["a\xadb\u206a\ufff9", "a\\xadb\\u206a\\ufff9"],
    ["nothing\u{e0068}\u{e0069}", "nothing\\udb40\\udc68\\udb40\\udc69"], // tags: "hi", unseen
  ];
  for (const [text, shown] of cases) assertEquals(printable(text), shown);
  for (const [text] of cases) {
    const json = printableJson({ text });
    assertEquals([JSON.parse(json), printable(json)], [{ text }, json]);
  }
  assertEquals(printableRuns(["é", Uint8Array.of(0xff, 0x0a), "!"]), "é\\xff\\x0a!");
});

Deno.test("UpperCase: text cut anywhere becomes the upper case of the whole; invalid bytes stay", () => {
  const upper = (runs: TextRun[]) => encodeRuns(runs.map((run) => typeof run === "string" ? run.toUpperCase() : run));
  fc.assert(fc.property(cutBytes, ([bytes, sizes]) => {
    const upperCase = new UpperCase();
    const answers = Array.from(cut(bytes, sizes), (chunk) => upperCase.receive(chunk));
    assertEquals(concat([...answers, upperCase.end()]), upper(readAll([bytes])));
  }));
});

Deno.test("UpperCase: the beginning of a character that never ends comes out at the end of the stream", () => {
  const upperCase = new UpperCase();
  assertEquals(upperCase.receive(Uint8Array.of(0x61, 0xd0)), Uint8Array.of(0x41));
  assertEquals(upperCase.end(), Uint8Array.of(0xd0));
});
