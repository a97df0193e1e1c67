import fc from "fast-check";
import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { TelnetFilter } from "../../lib/telnet.ts";
import { assert, assertEquals } from "../assert.ts";

const IAC = 255;

/** What passes the filter when the bytes arrive in chunks of `size`. */
function filtered(bytes: Uint8Array, size = bytes.length): Uint8Array {
  const filter = new TelnetFilter();
  const chunks = Array.from(
    { length: Math.ceil(bytes.length / size) },
    (_, i) => bytes.subarray(i * size, (i + 1) * size),
  );
  return concat(chunks.map((chunk) => filter.receive(chunk)));
}

Deno.test("TelnetFilter takes commands, options and parameters out, wherever the stream is cut", () => {
  const commands = [
    [IAC, 241], // NOP
    [IAC, 251, 1], // WILL ECHO
    [IAC, 252, 1],
    [IAC, 253, IAC], // DO, with an option that looks like IAC
    [IAC, 254, 6],
    [IAC, 250, 24, 0, 0x78, IAC, IAC, 0x79, IAC, 240], // SB TERMINAL-TYPE ... SE
  ];
  for (const command of commands) {
    const stream = concat([encodeText("before "), Uint8Array.from(command), encodeText("after")]);
    for (let size = 1; size <= stream.length; size++) assertEquals(decodeText(filtered(stream, size)), "before after");
  }
});

Deno.test("TelnetFilter takes IAC IAC for the byte 255, and leaves alone what is no telnet", () => {
  assertEquals(filtered(Uint8Array.of(1, IAC, IAC, 2)), Uint8Array.of(1, IAC, 2));
  assertEquals(filtered(Uint8Array.of(1, IAC, 0x41, 2)), Uint8Array.of(1, IAC, 0x41, 2));
  assertEquals(filtered(Uint8Array.of(1, IAC, 0x41, 2), 2), Uint8Array.of(1, IAC, 0x41, 2));
});

Deno.test("TelnetFilter changes no text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 1, max: 9 }), (text, size) => {
    assertEquals(filtered(encodeText(text), size), encodeText(text));
  }));
});

Deno.test("TelnetFilter brings out of any bytes no more than went in", () => {
  const bytes = fc.array(fc.oneof(fc.nat(255), fc.integer({ min: 236, max: 255 }))).map((all) => Uint8Array.from(all));
  fc.assert(fc.property(bytes, fc.integer({ min: 1, max: 9 }), (bytes, size) => {
    const whole = filtered(bytes);
    assert(whole.length <= bytes.length);
    assertEquals(filtered(bytes, size), whole);
  }));
});

Deno.test("TelnetFilter tells that a key which interrupts was pressed: what telnet sends for Ctrl-C", () => {
  const filter = new TelnetFilter();
  assertEquals(filter.receive(Uint8Array.of(0x68, IAC)), Uint8Array.of(0x68));
  assertEquals(filter.interrupted, false);
  assertEquals(filter.receive(Uint8Array.of(244, IAC, 253, 6)).length, 0); // IP, DO TIMING-MARK
  assertEquals(filter.interrupted, true);
});

Deno.test("TelnetFilter has the answer that telnet waits for after Ctrl-C, once for each mark", () => {
  const filter = new TelnetFilter();
  assertEquals(filter.takeAnswers().length, 0);
  for (const byte of [IAC, 253, 6, IAC, 253, 1, IAC, 251, 6, IAC, 253, 6]) filter.receive(Uint8Array.of(byte));
  assertEquals(filter.takeAnswers(), Uint8Array.of(IAC, 252, 6, IAC, 252, 6)); // WONT TIMING-MARK, RFC 860
  assertEquals(filter.takeAnswers().length, 0);
});
