import fc from "fast-check";
import { concat } from "@std/bytes";
import { decodeText, encodeText } from "../../lib/bytes.ts";
import { AuthenticationError } from "../../lib/errors.ts";
import {
  answer,
  answerServer,
  CHALLENGE_LENGTH,
  mutualMac,
  verifyClient,
  verifyMutuallyAsClient,
  verifyMutuallyAsServer,
} from "../../lib/hmac_auth.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { feed, link } from "../conversations.ts";

const secret = encodeText("a shared secret");
const nonce = (byte: number) => new Uint8Array(CHALLENGE_LENGTH).fill(byte);
const bytes32 = fc.uint8Array({ minLength: CHALLENGE_LENGTH, maxLength: CHALLENGE_LENGTH });

Deno.test("answer() is HMAC-SHA256 of RFC 4231, test case 2", () => {
  assertEquals(
    answer(encodeText("Jefe"), encodeText("what do ya want for nothing?")).toHex(),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  );
});

Deno.test("answer() with sha1 is the hex of SHA-1(secret || challenge): the RFC 3174 vector, cut anywhere", () => {
  for (let i = 0; i <= 3; i++) {
    assertEquals(
      decodeText(answer(encodeText("abc".slice(0, i)), encodeText("abc".slice(i)), "sha1")),
      "a9993e364706816aba3e25717850c26c9cd0d89d",
    );
  }
});

Deno.test("verifyClient() accepts the client that knows the secret, with either digest", () => {
  for (const digest of ["hmac-sha256", "sha1"] as const) {
    const { sent: [byServer, byClient] } = link(
      verifyClient({ secret, nonce: nonce(1), digest }),
      answerServer({ secret, digest }),
    );
    assertEquals(byServer, nonce(1));
    assertEquals(byClient, answer(secret, nonce(1), digest));
  }
});

Deno.test("verifyClient() refuses another secret, a replayed answer and a reflected challenge", () => {
  const challenged = () => verifyClient({ secret, nonce: nonce(1) });
  assertThrows(() => link(challenged(), answerServer({ secret: encodeText("guess") })), AuthenticationError);
  assertThrows(() => feed(challenged(), answer(secret, nonce(2))), AuthenticationError);
  assertThrows(() => feed(challenged(), nonce(1)), AuthenticationError);
});

Deno.test("verifyClient() refuses every answer but the right one", () => {
  const right = answer(secret, nonce(1));
  fc.assert(fc.property(bytes32, (given) => {
    if (given.every((byte, i) => byte === right[i])) return;
    assertThrows(() => feed(verifyClient({ secret, nonce: nonce(1) }), given), AuthenticationError);
  }));
});

Deno.test("verifyClient() refuses the right answer with any one bit changed", () => {
  const right = answer(secret, nonce(1));
  for (let bit = 0; bit < 8 * right.length; bit++) {
    const changed = right.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assertThrows(() => feed(verifyClient({ secret, nonce: nonce(1) }), changed), AuthenticationError);
  }
});

Deno.test("verifyClient() waits for the rest of a short answer and takes nothing after it", () => {
  const right = answer(secret, nonce(1));
  assertThrows(() => feed(verifyClient({ secret, nonce: nonce(1) }), right.subarray(1)), RangeError, "31 of 32");
  assertThrows(() => feed(verifyClient({ secret, nonce: nonce(1) }), new Uint8Array()), RangeError, "0 of 32");
  feed(verifyClient({ secret, nonce: nonce(1) }), concat([right, encodeText("the next protocol")]));
});

Deno.test("the mutual form: both ends verify each other, with fresh nonces", () => {
  fc.assert(fc.property(bytes32, bytes32, (ours, theirs) => {
    const { sent: [byServer, byClient] } = link(
      verifyMutuallyAsServer({ secret, nonce: ours }),
      verifyMutuallyAsClient({ secret, nonce: theirs }),
    );
    assertEquals(byServer, concat([ours, mutualMac(secret, "server", ours, theirs)]));
    assertEquals(byClient, concat([theirs, mutualMac(secret, "client", ours, theirs)]));
  }));
});

Deno.test("the mutual form: a server without the secret is refused, and so is a client", () => {
  const guess = encodeText("guess");
  const server = (secret: Uint8Array) => verifyMutuallyAsServer({ secret, nonce: nonce(1) });
  const client = (secret: Uint8Array) => verifyMutuallyAsClient({ secret, nonce: nonce(2) });
  assertThrows(() => link(server(secret), client(guess)), AuthenticationError, "the client");
  assertThrows(
    () => feed(client(secret), concat([nonce(1), mutualMac(guess, "server", nonce(1), nonce(2))])),
    AuthenticationError,
    "the server",
  );
});

Deno.test("the mutual form: an end that reflects what it is sent proves nothing", () => {
  // A false server that sends the client's own nonce and proof back.
  const proof = mutualMac(secret, "client", nonce(1), nonce(2));
  const client = verifyMutuallyAsClient({ secret, nonce: nonce(2) });
  assertThrows(() => feed(client, concat([nonce(1), proof])), AuthenticationError);
  // A false client that opens two connections and answers the first with what the second one says: the server's nonces.
  const server = verifyMutuallyAsServer({ secret, nonce: nonce(1) });
  assertThrows(() => feed(server, concat([nonce(3), nonce(3)])), AuthenticationError);
});

Deno.test("the mutual form: a proof relayed between roles fails, since the role is under the MAC", () => {
  // The attacker makes a client its oracle: it relays the server's nonce and gives the server the client's proof as a server's.
  for (const [role, nonces] of [["client", [nonce(1), nonce(2)]], ["client", [nonce(2), nonce(1)]]] as const) {
    const client = verifyMutuallyAsClient({ secret, nonce: nonce(2) });
    const relayed = mutualMac(secret, role, nonces[0], nonces[1]);
    assertThrows(() => feed(client, concat([nonce(1), relayed])), AuthenticationError);
  }
  const server = verifyMutuallyAsServer({ secret, nonce: nonce(1) });
  const serverProof = mutualMac(secret, "server", nonce(1), nonce(2));
  assertThrows(() => feed(server, concat([nonce(2), serverProof])), AuthenticationError);
});

Deno.test("the mutual form: a server says nothing but its nonce before the client has proved itself", () => {
  const server = verifyMutuallyAsServer({ secret, nonce: nonce(1) });
  assertEquals(server.next(new Uint8Array()).value, { send: nonce(1) });
  assertEquals(server.next(new Uint8Array()).value, { need: 32 });
  assertEquals(server.next(nonce(2)).value, { need: 32 });
  assertThrows(() => server.next(nonce(3)), AuthenticationError);
  assert(server.next(new Uint8Array()).done);
});
