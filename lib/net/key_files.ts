/**
 * Keys that are made once and kept: a private key in a file that only its owner can read, its public key beside it, and
 * the public keys of others, pinned.
 * @module
 */
import { encodeText } from "../bytes.ts";
import { UsageError } from "../errors.ts";
import { attempt, AttemptError } from "./failure.ts";
import { readPrivateFile, readVariable } from "./secret.ts";

/** Only the owner may read it. */
const PRIVATE = 0o600;

/**
 * The place of a file in the user's folder for configuration: `$XDG_CONFIG_HOME/netlab`, or `~/.config/netlab`.
 * @throws {UsageError} if there is no such folder; `option` is what can name the file instead
 */
export function configFile(name: string, option: string): string {
  const home = readVariable("HOME");
  const folder = readVariable("XDG_CONFIG_HOME") || (home && `${home}/.config`);
  if (folder) return `${folder}/netlab/${name}`;
  throw new UsageError(`there is no place to keep ${name}: $HOME is not set`, { hint: `name one: ${option} FILE` });
}

/** A private key in PEM, and the text of the file with its public key. */
export interface KeyTexts {
  readonly privatePem: string;
  readonly publicText: string;
}

/**
 * The private key of a file, in PEM. Where there is none, `make` makes one, which is kept there (mode 0600), and its public
 * key in `FILE.pub`; `made` is told. Of two programs that do so at the same time, one makes the key of both.
 * @throws {AttemptError} if the file cannot be read or made, or can be read by others too
 */
export async function keepPrivateKey(
  file: string,
  { make, made }: { readonly make: () => KeyTexts | Promise<KeyTexts>; readonly made: () => void },
): Promise<string> {
  if (!await exists(file) && await createPrivateKey(file, await make())) made();
  return await readPrivateFile(file, "the private key");
}

/**
 * Keeps a new private key in `file` (mode 0600) and its public key in `FILE.pub`. Resolves to false, and changes nothing,
 * if the file is there already.
 * @throws {AttemptError} if they cannot be written
 * @throws {UsageError} if it would have the name of a public key
 */
export async function createPrivateKey(file: string, { privatePem, publicText }: KeyTexts): Promise<boolean> {
  if (file.endsWith(".pub")) throw new UsageError(`${file} is the name of a public key, which others are given`);
  return await attempt(`keep a new key in ${file}`, async () => {
    await makeFolder(file);
    if (!await createWhole(file, privatePem, PRIVATE)) return false;
    await replaceWhole(`${file}.pub`, publicText, 0o644);
    return true;
  });
}

/** The public key of a file, in PEM. */
export function readPublicKey(file: string): Promise<string> {
  return attempt(`read the public key from ${file}`, () => Deno.readTextFile(file));
}

/**
 * Compares a peer's public key in PEM with the one that was met first: it is kept in `file`, and `first` is told when this
 * is that time.
 * @throws {AttemptError} if it is another
 */
export async function pinPublicKey(file: string, pem: string, first: () => void): Promise<void> {
  if (!await exists(file)) {
    await attempt(`keep the server's key in ${file}`, async () => {
      await makeFolder(file);
      if (await createWhole(file, pem)) first();
    });
  }
  if (canonical(await readPublicKey(file)) === canonical(pem)) return;
  throw new AttemptError(
    "verify the server",
    new Error(`its key is not the one in ${file}: it is another server, or someone in between`),
    `if the server really has a new key: remove ${file}`,
  );
}

/** Without what other programs add to the same key: line ends, and text around it. */
function canonical(pem: string): string {
  return /-----BEGIN PUBLIC KEY-----([^-]*)-----END/.exec(pem)?.[1]?.replace(/\s/g, "") ?? "";
}

function exists(file: string): Promise<boolean> {
  return attempt(`look for ${file}`, async () => {
    try {
      await Deno.lstat(file);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  });
}

/**
 * The one line of text that a file keeps. Where there is none, it is made and kept there (mode 0600). Of two programs that
 * do so at the same time, one makes the line of both.
 * @throws {AttemptError} if the file cannot be read or made, or can be read by others too
 */
export async function keepPrivateLine(file: string, make: () => string): Promise<string> {
  if (!await exists(file)) {
    await attempt(`keep a new secret in ${file}`, async () => {
      await makeFolder(file);
      await createWhole(file, `${make()}\n`, PRIVATE);
    });
  }
  return (await readPrivateFile(file, "the secret")).trim();
}

/** Makes the folder of a file, for its owner alone. */
export async function makeFolder(file: string): Promise<void> {
  const end = file.lastIndexOf("/");
  if (end > 0) await Deno.mkdir(file.slice(0, end), { recursive: true, mode: 0o700 });
}

/** Makes a file that is there with all of its content or not at all. Resolves to false if there is one, or another has come first. */
export function createWhole(file: string, content: string | Uint8Array, mode = 0o644): Promise<boolean> {
  return writeBeside(file, { content, mode }, async (temporary) => {
    try {
      await Deno.link(temporary, file);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists || await exists(file)) return false;
      await Deno.rename(temporary, file); // a disk without links
      return true;
    }
  });
}

/** Puts a file in the place of another one, if there is one, in one step. */
export function replaceWhole(file: string, content: string, mode = PRIVATE): Promise<void> {
  return writeBeside(file, { content, mode }, (temporary) => Deno.rename(temporary, file));
}

/** Writes a new file beside `file`, down to the disk, for `take` to give it that name. Nothing else stays. */
async function writeBeside<Result>(
  file: string,
  { content, mode }: { readonly content: string | Uint8Array; readonly mode: number },
  take: (temporary: string) => Promise<Result>,
): Promise<Result> {
  const temporary = `${file}.${crypto.randomUUID()}`;
  try {
    const bytes = typeof content === "string" ? encodeText(content) : content;
    await Deno.writeFile(temporary, bytes, { createNew: true, mode });
    {
      using written = await Deno.open(temporary, { write: true });
      await written.sync();
    }
    return await take(temporary);
  } finally {
    await Deno.remove(temporary).catch(() => {}); // it has been renamed, or was never there
  }
}
