/**
 * The files behind {@link ../identity.ts}: our own key, the servers that we know and the clients that may come in.
 * @module
 */
import {
  decideTrust,
  findKey,
  fingerprint,
  formatKnownHost,
  formatPrivateKey,
  formatPublicKey,
  type Listed,
  parseAuthorizedKeys,
  parseKnownHosts,
  parsePrivateKey,
  type TrustPolicy,
} from "../identity.ts";
import { x25519, type X25519KeyPair } from "../noise_primitives.ts";
import { runCommand } from "../programs.ts";
import { attempt, AttemptError } from "./failure.ts";
import { keepPrivateKey, type KeyTexts, makeFolder, replaceWhole } from "./key_files.ts";
import { readPrivateFile } from "./secret.ts";

/** Our key pair of a file; where there is none, a new one is made and kept there, and `made` is told. */
export async function keepIdentity(file: string, made: () => void): Promise<X25519KeyPair> {
  return await parseIdentity(file, await keepPrivateKey(file, { make: newIdentity, made }));
}

/**
 * Our key pair of a file.
 * @throws {AttemptError} if there is none, or others may read it
 */
export async function loadIdentity(file: string): Promise<X25519KeyPair> {
  const missing = `make one: ${runCommand("clients/keys")} new ${file}`;
  return await parseIdentity(file, await readPrivateFile(file, "the private key", missing));
}

/** A new random key pair as its files hold it. */
export function newIdentity(comment = ""): KeyTexts {
  const identity = x25519.generate();
  const line = formatPublicKey({ key: identity.publicKey, comment });
  return { privatePem: formatPrivateKey(identity), publicText: `${line}\n` };
}

function parseIdentity(file: string, pem: string): Promise<X25519KeyPair> {
  return attempt(`use ${file}`, () => parsePrivateKey(pem));
}

/** Who may come in: the list is read anew for each client, so that a change needs no new start. */
export class AuthorizedKeys {
  /** Where the list is. */
  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  /**
   * The entry of a key; undefined if it may not come in.
   * @throws {AttemptError} if the list cannot be read or has a wrong line
   */
  async find(key: Uint8Array): Promise<Listed | undefined> {
    return findKey(await this.load(), key);
  }

  /** The whole list. */
  load(): Promise<Listed[]> {
    return attempt(`read the authorized keys from ${this.file}`, async () => {
      if (!(await Deno.stat(this.file)).isFile) {
        throw new Error("it is no plain file, which can be read for each client");
      }
      return parseAuthorizedKeys(await Deno.readTextFile(this.file));
    });
  }
}

/** Whom a client trusts. */
export interface TrustOptions {
  /** Where the list of servers is; it need not be there. */
  readonly file: string;
  readonly policy: TrustPolicy;
  /** The fingerprint that decides in place of the list. */
  readonly expected?: string | undefined;
  /** Asks the user whether a key is the right one. */
  readonly ask: (question: string) => Promise<boolean>;
  /** Tells the user. */
  readonly notice: (line: string) => void;
}

/** Keeps the key of a server that is new. */
export type Remember = () => Promise<void>;

/** The keys of a server that are known and not revoked. */
export async function knownKeys(file: string, host: string): Promise<Uint8Array[]> {
  const known = await readKnownHosts(file);
  return known.entries
    .filter((entry) => entry.host === host.toLowerCase())
    .map(({ key }) => key)
    .filter((key) => decideTrust({ knownHosts: known.entries, host, key, policy: "strict" }).decision === "trusted");
}

/**
 * Resolves when a server's key is to be trusted; a new one is asked about, as the policy says. What it resolves to remembers a
 * new one.
 * @throws {AttemptError} if it is not
 */
export async function verifyServer(
  host: string,
  key: Uint8Array,
  options: TrustOptions,
): Promise<Remember | undefined> {
  const { file, policy, expected, ask, notice } = options;
  const { entries } = await readKnownHosts(file);
  const outcome = decideTrust({ knownHosts: entries, host, key, policy, expected });
  const name = fingerprint(key);
  const refuse = (why: string, hint: string) => new AttemptError(`verify the server ${host}`, new Error(why), hint);
  switch (outcome.decision) {
    case "trusted":
      return undefined;
    case "changed":
      throw refuse(
        `its key ${name} is not the one in ${file}, line ${outcome.line}: it is another server, or someone in between`,
        "if the server really has a new key: remove that line",
      );
    case "revoked":
      throw refuse(
        `its key ${name} is revoked in ${file}, line ${outcome.line}`,
        "whoever stole it may be this server",
      );
    case "unexpected":
      throw refuse(`its key is ${name}, not ${expected}`, "it is another server, or someone in between");
    case "unknown":
      throw refuse(
        `its key ${name} is not in ${file}`,
        `if it is the right one: --expect-fingerprint ${name}, or --trust accept-new to remember it`,
      );
    case "ask":
      if (!await ask(`${host} is new; its key is ${name}. Is it the right one?`)) {
        throw refuse(`its key ${name} is not the right one`, "nothing was sent to it but how to agree on keys");
      }
  }
  return async () => {
    // If it is there by now, another program has met a server of that name, and that one may have another key.
    if (!await remember(file, host, key)) return void await verifyServer(host, key, { ...options, policy: "strict" });
    if (outcome.decision === "remember") {
      notice(`${host} is new: its key ${name} is kept in ${file}; is it the right one?`);
    }
  };
}

/** The list of servers: its text, and what it means. */
async function readKnownHosts(file: string): Promise<{ text: string; entries: ReturnType<typeof parseKnownHosts> }> {
  return await attempt(`read the known hosts from ${file}`, async () => {
    let text = "";
    try {
      text = await Deno.readTextFile(file);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return { text, entries: parseKnownHosts(text) };
  });
}

/** Adds a server to the list, under a lock, in one step. Resolves to false if the list knows the name by now. */
function remember(file: string, host: string, key: Uint8Array): Promise<boolean> {
  return attempt(`remember the server in ${file}`, async () => {
    await makeFolder(file);
    const place = await linkedFrom(file);
    using lock = await Deno.open(`${place}.lock`, { create: true, write: true, mode: 0o600 }); // unlocked when closed
    await lock.lock(true);
    const { text, entries } = await readKnownHosts(file);
    if (decideTrust({ knownHosts: entries, host, key, policy: "ask" }).decision !== "ask") return false;
    const line = formatKnownHost({ host: host.toLowerCase(), revoked: false, key, comment: "" });
    const before = text === "" || text.endsWith("\n") ? text : `${text}\n`;
    await replaceWhole(place, `${before}${line}\n`);
    return true;
  });
}

/** Where a link leads that `file` may be, as people have them who keep their settings elsewhere; else `file`. */
async function linkedFrom(file: string): Promise<string> {
  try {
    return await Deno.realPath(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return file;
    throw error;
  }
}
