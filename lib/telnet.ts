/**
 * What telnet mixes into the text that its user types: commands that begin with the byte IAC (RFC 854).
 *
 * Layout: `IAC command (1 byte)`, `IAC WILL|WONT|DO|DONT option (1 byte)`, `IAC SB ... IAC SE`; `IAC IAC` is the byte 255
 * itself.
 * @module
 */

const IAC = 255;
const DONT = 254;
const DO = 253;
const WONT = 252;
const WILL = 251;
const SB = 250;
const SE = 240;
/** The keys by which a user wants to end something: interrupt (Ctrl-C), break, abort; end of file (RFC 1184 §2.4). */
const INTERRUPTS: readonly number[] = [244, 243, 238, 236];
/** The option by which telnet finds where its output was when the user interrupted (RFC 860): it shows nothing until the answer. */
const TIMING_MARK = 6;
/** The lowest byte that is a command after IAC. */
const FIRST_COMMAND = 236;

/** What the next byte is. */
type State = "text" | "command" | "option" | "do" | "parameter" | "parameter-command";

/**
 * Takes telnet's commands out of a byte stream, however it is cut. No UTF-8 text has the byte IAC, so that what other
 * programs send passes unchanged.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const filter = new TelnetFilter();
 * assertEquals(filter.receive(Uint8Array.of(0x68, 255, 253)), Uint8Array.of(0x68)); // IAC DO ...
 * assertEquals(filter.receive(Uint8Array.of(1, 0x69)), Uint8Array.of(0x69)); // ... ECHO
 * ```
 */
export class TelnetFilter {
  #state: State = "text";
  #interrupted = false;
  #marks = 0; // that wait for an answer

  /** Whether the user has pressed a key that interrupts, such as Ctrl-C. */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /** The text of the chunk; the chunk itself when there is nothing to take out. */
  receive(chunk: Uint8Array): Uint8Array {
    if (this.#state === "text" && !chunk.includes(IAC)) return chunk;
    return Uint8Array.from(chunk.values().flatMap((byte) => this.#step(byte)));
  }

  /** Takes what telnet waits for: `IAC WONT TIMING-MARK` for each mark that it has asked for. */
  takeAnswers(): Uint8Array {
    const answers = Array.from({ length: this.#marks }, () => [IAC, WONT, TIMING_MARK]).flat();
    this.#marks = 0;
    return Uint8Array.from(answers);
  }

  /** Takes one byte and gives the text that it completes. */
  #step(byte: number): number[] {
    switch (this.#state) {
      case "text":
        if (byte !== IAC) return [byte];
        this.#state = "command";
        return [];
      case "command":
        this.#state = byte === SB ? "parameter" : byte === DO ? "do" : byte >= WILL && byte <= DONT ? "option" : "text";
        this.#interrupted ||= INTERRUPTS.includes(byte);
        if (byte === IAC) return [IAC];
        return byte < FIRST_COMMAND ? [IAC, byte] : []; // not telnet: no text either, but not ours to lose
      case "do":
        if (byte === TIMING_MARK) this.#marks++;
        this.#state = "text";
        return [];
      case "option":
        this.#state = "text";
        return [];
      case "parameter":
        if (byte === IAC) this.#state = "parameter-command";
        return [];
      case "parameter-command":
        this.#state = byte === SE ? "text" : "parameter";
        return [];
    }
  }
}
