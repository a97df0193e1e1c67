import fc from "fast-check";
import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { MAX_LINE_LENGTH } from "../../lib/files/commands.ts";
import { CommandReader, type LineEvent } from "../../lib/files/session.ts";
import { assert, assertEquals } from "../assert.ts";

/** A line, or bytes of a body. */
type Seen = LineEvent | string;

/** What a stream in chunks means; an UPLOAD is followed by its body. */
function read(chunks: Iterable<Uint8Array>, reader = new CommandReader()): Seen[] {
  const seen: Seen[] = [];
  let body: Uint8Array[] = [];
  let isBody = false;
  for (const chunk of chunks) {
    reader.receive(chunk);
    for (;;) {
      if (isBody) {
        body.push(reader.takeBody());
        if (reader.bodyLeft > 0) break;
        seen.push(decodeText(concat(body)));
        [body, isBody] = [[], false];
      }
      const event = reader.next();
      if (event === undefined) break;
      seen.push(event);
      if (event.type === "command" && event.command.verb === "UPLOAD") {
        const { size, sha256 } = event.command;
        reader.expectBody(size, { digestFollows: sha256 === "AFTER" });
        isBody = true;
      }
    }
  }
  return seen;
}

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + sizes[i % sizes.length]!;
    yield bytes.subarray(start, end);
    start = end;
  }
}

function readText(text: string): Seen[] {
  return read([encodeText(text)]);
}

const echo = (text: string): LineEvent => ({ type: "command", command: { verb: "ECHO", text } });
const DIGEST = "0123456789abcdef".repeat(4);
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

Deno.test("CommandReader gives the same commands and bodies wherever the stream is cut", () => {
  const body = fc.string({ unit: fc.constantFrom("a", "\n", "QUIT\r\n", "\xff", "é"), maxLength: 9 });
  const parts = fc.array(fc.oneof(
    body.map((text) => `UPLOAD a ${encodeText(text).length}\r\n${text}`),
    body.map((text) => `UPLOAD a ${encodeText(text).length} SHA256=AFTER\n${text}${DIGEST}\r\n`),
    fc.constantFrom("ECHO hi\r\n", "echo ё\n", "FOO\n", "\n", "STAT a 5\r\n", "HASH a x\n", "ECHO a\x01\n"),
  ));
  fc.assert(fc.property(parts, cuts, (parts, sizes) => {
    const stream = encodeText(`${parts.join("")}ECHO unfinished`);
    const whole = read([stream]);
    assertEquals(whole.filter((seen) => typeof seen !== "string" && seen.type !== "digest").length, parts.length);
    for (const chunks of [cut(stream, [1]), cut(stream, sizes)]) assertEquals(read(chunks), whole);
  }));
});

Deno.test("CommandReader: a body is its bytes, whatever they look like; the next line follows it", () => {
  assertEquals(readText("UPLOAD a 6\r\nQUIT\r\nECHO b\n").slice(1), ["QUIT\r\n", echo("b")]);
  assertEquals(readText("UPLOAD a 0\nECHO b\n").slice(1), ["", echo("b")]);
  const telnet = Uint8Array.of(255, 253, 6, 255, 255); // is no telnet there
  const reader = new CommandReader();
  reader.receive(concat([encodeText("UPLOAD a 5\n"), telnet]));
  reader.next();
  reader.expectBody(5);
  assertEquals(reader.takeBody(), telnet);
});

Deno.test("CommandReader: bytes of the body may go past it", () => {
  const reader = new CommandReader();
  reader.receive(encodeText("UPLOAD a 10\nabc"));
  reader.next();
  reader.expectBody(10);
  assertEquals(reader.takeBody().length, 3);
  assertEquals(reader.next(), undefined);
  reader.passBody(7);
  assertEquals(reader.bodyLeft, 0);
  reader.receive(encodeText("ECHO x\n"));
  assertEquals(reader.next(), echo("x"));
});

Deno.test("CommandReader: after the body its digest, as a line; something else is 501, and stays in step", () => {
  const upload = "UPLOAD a 1 SHA256=AFTER\r\nx";
  const after = (line: string) => readText(`${upload}${line}ECHO b\r\n`).slice(2);
  assertEquals(after(`${DIGEST.toUpperCase()}\r\n`), [{ type: "digest", sha256: DIGEST }, echo("b")]);
  const [refused, next] = after("QUIT\n") as [LineEvent, LineEvent];
  assert(refused.type === "refused" && refused.code === 501 && !refused.ends);
  assertEquals(next, echo("b"));
});

/** The only event of a line, which is refused. */
function refusal(bytes: Uint8Array): LineEvent & { type: "refused" } {
  const [event, ...rest] = read([bytes]);
  assert(typeof event === "object" && event.type === "refused" && rest.length === 0, JSON.stringify(event));
  return event;
}

Deno.test("CommandReader: controls, NUL and what is no UTF-8 are 500 and stay in step; a tab is a space", () => {
  for (const byte of [0, 1, 7, 0x0b, 0x0d, 0x1b, 0xff, 0xc0, 0x80]) {
    const { code, ends } = refusal(Uint8Array.of(0x45, byte, 0x41, 0x0a));
    assertEquals([code, ends], [500, false], `${byte}`);
  }
  assertEquals(read([Uint8Array.of(0x45, 0xff, 0x0a), encodeText("ECHO x\n")])[1], echo("x"));
  assertEquals(readText("ECHO\ta\tb\n"), [echo("a\tb")]);
});

Deno.test("CommandReader: BACKSPACE and DELETE take characters back", () => {
  assertEquals(readText("\x08ECHA\x08O \u{1f600}\x7fab\x08\x08c\r\n"), [echo("c")]);
});

Deno.test("CommandReader takes a line of 4096 bytes with its end; one byte more is 500, and the end", () => {
  for (const end of ["\n", "\r\n"]) {
    const text = "x".repeat(MAX_LINE_LENGTH - "ECHO ".length - end.length);
    assertEquals(readText(`ECHO ${text}${end}`), [echo(text)]);
    const { code, text: why, ends } = refusal(encodeText(`ECHO ${text}x${end}ECHO y\n`));
    assertEquals([code, why, ends], [500, "line too long: limit is 4096 bytes", true]);
  }
});

Deno.test("CommandReader: a line without end is refused as soon as it is too long, and nothing is stored after it", () => {
  const reader = new CommandReader();
  const events = read(Array(1000).fill(new Uint8Array(1000).fill(0x78)), reader);
  assertEquals(events.length, 1);
  assert(reader.pending < 10_000);
});

Deno.test("CommandReader: UPLOAD with wrong arguments is the end: where its body ends is unknown", () => {
  assertEquals(refusal(encodeText("UPLOAD a -5\nECHO x\n")).ends, true);
});

Deno.test("CommandReader takes telnet's commands out of lines, and has the answer that it waits for", () => {
  const interrupt = Uint8Array.of(255, 244, 255, 253, 6); // IP, DO TIMING-MARK: Ctrl-C
  const stream = concat([Uint8Array.of(255, 251, 10), encodeText("EC"), interrupt, encodeText("HO x\n")]);
  for (let size = 1; size <= stream.length; size++) {
    const reader = new CommandReader();
    assertEquals(read(cut(stream, [size]), reader), [echo("x")]);
    assertEquals(reader.takeAnswers(), Uint8Array.of(255, 252, 6));
    assertEquals(reader.takeAnswers().length, 0);
  }
  const reader = new CommandReader();
  read([interrupt], reader);
  assertEquals(reader.takeAnswers().length, 3); // at once, without a line's end
});

Deno.test("CommandReader.isInLine tells whether a line has begun", () => {
  const reader = new CommandReader();
  for (const [text, expected] of [["", false], ["EC", true], ["HO x\n", false], ["\n", false], ["a", true]] as const) {
    read([encodeText(text)], reader);
    assertEquals(reader.isInLine, expected, text);
  }
});

Deno.test("CommandReader makes of garbage events, and holds no more than a line", () => {
  const bytes = fc.array(fc.oneof(fc.nat(255), fc.constantFrom(10, 13, 255, 253, 250, 240, 8, 127)), {
    maxLength: 300,
  });
  fc.assert(fc.property(bytes, cuts, (bytes, sizes) => {
    const reader = new CommandReader();
    const events = read(cut(Uint8Array.from(bytes), sizes), reader);
    assert(events.every((event) => typeof event === "string" || event.type !== "digest"));
    assert(reader.pending <= MAX_LINE_LENGTH + 40);
  }));
});
