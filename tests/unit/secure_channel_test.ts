import fc from "fast-check";
import { concat } from "@std/bytes";
import { ProtocolError } from "../../lib/errors.ts";
import { Handshake } from "../../lib/noise.ts";
import { makeAead, x25519 } from "../../lib/noise_primitives.ts";
import {
  CHANNEL_PATTERNS,
  type ChannelHandshake,
  type ChannelKeys,
  initiate,
  type InitiatorOptions,
  respond,
  type ResponderOptions,
} from "../../lib/secure_channel.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

type Pattern = typeof CHANNEL_PATTERNS[number];
const [client, server] = [x25519.generate(), x25519.generate()];
const psk = new Uint8Array(32).fill(3);
const application = "test/1";
const nameOf = (pattern: string, cipher = "AESGCM") => `Noise_${pattern}_25519_${cipher}_SHA256`;
const NOTHING = new Uint8Array();

/** What both ends of a pattern bring. */
function options(pattern: Pattern, cipher?: string): [InitiatorOptions, ResponderOptions] {
  const protocol = nameOf(pattern, cipher);
  const shared = { application, psk: pattern.includes("psk") ? psk : undefined };
  return [
    {
      ...shared,
      protocol,
      staticKey: /^[XI]/.test(pattern) ? client : undefined,
      remoteStatic: /K$/.test(pattern) ? server.publicKey : undefined,
    },
    { ...shared, protocols: [protocol], staticKey: pattern.startsWith("NN") ? undefined : server },
  ];
}

/** One end of a link. */
interface End {
  readonly handshake: ChannelHandshake;
  inbox: Uint8Array;
  need: number;
  keys?: ChannelKeys;
  trusted?: Uint8Array;
  readonly sent: Uint8Array[];
}

/** Lets two ends talk until neither can go on; `onSend` may change what is sent, and `trust` refuse by throwing. */
function link(
  handshakes: readonly [ChannelHandshake, ChannelHandshake],
  { onSend = (bytes) => bytes, trust = () => {} }: {
    onSend?: (bytes: Uint8Array, from: number) => Uint8Array;
    trust?: (by: number, key: Uint8Array) => void;
  } = {},
): [End, End] {
  const ends = handshakes.map((handshake): End => ({ handshake, inbox: NOTHING, need: 0, sent: [] })) as [End, End];
  for (let moved = true; moved;) {
    moved = false;
    for (const [i, end] of ends.entries()) {
      if (end.keys !== undefined || end.inbox.length < end.need) continue;
      const received = end.inbox.slice(0, end.need);
      end.inbox = end.inbox.slice(end.need);
      const { done, value } = end.handshake.next(received);
      end.need = !done && "need" in value ? value.need : 0;
      if (done) end.keys = value;
      else if ("trust" in value) {
        end.trusted = value.trust;
        trust(i, value.trust);
      } else if ("send" in value) {
        const bytes = onSend(value.send, i);
        end.sent.push(bytes);
        ends[1 - i]!.inbox = concat([ends[1 - i]!.inbox, bytes]);
      }
      moved = true;
    }
  }
  return ends;
}

function start(pattern: Pattern, cipher?: string): [ChannelHandshake, ChannelHandshake] {
  const [ours, theirs] = options(pattern, cipher);
  return [initiate(ours), respond(theirs)];
}

Deno.test("a channel: in every pattern both ends have the same keys, hash and protocol, and know each other", () => {
  for (const pattern of CHANNEL_PATTERNS) {
    for (const cipher of ["AESGCM", "ChaChaPoly"] as const) {
      const [a, b] = link(start(pattern, cipher));
      assert(a.keys !== undefined && b.keys !== undefined, pattern);
      assertEquals(a.keys.send, b.keys.receive);
      assertEquals(a.keys.receive, b.keys.send);
      assertEquals(a.keys.handshakeHash, b.keys.handshakeHash);
      assertEquals([a.keys.protocol, a.keys.send.suite], [nameOf(pattern, cipher), cipher]);
      assertEquals(a.keys.remoteStatic, pattern.startsWith("NN") ? undefined : server.publicKey);
      assertEquals(b.keys.remoteStatic, /^[XI]/.test(pattern) ? client.publicKey : undefined);
      assertEquals([a.inbox.length, b.inbox.length], [0, 0]);
    }
  }
});

Deno.test("a channel: who read the last message confirms by record 0, and goes on with record 1", () => {
  for (const pattern of CHANNEL_PATTERNS) {
    const [a, b] = link(start(pattern));
    const threeMessages = pattern.startsWith("X");
    const [confirms, other] = threeMessages ? [b, a] : [a, b];
    assertEquals([confirms.keys!.send.counter, other.keys!.receive.counter], [1, 1]);
    assertEquals([confirms.keys!.receive.counter, other.keys!.send.counter], [0, 0]);
    const record = confirms.sent.at(-1)!;
    const sealed = makeAead("AESGCM").seal(confirms.keys!.send.key, 0, NOTHING, Uint8Array.of(2, 0, 0));
    assertEquals(record, concat([Uint8Array.of(0, 19), sealed]));
  }
});

Deno.test("a channel: the sizes on the wire are as documented", () => {
  const sizes: Record<Pattern, [number[], number[]]> = {
    XX: [[5 + 28 + 2 + 32, 2 + 64], [2 + 96, 21]],
    XK: [[5 + 28 + 2 + 48, 2 + 64], [2 + 48, 21]],
    IK: [[5 + 28 + 2 + 96, 21], [2 + 48]],
    NK: [[5 + 28 + 2 + 48, 21], [2 + 48]],
    XXpsk3: [[5 + 32 + 2 + 48, 2 + 64], [2 + 96, 21]],
    NNpsk0: [[5 + 32 + 2 + 48, 21], [2 + 48]],
  };
  for (const pattern of CHANNEL_PATTERNS) {
    const ends = link(start(pattern));
    assertEquals(ends.map(({ sent }) => sent.map(({ length }) => length)), sizes[pattern], pattern);
  }
});

Deno.test("a channel: the initiator asks whether to trust the responder before it shows who it is (XX, XXpsk3)", () => {
  for (const pattern of ["XX", "XXpsk3"] as const) {
    const sent: number[] = [];
    const refuse = (by: number, key: Uint8Array) => {
      assertEquals([by, key], [0, server.publicKey]);
      throw new ProtocolError("not trusted");
    };
    const onSend = (bytes: Uint8Array, from: number) => (sent.push(from), bytes);
    assertThrows(() => link(start(pattern), { trust: refuse, onSend }), ProtocolError, "not trusted");
    assertEquals(sent, [0, 1]); // the third message, with the initiator's key, was not written
  }
});

Deno.test("a channel: the responder asks whether to trust the initiator before it says that it does", () => {
  for (const [pattern, before] of [["XX", 1], ["XK", 1], ["XXpsk3", 1], ["IK", 0]] as const) {
    let answers = 0;
    const trust = (by: number, key: Uint8Array) => {
      if (by === 0) return;
      assertEquals(key, client.publicKey);
      throw new ProtocolError("not trusted");
    };
    const onSend = (bytes: Uint8Array, from: number) => (answers += from, bytes);
    assertThrows(() => link(start(pattern), { trust, onSend }), ProtocolError, "not trusted");
    assertEquals(answers, before, pattern);
  }
});

Deno.test("a channel: nobody is asked about a key that was given beforehand, or where there is none", () => {
  for (const pattern of ["NK", "IK", "XK"] as const) assertEquals(link(start(pattern))[0].trusted, undefined);
  for (const pattern of ["NK", "NNpsk0"] as const) assertEquals(link(start(pattern))[1].trusted, undefined);
});

/** Whether a channel came about at both ends. */
function succeeds(
  handshakes: [ChannelHandshake, ChannelHandshake],
  onSend?: (bytes: Uint8Array, from: number) => Uint8Array,
) {
  try {
    const ends = link(handshakes, onSend === undefined ? {} : { onSend });
    return ends.every(({ keys }) => keys !== undefined);
  } catch (error) {
    assert(error instanceof ProtocolError, `${error}`);
    return false;
  }
}

Deno.test("a channel: every single bit of a handshake matters, in every pattern", () => {
  for (const pattern of CHANNEL_PATTERNS) {
    const bits = link(start(pattern)).map(({ sent }) => 8 * concat(sent).length);
    for (const side of [0, 1]) {
      for (let bit = 0; bit < bits[side]!; bit++) {
        let seen = 0; // bits of this side so far
        const flip = (bytes: Uint8Array, from: number) => {
          if (from !== side) return bytes;
          const at = bit - seen;
          seen += 8 * bytes.length;
          if (at < 0 || at >= 8 * bytes.length) return bytes;
          const changed = bytes.slice();
          changed[at >> 3]! ^= 1 << (at & 7);
          return changed;
        };
        assert(!succeeds(start(pattern), flip), `${pattern}: bit ${bit} of side ${side}`);
      }
    }
  }
});

Deno.test("a channel: cut anywhere, it does not come about", () => {
  const lengths = link(start("XX")).map(({ sent }) => concat(sent).length);
  for (const side of [0, 1]) {
    for (let length = 0; length < lengths[side]!; length++) {
      let left = length;
      const cut = (bytes: Uint8Array, from: number) => {
        if (from !== side) return bytes;
        const part = bytes.subarray(0, left);
        left -= part.length;
        return part;
      };
      assert(!succeeds(start("XX"), cut));
    }
  }
});

Deno.test("a channel: another application, pre-shared key or server key fails, and so does a protocol that is not offered", () => {
  for (const pattern of CHANNEL_PATTERNS) {
    const [ours, theirs] = options(pattern);
    assert(!succeeds([initiate({ ...ours, application: "chat/1" }), respond(theirs)]), pattern);
    assert(!succeeds([initiate(ours), respond({ ...theirs, protocols: [nameOf(pattern, "ChaChaPoly")] })]));
    assert(!succeeds([initiate(ours), respond({ ...theirs, protocols: [`${nameOf(pattern)}x`] })]));
    if (ours.psk !== undefined) assert(!succeeds([initiate(ours), respond({ ...theirs, psk: psk.with(0, 0) })]));
    if (ours.remoteStatic === undefined) continue;
    assert(!succeeds([initiate(ours), respond({ ...theirs, staticKey: x25519.generate() })]), pattern);
  }
});

Deno.test("a channel: a recorded first message gets no answer to act on (IK, NK, NNpsk0)", () => {
  for (const pattern of ["IK", "NK", "NNpsk0"] as const) {
    const [first] = link(start(pattern))[0].sent;
    const replayed = respond(options(pattern)[1]);
    const { sent, keys } = talkTo(replayed, first!);
    assertEquals([sent.length, keys], [50, undefined]); // its second message; then it waits for the confirmation
    assertThrows(() => talkTo(respond(options(pattern)[1]), concat([first!, new Uint8Array(21)])), ProtocolError);
  }
});

/** Gives a handshake these bytes, whatever it asks; resolves to what it sent by then. */
function talkTo(handshake: ChannelHandshake, bytes: Uint8Array): { sent: Uint8Array; keys?: ChannelKeys } {
  const sent: Uint8Array[] = [];
  for (let received = NOTHING;;) {
    const { done, value } = handshake.next(received);
    if (done) return { sent: concat(sent), keys: value };
    received = NOTHING;
    if ("send" in value) sent.push(value.send);
    if (!("need" in value)) continue;
    if (bytes.length < value.need) return { sent: concat(sent) };
    [received, bytes] = [bytes.slice(0, value.need), bytes.subarray(value.need)];
  }
}

Deno.test("respond() makes of garbage nothing but a ProtocolError, says nothing, and asks for at most 1024 bytes", () => {
  const prefixes = [NOTHING, new TextEncoder().encode("NPS1"), link(start("XX"))[0].sent[0]!.subarray(0, 33)];
  fc.assert(fc.property(fc.constantFrom(...prefixes), fc.uint8Array({ maxLength: 1500 }), (prefix, garbage) => {
    try {
      const { keys } = talkTo(respond(options("XX")[1]), concat([prefix, garbage]));
      assertEquals(keys, undefined);
    } catch (error) {
      assert(error instanceof ProtocolError, `${error}`);
    }
  }));
  const asked = respond(options("XX")[1]);
  asked.next(NOTHING);
  asked.next(prefixes[2]!.slice(0, 5));
  assertEquals(asked.next(prefixes[2]!.slice(5)).value, { need: 2 });
  assertThrows(() => asked.next(Uint8Array.of(4, 1)), ProtocolError, "limit is 1024");
});

Deno.test("respond() looks at the preamble first: its magic, the length of the name, the name", () => {
  const begin = (text: string) => () => talkTo(respond(options("XX")[1]), new TextEncoder().encode(text));
  assertThrows(begin("GET / HTTP/1.1\r\n"), ProtocolError, "does not ask for a secure channel");
  assertThrows(begin("NPS2\x05"), ProtocolError, "does not ask");
  assertThrows(begin("NPS1\x7f"), ProtocolError, "not offered"); // before the name is waited for
  assertThrows(begin(`NPS1\x02XX`), ProtocolError, '"XX", which is not offered');
  assertThrows(begin(`NPS1\x1c${nameOf("XX").replace("AES", "DES")}`), ProtocolError, "not offered");
});

Deno.test("respond() refuses a payload in the first message", () => {
  // Without a key a payload is in the clear, 33 bytes in place of 32: only this check finds it early.
  const first = link(start("XX"))[0].sent[0]!;
  const grown = concat([first.subarray(0, -33), Uint8Array.of(33), first.subarray(-32), Uint8Array.of(1)]);
  assertThrows(() => talkTo(respond(options("XX")[1]), grown), ProtocolError, "has a payload");
});

Deno.test("a channel: what is missing or of a wrong length is the caller's fault", () => {
  const begin = (options: InitiatorOptions) => () => initiate(options).next(NOTHING);
  for (const length of [0, 16, 31, 33]) {
    const short = new Uint8Array(length);
    assertThrows(begin({ protocol: nameOf("NNpsk0"), application, psk: short }), RangeError, `${length} bytes`);
    const [first] = link(start("NNpsk0"))[0].sent;
    const theirs = { protocols: [nameOf("NNpsk0")], application, psk: short };
    assertThrows(() => talkTo(respond(theirs), first!), RangeError, `${length} bytes`);
  }
  assertThrows(begin({ protocol: nameOf("NNpsk0"), application }), TypeError, "takes 1 pre-shared keys, not 0");
  assertThrows(begin({ protocol: nameOf("XX"), application }), TypeError, "static key is missing");
  for (const pattern of ["NN", "KK", "N", "XXpsk0"]) {
    assertThrows(begin({ protocol: nameOf(pattern), application }), RangeError, "for channels");
  }
  assertThrows(begin({ ...options("XX")[0], application: "a".repeat(256) }), RangeError, "limit is 255");
});

/** Our initiator against a responder of XX that confirms by any plaintext, in a record of any announced length. */
function confirmBy(plaintext: Uint8Array, length: number): ChannelKeys | undefined {
  const initiator = initiate(options("XX")[0]);
  const preamble = concat([new TextEncoder().encode(`NPS1\x1c${nameOf("XX")}`)]);
  const prologue = concat([preamble, Uint8Array.of(application.length), new TextEncoder().encode(application)]);
  const handshake = new Handshake({ protocol: nameOf("XX"), role: "responder", prologue, staticKey: server });
  handshake.read(talkTo(initiator, NOTHING).sent.subarray(preamble.length + 2));
  initiator.next(Uint8Array.of(0, 96));
  initiator.next(handshake.write()); // it asks whether to trust us
  const third = initiator.next(NOTHING).value as { send: Uint8Array };
  handshake.read(third.send.subarray(2));
  assertEquals(initiator.next(NOTHING).value, { need: 21 });
  const sealed = makeAead("AESGCM").seal(handshake.split().send, 0, NOTHING, plaintext);
  const { done, value } = initiator.next(concat([Uint8Array.of(0, length), sealed]));
  return done ? value : undefined;
}

Deno.test("a channel: a confirmation that is another record is refused, though its tag is right", () => {
  assert(confirmBy(Uint8Array.of(2, 0, 0), 19) !== undefined);
  for (const plaintext of [[0, 0, 0], [1, 0, 0], [2, 0, 1], [3, 0, 0]]) {
    assertThrows(() => confirmBy(Uint8Array.from(plaintext), 19), ProtocolError, "does not confirm");
  }
  assertThrows(() => confirmBy(Uint8Array.of(2, 0, 0), 20), ProtocolError, "does not confirm");
});
