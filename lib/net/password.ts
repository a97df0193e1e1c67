/**
 * A password from whoever starts a program: typed at a terminal without being shown, or as the first line of a pipe.
 * @module
 */
import { decodeText, encodeText } from "../bytes.ts";
import { UsageError } from "../errors.ts";

const CTRL_C = 0x03;
const CTRL_D = 0x04;
const CTRL_U = 0x15;
const BACKSPACES = [0x08, 0x7f];
const LINE_ENDS = [0x0a, 0x0d];
/** Bytes of a line that is no password. */
const MAX_LENGTH = 4096;

/**
 * Reads a password. On a terminal `prompt` is shown, and nothing of what is typed. An empty one is none.
 * @throws {Deno.errors.Interrupted} if the user has typed Ctrl-C
 * @throws {UsageError} if it is too long
 */
export async function readPassword(prompt: string): Promise<string> {
  const terminal = Deno.stdin.isTerminal();
  if (terminal) {
    Deno.stdin.setRaw(true); // before anybody is asked to type
    Deno.stderr.writeSync(encodeText(prompt));
  }
  try {
    return decodeText(await readLine());
  } finally {
    if (terminal) {
      Deno.stdin.setRaw(false);
      Deno.stderr.writeSync(encodeText("\n"));
    }
  }
}

/** The bytes of stdin up to the end of its first line, as they are left after what was typed to correct them. */
async function readLine(): Promise<Uint8Array> {
  const line: number[] = [];
  const byte = new Uint8Array(1);
  while (await Deno.stdin.read(byte) !== null) {
    const [code] = byte as unknown as [number];
    if (LINE_ENDS.includes(code) || code === CTRL_D) break;
    if (code === CTRL_C) throw new Deno.errors.Interrupted("interrupted");
    if (code === CTRL_U) line.length = 0;
    else if (BACKSPACES.includes(code)) eraseCharacter(line);
    else if (line.push(code) > MAX_LENGTH) throw new UsageError(`the password has more than ${MAX_LENGTH} bytes`);
  }
  return Uint8Array.from(line);
}

function eraseCharacter(line: number[]): void {
  while (line.length > 0 && (line.pop()! & 0xc0) === 0x80); // the bytes of a character that follow its first one
}
