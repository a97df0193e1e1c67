/**
 * What every backend of the record ciphers must do: the same tests for each, in the layer whose permissions it needs.
 * @module
 */
import fc from "fast-check";
import { nobleBackend } from "../lib/ciphers_noble.ts";
import { WEB_CRYPTO_FROM } from "../lib/ciphers_portable.ts";
import { AuthenticationError } from "../lib/errors.ts";
import { type CipherSuite, TAG_LENGTH } from "../lib/record_cipher.ts";
import type { NonceBackend } from "../lib/record_nonce.ts";
import { assert, assertEquals, assertRejects } from "./assert.ts";

export const SUITES: readonly CipherSuite[] = ["AESGCM", "ChaChaPoly"];
/** The longest text of a record: 65,535 bytes without the tag. */
const MAX_TEXT = 65_535 - TAG_LENGTH;
const KEY = Uint8Array.from({ length: 32 }, (_, i) => 7 * i);

/** A record of `length` bytes of text, not sealed. */
function record(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length + TAG_LENGTH);
  for (let i = 0; i < length; i++) bytes[i] = seed = (seed * 16_807) % 2_147_483_647;
  return bytes;
}

/** The record sealed by a backend. */
async function seal(backend: NonceBackend, suite: CipherSuite, counter: number, bytes: Uint8Array<ArrayBuffer>) {
  const cipher = backend.cipher(suite, KEY);
  const sealed = bytes.slice();
  await cipher.seal(counter, sealed);
  cipher.close();
  return sealed;
}

/** The text of a sealed record. */
async function open(backend: NonceBackend, suite: CipherSuite, counter: number, sealed: Uint8Array<ArrayBuffer>) {
  const cipher = backend.cipher(suite, KEY);
  try {
    return await cipher.open(counter, sealed.slice());
  } finally {
    cipher.close();
  }
}

/** Registers the tests of a backend, or one that is skipped with the reason. */
export function testBackend(name: string, backend: NonceBackend | string): void {
  if (typeof backend === "string") {
    return Deno.test({ name: `${name}: the same bytes as noble (skipped: ${backend})`, ignore: true, fn() {} });
  }
  for (const suite of SUITES) {
    const test = (what: string, fn: () => Promise<void>) => Deno.test(`${name}, ${suite}: ${what}`, fn);

    test("seals to the same bytes as noble at any length and counter, and opens them", async () => {
      const length = fc.integer({ min: 0, max: MAX_TEXT });
      const counter = fc.maxSafeInteger().map(Math.abs);
      const check = async (length: number, counter: number) => {
        const text = record(length, length + 1);
        const sealed = await seal(backend, suite, counter, text);
        assertEquals(sealed.toHex(), (await seal(nobleBackend, suite, counter, text)).toHex());
        assertEquals((await open(backend, suite, counter, sealed)).toHex(), text.subarray(0, -TAG_LENGTH).toHex());
      };
      await fc.assert(fc.asyncProperty(length, counter, check), { numRuns: 20 });
      const edges = [0, 1, 15, 16, 17, 3, ...[-1, 0, 1].map((by) => WEB_CRYPTO_FROM + by), MAX_TEXT - 1, MAX_TEXT];
      for (const length of edges) await check(length, length);
      for (const counter of [0, 2 ** 32 - 1, 2 ** 32, 2 ** 48 + 5, 2 ** 53 - 1]) await check(5, counter);
    });

    test("one cipher for many records, sync and async, up to 4 under way", async () => {
      const [sealer, opener] = [backend.cipher(suite, KEY), backend.cipher(suite, KEY)];
      const lengths = [100, WEB_CRYPTO_FROM, 20_000, 3, 50_000, WEB_CRYPTO_FROM - 1, 13_000, 0];
      const texts = lengths.map((length, i) => record(length, i + 1));
      const records = texts.map((text) => text.slice());
      for (let i = 0; i < records.length; i += 4) {
        await Promise.all(records.slice(i, i + 4).map((bytes, at) => sealer.seal(i + at, bytes)));
      }
      for (const [i, sealed] of records.entries()) {
        assertEquals(sealed.toHex(), (await seal(nobleBackend, suite, i, texts[i]!)).toHex());
      }
      for (let i = 0; i < records.length; i += 4) {
        const opened = await Promise.all(records.slice(i, i + 4).map((bytes, at) => opener.open(i + at, bytes)));
        for (const [at, text] of opened.entries()) {
          assertEquals(text.toHex(), texts[i + at]!.subarray(0, -TAG_LENGTH).toHex());
        }
      }
      sealer.close();
      opener.close();
    });

    test("refuses any changed bit, another counter or key, and what is shorter than a tag", async () => {
      const refuses = (counter: number, sealed: Uint8Array<ArrayBuffer>) =>
        assertRejects(() => open(backend, suite, counter, sealed), AuthenticationError);
      for (const length of [0, 5, WEB_CRYPTO_FROM + 1]) {
        const sealed = await seal(backend, suite, 7, record(length));
        const bits = 8 * sealed.length;
        const all = length < 100 ? Array.from({ length: bits }, (_, bit) => bit) : [0, 4000, bits - 128, bits - 1];
        for (const bit of all) {
          const changed = sealed.slice();
          changed[bit >> 3]! ^= 1 << (bit & 7);
          await refuses(7, changed);
        }
        await refuses(6, sealed);
        await refuses(7 + 2 ** 32, sealed);
        await refuses(7, sealed.slice(0, -1));
        await refuses(7, sealed.slice(1));
      }
      for (const length of [0, 1, 15]) await refuses(0, new Uint8Array(length));
      for (const length of [31, 33, 16]) {
        const use = async () => await backend.cipher(suite, new Uint8Array(length)).seal(0, record(20_000));
        await assertRejects(use, RangeError, `a key of ${length} bytes`);
      }
      const other = backend.cipher(suite, KEY.with(0, 1));
      const sealed = await seal(backend, suite, 0, record(40));
      await assertRejects(async () => await other.open(0, sealed), AuthenticationError);
      await other.open(
        0,
        await (async () => {
          const bytes = record(40);
          await other.seal(0, bytes);
          return bytes;
        })(),
      ); // a wrong tag does not harm the cipher
      other.close();
    });

    test("hands out nothing of what a wrong tag is for", async () => {
      for (const length of [64, 14_000]) {
        const changed = await seal(backend, suite, 7, record(length));
        changed[changed.length - 1]! ^= 1;
        const cipher = backend.cipher(suite, KEY);
        await assertRejects(async () => await cipher.open(7, changed), AuthenticationError);
        cipher.close();
        const text = record(length);
        assert(!changed.toHex().includes(text.subarray(0, 16).toHex()));
      }
    });

    test("leaves the caller's key and the bytes around the record alone; a closed cipher does nothing", async () => {
      const key = KEY.slice();
      const cipher = backend.cipher(suite, key);
      key.fill(0);
      for (const length of [50, 14_000]) {
        const around = new Uint8Array(length + TAG_LENGTH + 20).fill(9);
        const bytes = around.subarray(10, -10);
        bytes.set(record(length));
        await cipher.seal(3, bytes);
        assertEquals(bytes.toHex(), (await seal(nobleBackend, suite, 3, record(length))).toHex());
        await cipher.open(3, bytes);
        assertEquals([...around.subarray(0, 10), ...around.subarray(-10)], new Array(20).fill(9));
      }
      const text = record(14_000);
      const begun = cipher.seal(4, text);
      cipher.close();
      cipher.close();
      await begun; // what is under way still ends
      assertEquals(text.toHex(), (await seal(nobleBackend, suite, 4, record(14_000))).toHex());
      for (const length of [50, 14_000]) {
        const bytes = record(length);
        await assertRejects(async () => await cipher.seal(0, bytes), TypeError, "closed");
        assertEquals(bytes, record(length));
      }
    });
  }
}

interface Wycheproof {
  readonly testGroups: readonly {
    readonly ivSize: number;
    readonly keySize: number;
    readonly tests: readonly Record<"key" | "iv" | "aad" | "msg" | "ct" | "tag" | "result", string>[];
  }[];
}

/** Runs the cases of Wycheproof that records can be: 256-bit keys, 96-bit nonces, no associated data. Gives their number. */
export async function runWycheproof(backend: NonceBackend, suite: CipherSuite, content: unknown): Promise<number> {
  const groups = (content as Wycheproof).testGroups.filter(({ ivSize, keySize }) => ivSize === 96 && keySize === 256);
  const cases = groups.flatMap(({ tests }) => tests).filter(({ aad }) => aad === "");
  for (const { key, iv, msg, ct, tag, result } of cases) {
    const cipher = backend.cipher(suite, Uint8Array.fromHex(key), () => Uint8Array.fromHex(iv));
    const sealed = Uint8Array.fromHex(ct + tag);
    if (result === "valid") {
      const bytes = Uint8Array.fromHex(msg + "00".repeat(TAG_LENGTH));
      await cipher.seal(0, bytes);
      assertEquals(bytes.toHex(), ct + tag);
      assertEquals((await cipher.open(0, sealed)).toHex(), msg);
    } else {
      await assertRejects(async () => await cipher.open(0, sealed), AuthenticationError);
    }
    cipher.close();
  }
  return cases.length;
}
