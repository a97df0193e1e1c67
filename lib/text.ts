/**
 * UTF-8 that arrives in pieces, and text from strangers made fit for a screen.
 * @module
 */
import { concat } from "@std/bytes";
import { decodeText, encodeText } from "./bytes.ts";

/** A stretch of valid text, or of bytes that are no UTF-8. */
export type TextRun = string | Uint8Array;

/**
 * Splits a byte stream into valid text and invalid bytes without losing either: a character cut by the end of a chunk
 * waits (at most 3 bytes) for the rest of it.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const reader = new Utf8Reader();
 * assertEquals(reader.receive(Uint8Array.of(0x68, 0xd0)), ["h"]);
 * assertEquals(reader.receive(Uint8Array.of(0xb9, 0xff)), ["й", Uint8Array.of(0xff)]);
 * ```
 */
export class Utf8Reader {
  #held: Uint8Array = new Uint8Array();

  /** The runs that the chunk completes, in order. */
  receive(chunk: Uint8Array): TextRun[] {
    const bytes = this.#held.length === 0 ? chunk : concat([this.#held, chunk]);
    const runs: TextRun[] = [];
    let start = 0; // of the current run
    let valid = true; // what the current run is
    let i = 0;
    const finishRun = () => {
      const run = bytes.subarray(start, i);
      if (run.length > 0) runs.push(valid ? decodeText(run) : run.slice());
      start = i;
    };
    for (; i < bytes.length;) {
      const length = sequenceLength(bytes, i);
      if (length === undefined) break; // cut: wait for the rest
      if (valid !== length > 0) {
        finishRun();
        valid = length > 0;
      }
      i += Math.max(length, 1);
    }
    finishRun();
    this.#held = bytes.slice(i);
    return runs;
  }

  /** What was still waiting when the stream ended. */
  end(): Uint8Array[] {
    const rest = this.#held;
    this.#held = new Uint8Array();
    return rest.length === 0 ? [] : [rest];
  }
}

/** Bytes of the UTF-8 sequence at `at` (RFC 3629 §4): 0 if there is none, undefined if the bytes end within it. */
function sequenceLength(bytes: Uint8Array, at: number): number | undefined {
  const lead = bytes[at]!;
  if (lead < 0x80) return 1;
  const length = lead >= 0xc2 && lead < 0xe0
    ? 2
    : lead >= 0xe0 && lead < 0xf0
    ? 3
    : lead >= 0xf0 && lead < 0xf5
    ? 4
    : 0;
  // The second byte excludes overlong forms, surrogates and what lies above U+10FFFF.
  let low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  let high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return undefined;
    if (byte < low || byte > high) return 0;
    [low, high] = [0x80, 0xbf];
  }
  return length;
}

/**
 * Controls (C0, DEL, C1), line separators, and what only steers others: bidirectional controls, unseen tags. Not ZERO WIDTH
 * NON-JOINER and JOINER: Persian and Hindi are written with them, and families of emoji; no more than the shape of their
 * neighbours depends on them.
 */
const CONTROLS = /(?![\u200c\u200d])[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]/gu;
const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/**
 * Text that shows itself on a screen and does nothing else: controls become `\n`, `\x1b` or `\u202e`.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(printable("red \x1b[31m\n"), "red \\x1b[31m\\n");
 * ```
 */
export function printable(text: string): string {
  return text.replace(CONTROLS, (control) => NAMED[control] ?? escapeUnits(control, escapeCode));
}

/** Each UTF-16 unit of a control escaped: those above U+FFFF have two. */
function escapeUnits(control: string, escape: (unit: number) => string): string {
  return control.split("").map((unit) => escape(unit.charCodeAt(0))).join("");
}

/**
 * A value as JSON (RFC 8259) that shows itself on a screen and does nothing else: controls are escaped.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(printableJson({ text: "\x9b5m" }), '{"text":"\\u009b5m"}');
 * ```
 */
export function printableJson(value: unknown): string {
  const escape = (unit: number) => `\\u${unit.toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(CONTROLS, (control) => escapeUnits(control, escape));
}

/** The same for runs of a {@linkcode Utf8Reader}: bytes that are no UTF-8 become `\xff`. */
export function printableRuns(runs: Iterable<TextRun>): string {
  return Array.from(runs, (run) => typeof run === "string" ? printable(run) : Array.from(run, escapeCode).join(""))
    .join("");
}

/** The same for the bytes of a whole text. */
export function printableBytes(bytes: Uint8Array): string {
  const reader = new Utf8Reader();
  return printableRuns([...reader.receive(bytes), ...reader.end()]);
}

function escapeCode(code: number): string {
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

/**
 * Turns the chunks of a byte stream into upper case: text by Unicode's rules, invalid bytes as they are. A character cut
 * by the end of a chunk comes with the next one.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const upperCase = new UpperCase();
 * assertEquals(upperCase.receive(new TextEncoder().encode("one й")), new TextEncoder().encode("ONE Й"));
 * ```
 */
export class UpperCase {
  readonly #reader = new Utf8Reader();

  /** The upper case of what the chunk completes. */
  receive(chunk: Uint8Array): Uint8Array {
    return concat(
      this.#reader.receive(chunk).map((run) => typeof run === "string" ? encodeText(run.toUpperCase()) : run),
    );
  }

  /** What was still waiting when the stream ended: no character, so it stays as it is. */
  end(): Uint8Array {
    return concat(this.#reader.end());
  }
}
