import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { concat } from "@std/bytes";
import { openAes, sealAes } from "../../lib/aes.ts";
import { encodeText } from "../../lib/bytes.ts";
import type { Conversation } from "../../lib/conversation.ts";
import { DH_GROUPS, type GroupName, type RandomSource } from "../../lib/dh_groups.ts";
import { agreeAsClient, agreeAsServer, type Authentication, type DhSession } from "../../lib/diffie_hellman.ts";
import { Ed25519Identity } from "../../lib/ed25519.ts";
import { AuthenticationError, FrameTooLargeError, ProtocolError } from "../../lib/errors.ts";
import { hkdfExpand, hkdfExtract } from "../../lib/hkdf.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { feed, link, type Transcript } from "../conversations.ts";

const GROUPS = Object.keys(DH_GROUPS) as GroupName[];
const psk = new Uint8Array(32).fill(5);
const [CLIENT, SERVER, MALLORY] = [1, 2, 3].map(() => Ed25519Identity.generate()) as [
  Ed25519Identity,
  Ed25519Identity,
  Ed25519Identity,
];

function signing(identity: Ed25519Identity, peer: Ed25519Identity): Authentication {
  return { mode: "sign", identity, trusts: (publicKey) => publicKey.toHex() === peer.publicKey.toHex() };
}

/** What each end has, in each mode. */
const MODES: readonly { readonly client: Authentication; readonly server: Authentication }[] = [
  { client: { mode: "anonymous" }, server: { mode: "anonymous" } },
  { client: { mode: "psk", psk }, server: { mode: "psk", psk } },
  { client: signing(CLIENT, SERVER), server: signing(SERVER, CLIENT) },
];
const VERIFIED = MODES.slice(1);
type Ends = (typeof MODES)[number];

/** Bytes that are the same in each run. */
function seeded(seed: number): RandomSource {
  let count = 0;
  return (length) => Uint8Array.from({ length }, (_, i) => (seed * 97 + count++ * 31 + i * 7) & 0xff);
}

function client(authentication: Authentication, { group = "x25519" as GroupName, seed = 1 } = {}) {
  return agreeAsClient({ group, authentication, random: seeded(seed) });
}

function server(authentication: Authentication, seed = 2) {
  return agreeAsServer({ authentication, random: seeded(seed) });
}

/** Lets two ends agree, and gives what each has then. */
function agree(
  ...ends: readonly [Conversation<DhSession>, Conversation<DhSession>]
): [DhSession, DhSession, Transcript] {
  const sessions: DhSession[] = [];
  const transcript = link(...ends.map(function* (end, i): Conversation {
    sessions[i] = yield* end;
  }) as [Conversation, Conversation]);
  return [sessions[0]!, sessions[1]!, transcript];
}

/** The messages of a transcript, each with its length in front. */
function messages(
  { sent: [byClient, byServer] }: Transcript,
): [hello: Uint8Array, answer: Uint8Array, proof: Uint8Array] {
  const helloLength = 2 + (byClient[0]! << 8 | byClient[1]!);
  return [byClient.subarray(0, helloLength), byServer, byClient.subarray(helloLength)];
}

/** The same conversation, but a bit of what it sends arrives changed. */
function* withChangedBit<Result>(conversation: Conversation<Result>, bit: number): Conversation<Result> {
  let offset = 0;
  for (let received: Uint8Array = new Uint8Array();;) {
    const { done, value } = conversation.next(received);
    if (done) return value;
    if ("send" in value) {
      const send = value.send.slice();
      const at = (bit >> 3) - offset;
      if (at >= 0 && at < send.length) send[at]! ^= 1 << (bit & 7);
      offset += send.length;
      received = yield { send };
    } else {
      received = yield value;
    }
  }
}

for (const ends of MODES) {
  const { mode } = ends.client;
  for (const group of GROUPS) {
    Deno.test(`${mode}, ${group}: both ends have the same fingerprint, and read what the other writes`, () => {
      const [ours, theirs] = agree(
        agreeAsClient({ group, authentication: ends.client }),
        agreeAsServer({ authentication: ends.server }),
      );
      assertEquals([ours.fingerprint, ours.group], [theirs.fingerprint, group]);
      assertEquals(ours.fingerprint.length, 32);
      for (const text of ["one", "two"].map(encodeText)) {
        assertEquals(theirs.receive.open(ours.send.seal(text)), text);
        assertEquals(ours.receive.open(theirs.send.seal(text)), text);
      }
      assertThrows(() => ours.receive.open(ours.send.seal(encodeText("reflected"))), AuthenticationError);
    });
  }

  Deno.test(`${mode}: any one bit changed on the way, and the ends do not agree`, () => {
    const end = (side: keyof Ends) => side === "client" ? client(ends.client) : server(ends.server);
    const [, , { sent }] = agree(end("client"), end("server"));
    sent.forEach(({ length }, side) => {
      for (let bit = 0; bit < 8 * length; bit++) {
        const error = assertThrows(() => {
          const [first, second] = [end("client"), end("server")];
          link(side === 0 ? withChangedBit(first, bit) : first, side === 1 ? withChangedBit(second, bit) : second);
        }, Error);
        const waits = error.message === "both ends wait for the other"; // for the rest of a message that is none
        assert(error instanceof ProtocolError || waits, `bit ${bit} of ${side}: ${error.stack}`);
      }
    });
  });

  Deno.test(`${mode}: messages of another conversation do not fit`, () => {
    const [, , earlier] = agree(client(ends.client, { seed: 3 }), server(ends.server, 4));
    const [hello, answer, proof] = messages(earlier);
    assertThrows(() => feed(client(ends.client), answer), AuthenticationError, "Cannot verify the server");
    assertThrows(
      () => feed(server(ends.server), concat([hello, proof])),
      AuthenticationError,
      "Cannot verify the client",
    );
    const [, , current] = agree(client(ends.client), server(ends.server));
    assertThrows(() => feed(server(ends.server), concat([messages(current)[0], proof])), AuthenticationError);
  });

  Deno.test(`${mode}: garbage gives ProtocolError, and never more is stored than a message has`, () => {
    const garbage = fc.uint8Array({ minLength: 1200, maxLength: 1200 });
    fc.assert(fc.property(garbage, fc.boolean(), (bytes, plausible) => {
      if (plausible) bytes.set([0, 2 + 32 + 32]); // the length of a message
      for (const end of [client(ends.client), server(ends.server)]) {
        assertThrows(() => feed(end, bytes), ProtocolError);
      }
    }));
    const [hello] = messages(agree(client(ends.client), server(ends.server))[2]);
    fc.assert(fc.property(garbage, (bytes) => {
      bytes.set([0, { anonymous: 48, psk: 48, sign: 144 }[mode]]);
      assertThrows(() => feed(server(ends.server), concat([hello, bytes])), AuthenticationError);
    }));
  });
}

Deno.test("a hello of more than 1024 bytes is refused before any of it is read, one of another length when it is read", () => {
  const end = server({ mode: "anonymous" });
  assertEquals(end.next(new Uint8Array()).value, { need: 2 });
  assertThrows(() => end.next(Uint8Array.of(0x04, 0x01)), FrameTooLargeError, "hello of 1025 bytes: limit is 1024");
  for (const length of [0, 1, 22, 23, 25, 26, 57]) {
    const short = concat([Uint8Array.of(0, length), messages(agreeAnonymously()[2])[0].subarray(2, 2 + length)]);
    assertThrows(() => feed(server({ mode: "anonymous" }), short), ProtocolError);
  }
});

function agreeAnonymously() {
  return agree(client({ mode: "anonymous" }), server({ mode: "anonymous" }));
}

Deno.test("a hello of another protocol, group or mode is refused", () => {
  const [hello] = messages(agreeAnonymously()[2]);
  for (const at of [2, 24, 25, 26, 27]) { // the name's first and last byte, the group's, the mode
    const other = hello.slice();
    other[at]! ^= 0x40;
    const error = assertThrows(() => feed(server({ mode: "anonymous" }), other), ProtocolError, "Cannot read hello");
    assert(!(error instanceof AuthenticationError), "it was taken for a hello");
  }
});

Deno.test("an answer and a proof of another length are refused before they are read", () => {
  const [hello, answer] = messages(agreeAnonymously()[2]);
  const announced = Uint8Array.of(answer[0]!, answer[1]! - 1);
  assertThrows(() => feed(client({ mode: "anonymous" }), announced), ProtocolError, "answer of 111 bytes: it has 112");
  const proof = concat([hello, Uint8Array.of(0, 49)]);
  assertThrows(() => feed(server({ mode: "anonymous" }), proof), ProtocolError, "proof of 49 bytes: it has 48");
});

Deno.test("a server's public value that is none of the group, or the client's own, ends the exchange at once", () => {
  for (const group of GROUPS) {
    const { length } = DH_GROUPS[group];
    const { value: hello } = client({ mode: "anonymous" }, { group }).next(new Uint8Array());
    const own = (hello as { send: Uint8Array }).send.slice(-length);
    for (const value of [own, new Uint8Array(length)]) {
      const answer = concat([new Uint8Array(32), value, new Uint8Array(48)]);
      const message = concat([Uint8Array.of(answer.length >> 8, answer.length & 255), answer]);
      const waiting = client({ mode: "anonymous" }, { group });
      assertThrows(() => feed(waiting, message), ProtocolError, "Cannot accept the peer's public value");
    }
  }
});

Deno.test("ends of different modes do not agree", () => {
  for (const ours of MODES) {
    for (const theirs of MODES.filter((mode) => mode !== ours)) {
      assertThrows(() => link(client(ours.client), server(theirs.server)), ProtocolError, "the client wants mode");
    }
  }
});

Deno.test("psk: another key is noticed by the client, and by the server if the client goes on", () => {
  const other = { mode: "psk", psk: new Uint8Array(32).fill(6) } as const;
  assertThrows(
    () => link(client({ mode: "psk", psk }), server(other)),
    AuthenticationError,
    "Cannot verify the server",
  );
  const [hello, , proof] = messages(agree(client(other), server(other))[2]);
  assertThrows(
    () => feed(server({ mode: "psk", psk }), concat([hello, proof])),
    AuthenticationError,
    "Cannot verify the client",
  );
});

Deno.test("psk: a key that has not 32 bytes is our own mistake", () => {
  const short = { mode: "psk", psk: new Uint8Array(31) } as const;
  assertThrows(() => link(client(short), server(short)), TypeError, "has 32 bytes");
});

Deno.test("sign: a key that is not pinned is refused on either end, though its signature is right", () => {
  const impostor = server(signing(MALLORY, CLIENT));
  assertThrows(() => link(client(signing(CLIENT, SERVER)), impostor), AuthenticationError, "Cannot verify the server");
  const stranger = client(signing(MALLORY, SERVER));
  assertThrows(() => link(stranger, server(signing(SERVER, CLIENT))), AuthenticationError, "Cannot verify the client");
});

Deno.test("sign: a pinned key without its signature proves nothing", () => {
  const stolen = (publicKey: Uint8Array) =>
    ({ publicKey, sign: (text: Uint8Array) => MALLORY.sign(text) }) as Ed25519Identity;
  const impostor = server(signing(stolen(SERVER.publicKey), CLIENT));
  assertThrows(() => link(client(signing(CLIENT, SERVER)), impostor), AuthenticationError, "signature is wrong");
  const stranger = client(signing(stolen(CLIENT.publicKey), SERVER));
  assertThrows(() => link(stranger, server(signing(SERVER, CLIENT))), AuthenticationError, "signature is wrong");
});

/** A client that does what the protocol's page says by hand, and then says something else in its proof. */
function* handMade(
  { role = "client", changeMac = false }: { readonly role?: string; readonly changeMac?: boolean } = {},
): Conversation {
  const name = "netlab diffie_hellman/1";
  const keys = DH_GROUPS.x25519.generate();
  const said = [concat([encodeText(name), Uint8Array.of(0, 0x1d, 2), new Uint8Array(32), keys.publicValue])];
  const withLength = (bytes: Uint8Array) => concat([Uint8Array.of(bytes.length >> 8, bytes.length), bytes]);
  const hash = () => new Uint8Array(createHash("sha256").update(concat(said.map(withLength))).digest());
  yield { send: withLength(said[0]!) };
  yield { need: 2 };
  const answer = yield { need: 32 + 32 + 144 };
  said.push(answer.slice(0, 64));
  const secret = hkdfExtract(hkdfExtract(new Uint8Array(32), new Uint8Array(32)), keys.agree(answer.slice(32, 64)));
  const derive = (what: string) => hkdfExpand(secret, concat([encodeText(`${name} ${what}\0`), hash()]));
  const nonce = new Uint8Array(12);
  const proof = openAes(answer.slice(64), { key: derive("server proof"), nonce });
  said.push(proof.slice(0, 32), proof.slice(32, 96), proof.slice(96));
  const [key, macKey] = [derive("client proof"), derive("client mac")];
  said.push(CLIENT.publicKey);
  said.push(CLIENT.sign(concat([encodeText(`${" ".repeat(64)}${name} ${role}\0`), hash()])));
  const mac = new Uint8Array(createHmac("sha256", macKey).update(hash()).digest());
  if (changeMac) mac[31]! ^= 1;
  yield { send: withLength(sealAes(concat([...said.slice(-2), mac]), { key, nonce })) };
}

Deno.test("sign: a signature for the other role, or a wrong MAC beside a right one, is refused", () => {
  const agreeing = () => server(signing(SERVER, CLIENT)) as unknown as Conversation;
  link(handMade(), agreeing());
  const refused = (change: Parameters<typeof handMade>[0], why: string) =>
    assertThrows(() => link(handMade(change), agreeing()), AuthenticationError, why);
  refused({ role: "server" }, "its signature is wrong");
  refused({ changeMac: true }, "its MAC is wrong");
});

Deno.test("sign: neither identity passes in clear, and the client's only once the server is verified", () => {
  const [, , { sent }] = agree(client(signing(CLIENT, SERVER)), server(signing(SERVER, CLIENT)));
  for (const { publicKey } of [CLIENT, SERVER]) {
    for (const bytes of sent) assert(!bytes.toHex().includes(publicKey.toHex()));
  }
  const end = client(signing(CLIENT, SERVER));
  const said: Uint8Array[] = [];
  assertThrows(() => {
    link(
      function* (): Conversation {
        for (let received: Uint8Array = new Uint8Array();;) {
          const { done, value } = end.next(received);
          if (done) return;
          if ("send" in value) said.push(value.send);
          received = yield value;
        }
      }(),
      server(signing(MALLORY, CLIENT)),
    );
  }, AuthenticationError);
  assertEquals(said.length, 1); // the hello
});

/** What someone in between does: agrees with each end, as the other one. */
function intercept(ends: Ends, mallory: Authentication): [() => DhSession[], () => DhSession[]] {
  return [
    () => agree(client(ends.client), server(mallory, 3)).slice(0, 2) as DhSession[],
    () => agree(client(mallory, { seed: 4 }), server(ends.server)).slice(0, 2) as DhSession[],
  ];
}

Deno.test("anonymous: someone in between agrees with each end, reads all, and only the fingerprints differ", () => {
  const [withClient, withServer] = intercept(MODES[0]!, { mode: "anonymous" });
  const [[victim, asServer], [asClient, target]] = [withClient(), withServer()] as [
    [DhSession, DhSession],
    [DhSession, DhSession],
  ];
  const secret = encodeText("meet me at nine");
  const read = asServer.receive.open(victim.send.seal(secret));
  assertEquals(target.receive.open(asClient.send.seal(read)), secret);
  assert(victim.fingerprint !== target.fingerprint);
});

Deno.test("psk, sign: someone in between is noticed by both ends", () => {
  const disguises: Authentication[] = [
    { mode: "psk", psk: new Uint8Array(32) },
    { mode: "sign", identity: MALLORY, trusts: () => true },
  ];
  VERIFIED.forEach((ends, i) => {
    for (const attack of intercept(ends, disguises[i]!)) assertThrows(attack, AuthenticationError);
  });
});
