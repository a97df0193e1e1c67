/**
 * The groups of the Diffie-Hellman exchange: the finite fields of RFC 7919, written out *for study*, and X25519 (RFC 7748)
 * from the runtime.
 *
 * BigInt arithmetic takes a time that depends on its numbers. Exponents are used once, which leaves little to measure, but
 * whoever shares the machine is out of scope.
 * @module
 */
import { timingSafeEqual } from "node:crypto";
import { ProtocolError } from "./errors.ts";
import { x25519 } from "./noise_primitives.ts";

/** The groups by name. */
export type GroupName = "x25519" | "ffdhe2048" | "ffdhe3072" | "ffdhe4096";

/** Gives so many random bytes. */
export type RandomSource = (length: number) => Uint8Array;

/** Random bytes of the runtime's generator. */
export function systemRandom(length: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(length));
}

/** One end's half of an exchange, for one exchange. */
export interface DhKeyPair {
  /** What is sent: as long as the group says, big-endian in a finite field. */
  readonly publicValue: Uint8Array;
  /**
   * What both ends have in common, as long as a public value, after the peer's value has passed every check.
   * @throws {ProtocolError} if the peer's value is none of the group, one that tells the secret, or our own
   */
  agree(peerValue: Uint8Array): Uint8Array;
}

/** A group. */
export interface DhGroup {
  /** What the command line calls it. */
  readonly name: GroupName;
  /** Its number in the TLS registry of supported groups (RFC 7919 §2, RFC 8446 §4.2.7). */
  readonly id: number;
  /** Bytes of a public value and of the shared secret. */
  readonly length: number;
  /** Makes a key pair. */
  generate(random?: RandomSource): DhKeyPair;
}

/**
 * Every group by its name.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const [alice, bob] = [DH_GROUPS.ffdhe3072.generate(), DH_GROUPS.ffdhe3072.generate()];
 * assertEquals(alice.agree(bob.publicValue), bob.agree(alice.publicValue));
 * ```
 */
export const DH_GROUPS: Readonly<Record<GroupName, DhGroup>> = {
  x25519: {
    name: "x25519",
    id: 0x001d,
    length: 32,
    generate: (random = systemRandom) => {
      const keys = x25519.fromPrivate(random(32));
      return {
        publicValue: keys.publicKey,
        agree: (peerValue) => {
          checkForm(peerValue, keys.publicKey);
          const secret = x25519.sharedSecret(keys, peerValue);
          // All zeros: the peer's value has a small order, so that anyone could know the secret (RFC 7748 §6.1).
          if (secret === undefined) throw refusal("it is in a small subgroup");
          return secret;
        },
      };
    },
  },
  ffdhe2048: finiteField("ffdhe2048", { id: 0x0100, bits: 2048, offset: 560_316n, exponentLength: 32 }),
  ffdhe3072: finiteField("ffdhe3072", { id: 0x0101, bits: 3072, offset: 2_625_351n, exponentLength: 40 }),
  ffdhe4096: finiteField("ffdhe4096", { id: 0x0102, bits: 4096, offset: 5_736_041n, exponentLength: 48 }),
};

/** What distinguishes one finite field. */
interface FieldOptions {
  readonly id: number;
  /** Size of the prime. */
  readonly bits: number;
  /** X of the formula of RFC 7919 appendix A: the first that makes p and (p - 1) / 2 prime. */
  readonly offset: bigint;
  /** Bytes of a private exponent: twice the group's strength and more (RFC 7919 §5.2), far less than the prime. */
  readonly exponentLength: number;
}

function finiteField(name: GroupName, { id, bits, offset, exponentLength }: FieldOptions): DhGroup {
  const length = bits / 8;
  let prime: bigint | undefined;
  return {
    name,
    id,
    length,
    generate: (random = systemRandom) => {
      const p = prime ??= ffdhePrime(bits, offset);
      const exponent = random(exponentLength).slice();
      exponent[0]! |= 0x80; // never 0, and always as long
      const publicValue = toBytes(power(2n, exponent, p), length);
      return {
        publicValue,
        agree: (peerValue) => {
          checkForm(peerValue, publicValue);
          const y = BigInt(`0x${peerValue.toHex()}`);
          if (y < 2n || y > p - 2n) throw refusal("it is out of range");
          // p = 2q + 1: what is no square has the order 2q, and would tell whether our exponent is odd.
          if (jacobi(y, p) !== 1) throw refusal("it is outside the subgroup of prime order");
          // Zeros in front are kept: a secret's length must tell nothing about it (Raccoon).
          return toBytes(power(y, exponent, p), length);
        },
      };
    },
  };
}

/** The prime of RFC 7919 appendix A: `2^b - 2^(b-64) + (floor(2^(b-130) e) + X) * 2^64 - 1`, digits that hide nothing. */
export function ffdhePrime(bits: number, offset: bigint): bigint {
  const b = BigInt(bits);
  return 2n ** b - 2n ** (b - 64n) + (eulerFloor(b - 130n) + offset) * 2n ** 64n - 1n;
}

/** `floor(2^bits * e)`, e being the sum of `1/k!`, with 64 bits more on the way. */
function eulerFloor(bits: bigint): bigint {
  let sum = 0n;
  for (let term = 1n << (bits + 64n), k = 1n; term > 0n; term /= k++) sum += term;
  return sum >> 64n;
}

/** `base^exponent mod modulus`, four bits of the exponent at a time and the same steps for all of them. */
function power(base: bigint, exponent: Uint8Array, modulus: bigint): bigint {
  const powers = [1n];
  while (powers.length < 16) powers.push(powers.at(-1)! * base % modulus);
  let result = 1n;
  for (const byte of exponent) {
    for (const digit of [byte >> 4, byte & 15]) {
      for (let i = 0; i < 4; i++) result = result * result % modulus;
      result = result * powers[digit]! % modulus;
    }
  }
  return result;
}

/** The Jacobi symbol of `a` over an odd `n`: 1 for the squares modulo a prime, -1 for the others, 0 for its multiples. */
function jacobi(a: bigint, n: bigint): number {
  let sign = 1;
  a %= n;
  while (a !== 0n) {
    while ((a & 1n) === 0n) {
      a >>= 1n;
      const residue = n & 7n;
      if (residue === 3n || residue === 5n) sign = -sign;
    }
    if ((a & 3n) === 3n && (n & 3n) === 3n) sign = -sign;
    [a, n] = [n % a, a];
  }
  return n === 1n ? sign : 0;
}

/** Checks what needs no arithmetic. */
function checkForm(peerValue: Uint8Array, ownValue: Uint8Array): void {
  if (peerValue.length !== ownValue.length) {
    throw refusal(`it has ${peerValue.length} bytes, not ${ownValue.length}`);
  }
  if (timingSafeEqual(peerValue, ownValue)) throw refusal("it is our own, sent back");
}

function refusal(why: string): ProtocolError {
  return new ProtocolError(`Cannot accept the peer's public value: ${why}`);
}

function toBytes(value: bigint, length: number): Uint8Array {
  return Uint8Array.fromHex(value.toString(16).padStart(2 * length, "0"));
}
