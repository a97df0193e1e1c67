/**
 * Secrets from a file or the environment; never from the command line, where every user of the machine can read them.
 * @module
 */
import { decodeText, encodeText } from "../bytes.ts";
import { UsageError } from "../errors.ts";
import { option, text } from "./cli.ts";
import { attempt, AttemptError } from "./failure.ts";

/** The variable that is read when there is no `--secret-file`. */
const VARIABLE = "NETLAB_SECRET";
/** The variable that is read when there is no `--psk-file`. */
const PSK_VARIABLE = "NETLAB_PSK";
/** Bytes of a pre-shared key: random ones, so that nobody can try them all. */
const PSK_LENGTH = 32;

/** The option of programs that share a secret. */
export const SECRET_OPTIONS = {
  secretFile: option({
    value: "FILE",
    parse: text,
    help: `the shared secret, a file that only its owner can read; without it: $${VARIABLE}`,
  }),
};

/** The option of programs that share a key. */
export const PSK_OPTIONS = {
  pskFile: option({
    value: "FILE",
    parse: text,
    help: `the pre-shared key, 32 bytes in base64, a file that only its owner can read; without it: $${PSK_VARIABLE}`,
  }),
};

/**
 * The shared secret as bytes, without the line end of a text file.
 * @throws {UsageError} if there is none
 * @throws {AttemptError} if the file cannot be read, or by others too
 */
export async function loadSecret(file: string | undefined): Promise<Uint8Array> {
  const secret = file === undefined
    ? encodeText(readVariable(VARIABLE) ?? "")
    : await readPrivateBytes(file, "the secret");
  if (secret.length > 0) return secret;
  throw new UsageError("there is no secret", { hint: `--secret-file FILE, or ${VARIABLE} in the environment` });
}

/** Whether there is a pre-shared key: a file is named, or else the variable is set and may be read. */
export function hasPsk(file: string | undefined): boolean {
  const { state } = Deno.permissions.querySync({ name: "env", variable: PSK_VARIABLE });
  return file !== undefined || (state === "granted" && readVariable(PSK_VARIABLE) !== undefined);
}

/**
 * The pre-shared key of 32 bytes; undefined if there is neither a file nor the variable.
 * @throws {UsageError} if it is anything else than 32 bytes in base64
 * @throws {AttemptError} if the file cannot be read, or by others too
 */
export async function loadPsk(file: string | undefined): Promise<Uint8Array | undefined> {
  const given = file === undefined ? readVariable(PSK_VARIABLE) : await readPrivateFile(file, "the pre-shared key");
  if (given === undefined) return undefined;
  const where = file ?? `$${PSK_VARIABLE}`;
  const hint = "a new one: openssl rand -base64 32";
  let psk: Uint8Array;
  try {
    psk = Uint8Array.fromBase64(given);
  } catch {
    throw new UsageError(`${where}: the pre-shared key is no base64`, { hint });
  }
  if (psk.length === PSK_LENGTH) return psk;
  throw new UsageError(`${where}: the pre-shared key has ${psk.length} bytes, not ${PSK_LENGTH}`, { hint });
}

/**
 * A variable of the environment.
 * @throws {AttemptError} without the permission to read it
 */
export function readVariable(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    throw new AttemptError(`read $${name}`, error);
  }
}

class NotPrivateError extends Error {}

/** The same as {@linkcode readPrivateBytes} for a text. Throws as it does. */
export async function readPrivateFile(path: string, what: string, missing?: string): Promise<string> {
  return decodeText(await readPrivateBytes(path, what, missing));
}

/**
 * Reads `what` from a file that nobody but its owner may read; without the last line end. `missing` is what to do if it is
 * not there.
 * @throws {AttemptError} if the file cannot be read, or by others too
 */
async function readPrivateBytes(path: string, what: string, missing?: string): Promise<Uint8Array> {
  return await attempt(`read ${what} from ${path}`, async () => {
    const { isFile, mode } = await Deno.lstat(path);
    if (!isFile) throw new Error("it is no plain file");
    if (mode !== null && (mode & 0o077) !== 0) throw new NotPrivateError("others may read it");
    return withoutLineEnd(await Deno.readFile(path));
  }, (error) => {
    if (error instanceof NotPrivateError) return `chmod 600 ${path}`;
    return error instanceof Deno.errors.NotFound ? missing : undefined;
  });
}

function withoutLineEnd(bytes: Uint8Array): Uint8Array {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}
