/**
 * Text in quotes, as commands, replies and the client's own words have it: `"` and `\` in it are written `\"` and `\\`.
 * @module
 */

/** The text in quotes. */
export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** The text of what stood between quotes. */
export function unquote(quoted: string): string {
  return quoted.replace(/\\(["\\])/g, "$1");
}
