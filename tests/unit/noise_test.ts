import { AuthenticationError, ProtocolError } from "../../lib/errors.ts";
import { Handshake, type HandshakeOptions, nextKey, parseProtocol } from "../../lib/noise.ts";
import { makeAead, x25519, type X25519KeyPair } from "../../lib/noise_primitives.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const protocol = (pattern: string) => `Noise_${pattern}_25519_AESGCM_SHA256`;

/** Both sides of a pattern with all the keys that it wants. */
function sides(pattern: string, psk: Uint8Array = new Uint8Array(32).fill(9)): [Handshake, Handshake] {
  const name = protocol(pattern);
  const { known, messages } = parseProtocol(name);
  const [initiatorKey, responderKey] = [x25519.generate(), x25519.generate()];
  const psks = messages.flat().filter((token) => token === "psk").map(() => psk);
  const side = (role: "initiator" | "responder", ours: X25519KeyPair, theirs: X25519KeyPair): HandshakeOptions => ({
    protocol: name,
    role,
    staticKey: ours,
    remoteStatic: known[role === "initiator" ? "responder" : "initiator"] ? theirs.publicKey : undefined,
    psks,
  });
  return [
    new Handshake(side("initiator", initiatorKey, responderKey)),
    new Handshake(side("responder", responderKey, initiatorKey)),
  ];
}

/** Lets both sides finish; `tamper` sees each message. */
function finish([a, b]: [Handshake, Handshake], tamper = (message: Uint8Array, _index: number) => message): void {
  for (let i = 0; !a.complete || !b.complete; i++) {
    const [writer, reader] = a.writes ? [a, b] : [b, a];
    reader.read(tamper(writer.write(), i));
  }
}

const EVERY_PATTERN = [
  "N K X NN NK NX KN KK KX XN XK XX IN IK IX",
  "NK1 NX1 X1N X1K XK1 X1K1 X1X XX1 X1X1 K1N K1K KK1 K1K1 K1X KX1 K1X1 I1N I1K IK1 I1K1 I1X IX1 I1X1",
  "Npsk0 Kpsk0 Xpsk1 NNpsk0 NNpsk2 NKpsk0 NKpsk2 NXpsk2 XNpsk3 XKpsk3 XXpsk3 KNpsk0 KNpsk2 KKpsk0 KKpsk2 KXpsk2",
  "INpsk1 INpsk2 IKpsk1 IKpsk2 IXpsk2 XXpsk0+psk3",
].join(" ").split(" ");

Deno.test("Handshake: in every pattern both sides end with the same hash, each other's keys, and two different ones", () => {
  for (const pattern of EVERY_PATTERN) {
    const [a, b] = sides(pattern);
    finish([a, b]);
    assertEquals(a.hash, b.hash, pattern);
    const [ours, theirs] = [a.split(), b.split()];
    assertEquals(ours.send, theirs.receive, pattern);
    assertEquals(ours.receive, theirs.send, pattern);
    assert(ours.send.toHex() !== ours.receive.toHex(), pattern);
    assertEquals([ours.send.length, theirs.send.length], [32, /^[NKX](psk\d)?$/.test(pattern) ? 0 : 32]); // one-way: §7.4
  }
});

Deno.test("Handshake: in every pattern a changed bit of any message is found by the end", () => {
  for (const pattern of EVERY_PATTERN) {
    const count = parseProtocol(protocol(pattern)).messages.length;
    for (let at = 0; at < count; at++) {
      const [a, b] = sides(pattern);
      const flip = (message: Uint8Array, i: number) => {
        if (i === at) message[message.length >> 1]! ^= 1;
        return message;
      };
      try {
        finish([a, b], flip);
      } catch (error) {
        assert(error instanceof ProtocolError, `${pattern}: ${error}`);
        continue;
      }
      assert(a.hash.toHex() !== b.hash.toHex(), pattern);
    }
  }
});

Deno.test("Handshake: another pre-shared key, prologue or pinned key is refused", () => {
  const name = protocol("NNpsk0");
  const psk = (byte: number) => [new Uint8Array(32).fill(byte)];
  const first = new Handshake({ protocol: name, role: "initiator", psks: psk(1) }).write();
  const responder = new Handshake({ protocol: name, role: "responder", psks: psk(2) });
  assertThrows(() => responder.read(first), AuthenticationError);
  const other = new Handshake({ protocol: name, role: "responder", psks: psk(1), prologue: Uint8Array.of(1) });
  assertThrows(() => other.read(first), AuthenticationError);
  const pinned = { protocol: protocol("NK"), remoteStatic: x25519.generate().publicKey };
  const message = new Handshake({ ...pinned, role: "initiator" }).write();
  const impostor = new Handshake({ protocol: protocol("NK"), role: "responder", staticKey: x25519.generate() });
  assertThrows(() => impostor.read(message), AuthenticationError);
});

Deno.test("Handshake: a public key of small order is refused in every place", () => {
  const smallOrder = [new Uint8Array(32), new Uint8Array(32).with(0, 1)];
  for (const key of smallOrder) {
    const bob = new Handshake({ protocol: protocol("NN"), role: "responder" });
    bob.read(key);
    assertThrows(() => bob.write(), AuthenticationError, "void");
    const alice = new Handshake({ protocol: protocol("NK"), role: "initiator", remoteStatic: key });
    assertThrows(() => alice.write(), AuthenticationError, "void");
  }
});

Deno.test("Handshake: its turns are kept, and after an error it is of no use", () => {
  const [a, b] = sides("XX");
  assertThrows(() => a.read(new Uint8Array(32)), TypeError, "turn");
  assertThrows(() => b.write(), TypeError, "turn");
  assertThrows(() => a.split(), TypeError, "not complete");
  assertThrows(() => b.read(new Uint8Array(31)), ProtocolError, "too short");
  assertThrows(() => b.read(a.write()), TypeError, "has ended");
  const done = sides("XX");
  finish(done);
  assertThrows(() => done[0].write(), TypeError, "turn");
  done[0].split();
  assertThrows(() => done[0].split(), TypeError, "has ended");
});

Deno.test("Handshake: a message of more than 65535 bytes is refused", () => {
  const [, b] = sides("NN");
  assertThrows(() => b.read(new Uint8Array(65536)), ProtocolError, "limit is 65535");
});

Deno.test("Handshake: keys that are missing, too many or of a wrong length are the caller's fault", () => {
  const side = (pattern: string, keys: Partial<HandshakeOptions>) =>
    new Handshake({ protocol: protocol(pattern), role: "initiator", ...keys });
  const key = x25519.generate();
  assertThrows(() => side("XX", {}), TypeError, "our static key is missing");
  assertThrows(() => side("NK", {}), TypeError, "the peer's static key is missing");
  assertThrows(() => side("XX", { staticKey: key, remoteStatic: key.publicKey }), TypeError, "not known yet");
  assertThrows(() => side("NK", { remoteStatic: new Uint8Array(31) }), RangeError, "31 bytes");
  assertThrows(() => side("NNpsk0", {}), TypeError, "takes 1 pre-shared keys, not 0");
  assertThrows(() => side("NN", { psks: [new Uint8Array(32)] }), TypeError, "takes 0");
  for (const length of [0, 16, 31, 33, 64]) {
    assertThrows(() => side("NNpsk0", { psks: [new Uint8Array(length)] }), RangeError, `${length} bytes`);
  }
});

Deno.test("parseProtocol() refuses what is not in its tables", () => {
  const names = ["Noise_ZZ_25519_AESGCM_SHA256", "Noise_XX_448_AESGCM_SHA256", "Noise_XX_25519_AES_SHA256"];
  names.push("Noise_XX_25519_AESGCM_MD5", "XX", "", "Noise_toString_25519_AESGCM_SHA256", `${protocol("XX")} `);
  names.push(protocol("XXfallback"), protocol("constructor"));
  for (const name of names) assertThrows(() => parseProtocol(name), RangeError, "not known");
  assertThrows(() => parseProtocol(protocol("NNpsk3")), RangeError, "no message 3");
});

Deno.test("nextKey() is the encryption of zeros under the last nonce, for either cipher", () => {
  const key = new Uint8Array(32).fill(7);
  for (const cipher of ["AESGCM", "ChaChaPoly"] as const) {
    const sealed = makeAead(cipher).seal(key, 0xffffffffffffffffn, new Uint8Array(), new Uint8Array(32));
    assertEquals(nextKey(cipher, key), sealed.subarray(0, 32));
  }
});

Deno.test("makeAead() gives RFC 8439 A.5, and test case 14 of the specification of GCM", () => {
  const chacha = {
    key: "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
    counter: 0x0807060504030201n, // little-endian in the nonce 00000000 0102030405060708
    associatedData: "f33388860000000000004e91",
    plaintext: new TextEncoder().encode(
      "Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted " +
        "by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them " +
        "other than as /\u201cwork in progress./\u201d",
    ),
    sealed:
      "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100" +
      "d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c8559797a06ef4f0ef61c186324e2b350638" +
      "3606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523eaf4534d7f83fa115" +
      "5b0047718cbc546a0d072b04b3564eea1b422273f548271a0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10" +
      "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709beead9d67890cbb22392336fea1851f38",
  };
  const aes = {
    key: "00".repeat(32),
    counter: 0n,
    associatedData: "",
    plaintext: new Uint8Array(16),
    sealed: "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
  };
  for (
    const [name, { key, counter, associatedData, plaintext, sealed }] of Object.entries({
      ChaChaPoly: chacha,
      AESGCM: aes,
    })
  ) {
    const [k, ad] = [key, associatedData].map((hex) => Uint8Array.fromHex(hex)) as [Uint8Array, Uint8Array];
    assertEquals(makeAead(name).seal(k, counter, ad, plaintext).toHex(), sealed);
  }
});
