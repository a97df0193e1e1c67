/**
 * Secrets from a file or the environment; never from the command line, where every user of the machine can read them.
 * @module
 */
import { UsageError } from "../errors.ts";
import { option, text } from "./cli.ts";
import { attempt } from "./failure.ts";

/** The variable that is read when there is no `--secret-file`. */
const VARIABLE = "NETLAB_SECRET";

/** The option of programs that share a secret. */
export const SECRET_OPTIONS = {
  secretFile: option({
    value: "FILE",
    parse: text,
    help: `the shared secret, a file that only its owner can read; without it: $${VARIABLE}`,
  }),
};

/**
 * The shared secret as bytes, without the line end of a text file.
 * @throws {UsageError} if there is none
 * @throws {AttemptError} if the file cannot be read, or by others too
 */
export async function loadSecret(file: string | undefined): Promise<Uint8Array> {
  const secret = file === undefined
    ? Deno.env.get(VARIABLE) ?? ""
    : await attempt(`read the secret from ${file}`, () =>
      readPrivateFile(file), (error) =>
      error instanceof NotPrivateError ? `chmod 600 ${file}` : undefined);
  if (secret === "") {
    throw new UsageError("there is no secret", { hint: `--secret-file FILE, or ${VARIABLE} in the environment` });
  }
  return new TextEncoder().encode(secret);
}

class NotPrivateError extends Error {}

/** Reads a file that nobody but its owner may read. */
async function readPrivateFile(path: string): Promise<string> {
  const { isFile, mode } = await Deno.lstat(path);
  if (!isFile) throw new Error("it is no plain file");
  if (mode !== null && (mode & 0o077) !== 0) throw new NotPrivateError("others may read it");
  return (await Deno.readTextFile(path)).replace(/\r?\n$/, "");
}
