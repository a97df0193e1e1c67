/**
 * Names of users and rooms.
 * @module
 */
import { EVERYONE, LIMITS } from "./messages.ts";

/**
 * Controls, bidirectional and zero-width characters, lone surrogates, characters for private use, line separators; fillers,
 * joiners and selectors of variants that a screen shows as nothing; and what looks like a space and is another.
 */
const FORBIDDEN = /(?! )[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]/u;
const OUTER_SPACE = /^ | $/;

/** How many characters (code points) a text has. */
export function countCharacters(text: string): number {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    if ((text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) count--;
  }
  return count;
}

/** Whether a name is a room's: it begins with `#`. */
export function isRoom(name: string): boolean {
  return name.startsWith("#");
}

/**
 * What is wrong with a user's name in NFC, as the end of a sentence; undefined if nothing is.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(userNameFault("bob"), undefined);
 * assertEquals(userNameFault("#bob"), "begins with #, which is for rooms");
 * ```
 */
export function userNameFault(name: string): string | undefined {
  return isRoom(name) ? "begins with #, which is for rooms" : nameFault(name);
}

/** The same for a room's name, `#` included. */
export function roomNameFault(name: string): string | undefined {
  if (!isRoom(name)) return "does not begin with #";
  return name.length === 1 ? "is empty" : nameFault(name);
}

/** The same for whom a message may be for: a user, a room, or everybody. */
export function addresseeFault(name: string): string | undefined {
  return name === EVERYONE ? undefined : isRoom(name) ? roomNameFault(name) : userNameFault(name);
}

function nameFault(name: string): string | undefined {
  if (name === "") return "is empty";
  const length = name.length <= LIMITS.name ? name.length : countCharacters(name);
  if (length > LIMITS.name) return `has ${length} characters: limit is ${LIMITS.name}`;
  if (FORBIDDEN.test(name)) return "has a control or another invisible character";
  if (OUTER_SPACE.test(name)) return "begins or ends with a space";
  return undefined;
}
