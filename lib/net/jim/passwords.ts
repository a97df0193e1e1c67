/**
 * Passwords as a server keeps them: by scrypt (RFC 7914), which takes so much time and memory that whoever steals the file
 * can try few.
 * @module
 */
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import type { Passwords } from "../../jim/hub.ts";

/** Cost as powers of two, block size, parallelisation: 16 MiB and some 0.2 s (OWASP's recommendation). */
const COST = { ln: 14, r: 8, p: 5 };
const SALT_LENGTH = 16;
const KEY_LENGTH = 32;
/** Hashes that are computed at the same time, in other threads: more would take each other's time. */
const AT_ONCE = 2;
/** How a hash is kept: `$scrypt$ln=14,r=8,p=5$SALT$HASH`, both in base64. */
const KEPT = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/;
/** What a password is compared with where there is none. */
const NOBODY = { ...COST, salt: new Uint8Array(SALT_LENGTH), key: new Uint8Array(KEY_LENGTH) };

/** What scrypt computes from. */
export interface ScryptInput {
  /** Cost as a power of two, block size, parallelisation. */
  readonly ln: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Uint8Array;
}

/** Passwords by scrypt, computed beside the event loop. */
export class ScryptPasswords implements Passwords {
  readonly #scrypt: (password: string, input: ScryptInput) => Promise<Uint8Array>;
  #free = AT_ONCE;
  readonly #waiting: (() => void)[] = [];

  /** `scrypt` gives a key of 32 bytes. */
  constructor(scrypt: (password: string, input: ScryptInput) => Promise<Uint8Array> = scryptKey) {
    this.#scrypt = scrypt;
  }

  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_LENGTH);
    const key = await this.#derive(password, { ...COST, salt });
    const { ln, r, p } = COST;
    return `$scrypt$ln=${ln},r=${r},p=${p}$${salt.toBase64()}$${key.toBase64()}`;
  }

  async verify(password: string, kept: string | undefined): Promise<boolean> {
    const { key, ...input } = kept === undefined ? NOBODY : parse(kept);
    const equal = timingSafeEqual(await this.#derive(password, input), key);
    return equal && kept !== undefined;
  }

  /** Computes a key when one of the threads is free. */
  async #derive(password: string, input: ScryptInput): Promise<Uint8Array> {
    if (this.#free === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#free--;
    try {
      return await this.#scrypt(password.normalize("NFC"), input);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

function scryptKey(password: string, { ln, r, p, salt }: ScryptInput): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, key: Uint8Array) => error === null ? resolve(key) : reject(error);
    scrypt(password, salt, KEY_LENGTH, { N: 2 ** ln, r, p }, done);
  });
}

function parse(kept: string): ScryptInput & { readonly key: Uint8Array } {
  const [, ln, r, p, salt, key] = KEPT.exec(kept) ?? [];
  if (salt === undefined || key === undefined) {
    throw new TypeError("Cannot compare with a password kept in another way");
  }
  const bytes = { salt: Uint8Array.fromBase64(salt), key: Uint8Array.fromBase64(key) };
  return { ln: Number(ln), r: Number(r), p: Number(p), ...bytes };
}
