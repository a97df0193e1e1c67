/**
 * Names of files that come from strangers: one folder without folders in it, and names that every system can keep.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";

/** The longest name, in bytes of UTF-8. */
export const MAX_NAME_LENGTH = 255;

/** C0 and C1 controls and DEL, line separators, bidirectional and zero-width controls, lone surrogates. */
// deno-lint-ignore no-control-regex
const INVISIBLE = /[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|\p{Surrogate}/u;
/** What separates folders, or means something to a shell or to Windows. */
const SPECIAL = /[/\\:*?"<>|]/;
/** Devices of Windows, with or without an extension. */
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;

/** Why a name is none, in the order in which it is looked at. */
const RULES: readonly (readonly [string, (name: string) => boolean])[] = [
  ["it is empty", (name) => name === ""],
  ["it has controls or invisible characters", (name) => INVISIBLE.test(name)],
  ['it has one of / \\ : * ? " < > |', (name) => SPECIAL.test(name)],
  ["it begins with a dot, a dash or a space", (name) => /^[.\- ]/.test(name)],
  ["it ends with a dot or a space", (name) => /[. ]$/.test(name)],
  ["Windows keeps it for a device", (name) => DEVICE.test(name)],
  [`it is longer than ${MAX_NAME_LENGTH} bytes`, (name) => encodeText(name).length > MAX_NAME_LENGTH],
];

/**
 * The name in Unicode's normal form C, when it names one plain file in one folder on any system: 1 to 255 bytes of UTF-8,
 * no `/ \ : * ? " < > |`, nothing invisible, no dot, dash or space at the beginning, no dot or space at the end, no device of
 * Windows.
 *
 * ```ts
 * import { assertEquals, assertThrows } from "@std/assert";
 * assertEquals(safeName("Zu\u0308rich.jpg"), "Zürich.jpg");
 * assertThrows(() => safeName("../../etc/passwd"));
 * ```
 * @throws {ProtocolError} if it does not; the message says why
 */
export function safeName(given: string): string {
  const name = given.normalize("NFC");
  const broken = RULES.find(([, isBroken]) => isBroken(name));
  if (broken === undefined) return name;
  throw new ProtocolError(`Cannot take the name ${JSON.stringify(given.slice(0, MAX_NAME_LENGTH))}: ${broken[0]}`);
}

/**
 * What two names have in common that one folder of Windows or macOS cannot keep apart.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(foldName("Straße.TXT"), foldName("STRASSE.txt"));
 * ```
 */
export function foldName(name: string): string {
  return name.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}
