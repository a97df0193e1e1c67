import fc from "fast-check";
import { concat } from "@std/bytes";
import { formatChunk } from "../../lib/wiretap/chunk_text.ts";
import { Tap, type TapOptions } from "../../lib/wiretap/tap.ts";
import { TextFinder } from "../../lib/wiretap/text_finder.ts";
import { assert, assertEquals, assertMatch, assertThrows } from "../assert.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const ENDS = { client: "127.0.0.1:52114", target: "127.0.0.1:9001" };
const NOON = new Date(2026, 0, 2, 12, 0, 0, 7).getTime();

Deno.test("TextFinder finds the text exactly when the whole stream holds it, at the same place", () => {
  const chunks = fc.array(fc.array(fc.constantFrom("a", "b"), { maxLength: 6 }).map((letters) => letters.join("")));
  const texts = fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 5 }).map((letters) => letters.join(""));
  fc.assert(fc.property(chunks, texts, (chunks, text) => {
    const finder = new TextFinder(text);
    const found = chunks.map((chunk) => finder.receive(encode(chunk))).find((place) => place !== undefined);
    const place = chunks.join("").indexOf(text);
    assertEquals(found, place === -1 ? undefined : place);
  }));
});

Deno.test("TextFinder finds letters that a chunk border cuts, and refuses an empty text", () => {
  const finder = new TextFinder("мир");
  const bytes = encode("привет, мир");
  assertEquals(Array.from(bytes, (byte) => finder.receive(Uint8Array.of(byte))).at(-1), encode("привет, ").length);
  assertThrows(() => new TextFinder(""), RangeError);
});

Deno.test("formatChunk() shows 16 bytes a row with their offset in the stream; what is no ASCII is a dot", () => {
  const bytes = concat([encode("Hello, \x1b[31mworld"), Uint8Array.of(0xff, 0x7f, 0x0a)]);
  assertEquals(formatChunk(bytes, { offset: 100, limit: 256 }), [
    "     100  48 65 6c 6c 6f 2c 20 1b  5b 33 31 6d 77 6f 72 6c  |Hello, .[31mworl|",
    "     116  64 ff 7f 0a                                       |d...|",
  ]);
});

Deno.test("formatChunk() counts what is over the limit; a limit of 0 shows nothing", () => {
  assertEquals(formatChunk(new Uint8Array(40), { limit: 16 }).at(-1), "          … 24 more bytes");
  assertEquals(formatChunk(new Uint8Array(40), { limit: 0 }), []);
  assertEquals(formatChunk(new Uint8Array(), { limit: 16 }), []);
});

Deno.test("formatChunk() prints nothing that a terminal obeys, and loses no byte", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
    const rows = formatChunk(bytes, { limit: Infinity });
    for (const row of rows) assertMatch(row, /^[\x20-\x7e]*$/);
    assertEquals(rows.map((row) => row.slice(10, 58).replaceAll(" ", "")).join(""), bytes.toHex());
  }));
});

/** A tap, what it prints and where it says that it has found. */
function tapped(options: Partial<TapOptions> = {}) {
  const lines: string[] = [];
  const found: string[] = [];
  const tap = new Tap({
    print: (line) => lines.push(line),
    show: 256,
    onFound: (where) => found.push(where),
    now: () => NOON,
    ...options,
  });
  return { tap, lines, found };
}

Deno.test("Tap shows time, connection number, direction, length, offset and fate of each chunk", () => {
  const { tap, lines } = tapped();
  const connection = tap.open("tcp", ENDS);
  connection.send("up", encode("hi\n"));
  connection.send("down", encode("!"));
  connection.send("up", encode("."), "byte 3 corrupted");
  connection.end("up");
  tap.open("tcp", ENDS).reset("connection reset by peer");
  assertEquals(lines, [
    "12:00:00.007 #1 127.0.0.1:52114 to 127.0.0.1:9001",
    "12:00:00.007 #1 -> 3 bytes at 0",
    "       0  68 69 0a                                          |hi.|",
    "12:00:00.007 #1 <- 1 byte at 0",
    "       0  21                                                |!|",
    "12:00:00.007 #1 -> 1 byte at 3 (byte 3 corrupted)",
    "       3  2e                                                |.|",
    "12:00:00.007 #1 -> end",
    "12:00:00.007 #2 127.0.0.1:52114 to 127.0.0.1:9001",
    "12:00:00.007 #2 broken off: connection reset by peer",
  ]);
  assertEquals(tap.summary, "2 connections, 5 bytes");
});

Deno.test("Tap counts the offsets of datagrams within each one", () => {
  const { tap, lines } = tapped();
  const client = tap.open("udp", ENDS);
  client.send("up", encode("a"));
  client.send("up", encode("b"), "dropped");
  assertEquals(lines.slice(1), [
    "12:00:00.007 #1 -> 1 byte",
    "       0  61                                                |a|",
    "12:00:00.007 #1 -> 1 byte (dropped)",
    "       0  62                                                |b|",
  ]);
});

Deno.test("Tap finds the text in one direction of one connection, not across them", () => {
  const { tap, found } = tapped({ find: "secret" });
  const [one, other] = [tap.open("tcp", ENDS), tap.open("tcp", ENDS)];
  one.send("up", encode("my sec"));
  one.send("down", encode("ret"));
  other.send("up", encode("ret"));
  assertEquals(found, []);
  one.send("up", encode("ret"));
  assertEquals(found, ["#1 -> at 3"]);
});

Deno.test("Tap saves a header, then whole records, the handshake first", () => {
  const saved: Uint8Array[] = [];
  const { tap } = tapped({ save: (bytes) => saved.push(bytes), print: undefined });
  const connection = tap.open("tcp", ENDS);
  connection.send("up", encode("hello"));
  connection.end("up");
  connection.reset("gone");
  const lengths = saved.map((bytes) => bytes.length);
  assertEquals(lengths, [24, 16 + 44, 16 + 44, 16 + 40, 16 + 45, 16 + 40, 16 + 40, 16 + 40, 16 + 40]);
  assert(new TextDecoder().decode(saved[4]).endsWith("hello"));
});
