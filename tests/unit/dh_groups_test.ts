import fc from "fast-check";
import { DH_GROUPS, type DhGroup, type DhKeyPair, ffdhePrime } from "../../lib/dh_groups.ts";
import { ProtocolError } from "../../lib/errors.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const hex = Uint8Array.fromHex;
/** The finite fields with X of RFC 7919 appendix A, and how their primes end there. */
const FIELDS = [
  { group: DH_GROUPS.ffdhe2048, offset: 560_316n, end: "886b423861285c97" },
  { group: DH_GROUPS.ffdhe3072, offset: 2_625_351n, end: "25e41d2b66c62e37" },
  { group: DH_GROUPS.ffdhe4096, offset: 5_736_041n, end: "c68a007e5e655f6a" },
].map((field) => ({ ...field, p: ffdhePrime(8 * field.group.length, field.offset) }));

function encode(value: bigint, length: number): Uint8Array {
  return hex(value.toString(16).padStart(2 * length, "0"));
}

function refuses(group: DhGroup, peerValue: Uint8Array, why: string): void {
  assertThrows(() => group.generate().agree(peerValue), ProtocolError, `the peer's public value: ${why}`);
}

Deno.test("ffdhePrime() makes the primes of RFC 7919 appendix A: their first and last digits, and what they must satisfy", () => {
  for (const { group, p, end } of FIELDS) {
    const digits = p.toString(16);
    assertEquals(digits.length, 2 * group.length);
    assert(digits.startsWith("ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1"), digits);
    assert(digits.endsWith(`${end}ffffffffffffffff`), digits);
  }
});

Deno.test("every group: both ends agree, on a secret as long as a public value", () => {
  for (const group of Object.values(DH_GROUPS)) {
    const [alice, bob, eve] = [group.generate(), group.generate(), group.generate()];
    const secret = alice.agree(bob.publicValue);
    assertEquals(secret, bob.agree(alice.publicValue));
    assertEquals([alice.publicValue.length, secret.length], [group.length, group.length]);
    assert(eve.agree(bob.publicValue).toHex() !== secret.toHex());
  }
});

Deno.test("every group: a private key is random, as long as its strength wants (RFC 7919 §5.2)", () => {
  const lengths = Object.values(DH_GROUPS).map(({ generate }) => {
    const asked: number[] = [];
    generate((length) => {
      asked.push(length);
      return crypto.getRandomValues(new Uint8Array(length));
    });
    return asked;
  });
  assertEquals(lengths, [[32], [32], [40], [48]]); // 225, 275 and 325 bits at least in the finite fields
});

Deno.test("a finite field computes g^(xy) mod p", () => {
  const { group, p } = FIELDS[0]!;
  const power = (base: bigint, exponent: bigint) => {
    let result = 1n;
    for (const bit of exponent.toString(2)) result = result * result * (bit === "1" ? base : 1n) % p;
    return result;
  };
  const exponent = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(exponent, exponent, (ours, theirs) => {
      const [x, y] = [ours, theirs].map((bytes) => BigInt(`0x${bytes.toHex()}`) | 1n << 255n) as [bigint, bigint];
      const keys = group.generate(() => ours);
      assertEquals(keys.publicValue, encode(power(2n, x), group.length));
      assertEquals(keys.agree(encode(power(2n, y), group.length)), encode(power(2n, x * y), group.length));
    }),
    { numRuns: 20 },
  );
});

Deno.test("a secret keeps the zeros in front of it", () => {
  const bob = DH_GROUPS.ffdhe2048.generate(() => new Uint8Array(32).fill(1));
  for (let i = 0;; i++) { // one secret in 256 begins with a zero
    const alice = DH_GROUPS.ffdhe2048.generate(() => new Uint8Array(32).fill(i >> 8, 0, 1).fill(i, 1));
    const secret = alice.agree(bob.publicValue);
    assertEquals(secret.length, 256);
    if (secret[0] !== 0) continue;
    assertEquals(secret, bob.agree(alice.publicValue));
    break;
  }
});

Deno.test("every finite field refuses 0, 1, p - 1, p, p + 1 and what lies above", () => {
  for (const { group, p } of FIELDS) {
    const largest = (1n << BigInt(8 * group.length)) - 1n;
    for (const value of [0n, 1n, p - 1n, p, p + 1n, largest]) {
      refuses(group, encode(value, group.length), "it is out of range");
    }
  }
});

Deno.test("every finite field refuses what is no square: it would tell one bit of the exponent", () => {
  for (const { group, p } of FIELDS) {
    const square = BigInt(`0x${group.generate().publicValue.toHex()}`);
    refuses(group, encode(p - square, group.length), "it is outside the subgroup"); // -1 is no square: p = 3 modulo 4
  }
});

Deno.test("every group refuses a value that is a byte too short or too long, and our own value sent back", () => {
  for (const group of Object.values(DH_GROUPS)) {
    const { publicValue } = group.generate();
    refuses(group, publicValue.subarray(1), `it has ${group.length - 1} bytes`);
    refuses(group, publicValue.subarray(0, -1), `it has ${group.length - 1} bytes`);
    refuses(group, new Uint8Array([0, ...publicValue]), `it has ${group.length + 1} bytes`);
    refuses(group, new Uint8Array(), "it has 0 bytes");
    const keys = group.generate();
    assertThrows(() => keys.agree(keys.publicValue.slice()), ProtocolError, "it is our own, sent back");
  }
});

Deno.test("X25519 gives RFC 7748 §6.1", () => {
  const [alice, bob] = [
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
  ].map((privateKey) => DH_GROUPS.x25519.generate(() => hex(privateKey))) as [DhKeyPair, DhKeyPair];
  assertEquals(alice.publicValue.toHex(), "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  assertEquals(bob.publicValue.toHex(), "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
  const secret = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
  assertEquals([alice.agree(bob.publicValue).toHex(), bob.agree(alice.publicValue).toHex()], [secret, secret]);
});

Deno.test("X25519 refuses every value of small order: the secret would be known to anyone", () => {
  const p = 2n ** 255n - 19n;
  const littleEndian = (value: bigint) => encode(value, 32).toReversed();
  const orderEight = [ // of the curve's points: https://cr.yp.to/ecdh.html#validate
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ].map(hex);
  for (const value of [...[0n, 1n, p - 1n, p, p + 1n].map(littleEndian), ...orderEight]) {
    refuses(DH_GROUPS.x25519, value, "it is in a small subgroup");
    const withHighBit = value.slice(); // which X25519 ignores
    withHighBit[31]! |= 0x80;
    refuses(DH_GROUPS.x25519, withHighBit, "it is in a small subgroup");
  }
});
