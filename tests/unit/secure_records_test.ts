import fc from "fast-check";
import { concat } from "@std/bytes";
import { portableBackend } from "../../lib/ciphers_portable.ts";
import { AuthenticationError, ProtocolError, TruncatedError, UsageError } from "../../lib/errors.ts";
import { makeAead } from "../../lib/noise_primitives.ts";
import { nextKey } from "../../lib/noise.ts";
import { type CipherBackend, type CipherSuite, TAG_LENGTH } from "../../lib/record_cipher.ts";
import {
  type DirectionKey,
  MAX_RECORD_DATA,
  MAX_RECORDS,
  type Padding,
  parsePadding,
  type RecordOptions,
  RecordReader,
  RecordWriter,
} from "../../lib/secure_records.ts";
import { assert, assertEquals, assertRejects, assertThrows } from "../assert.ts";

const KEY = new Uint8Array(32).map((_, i) => i);
const SUITES: readonly CipherSuite[] = ["AESGCM", "ChaChaPoly"];
const direction = (suite: CipherSuite = "AESGCM", counter = 0): DirectionKey => ({ suite, key: KEY, counter });
const sync: RecordOptions = { backend: portableBackend };
const text = (bytes: string) => new TextEncoder().encode(bytes);

/** A backend whose operations take several turns, later ones fewer; it counts what is under way. */
function slowBackend(seen = { most: 0 }): CipherBackend {
  let underWay = 0;
  return {
    name: "slow",
    cipher(suite, key) {
      const cipher = portableBackend.cipher(suite, key);
      let closed = false;
      const later = async <Result>(operation: () => Result | Promise<Result>): Promise<Result> => {
        assert(!closed, "begun after close()");
        seen.most = Math.max(seen.most, ++underWay);
        for (let turns = 5 - underWay; turns > 0; turns--) await undefined;
        const result = await operation();
        underWay--;
        return result;
      };
      return {
        seal: (counter, record) => later(() => cipher.seal(counter, record)),
        open: (counter, record) => later(() => cipher.open(counter, record)),
        close: () => void (closed = true),
      };
    },
  };
}

/** The records of a stream, each `append` in its own batch, and the close record at the end. */
async function seal(chunks: readonly Uint8Array[], options = sync, key = direction()): Promise<Uint8Array[]> {
  const writer = new RecordWriter(key, options);
  const batches: Uint8Array[] = [];
  const take = async () => {
    const batch = writer.take()!;
    await batch.sealed;
    batches.push(batch.bytes.slice());
    writer.recycle(batch);
  };
  for (const chunk of chunks) {
    for (let rest = chunk; rest.length > 0;) {
      rest = rest.subarray(writer.append(rest));
      await take();
    }
  }
  writer.close();
  await take();
  return batches;
}

/** What a reader makes of bytes that arrive in reads of at most `step` bytes, until it wants more than there are. */
async function open(
  wire: Uint8Array,
  { options = sync, key = direction(), step = Infinity }: {
    options?: RecordOptions;
    key?: DirectionKey;
    step?: number;
  } = {},
): Promise<{ data: Uint8Array; reader: RecordReader; error?: unknown }> {
  const reader = new RecordReader(key, options);
  const taken: Uint8Array[] = [];
  const target = new Uint8Array(1000);
  try {
    for (let at = 0;;) {
      for (let count; (count = reader.take(target)) > 0;) taken.push(target.slice(0, count));
      if (await reader.next()) continue;
      if (at === wire.length) return { data: concat(taken), reader };
      const space = reader.space();
      assert(space.length > 0);
      const count = Math.min(space.length, step, wire.length - at);
      space.set(wire.subarray(at, at + count));
      at += count;
      reader.received(count);
    }
  } catch (error) {
    return { data: concat(taken), reader, error };
  }
}

Deno.test("records: whatever is written comes out again, however it is cut, with any cipher, padding and rekeying", async () => {
  const padding = fc.oneof(
    fc.constantFrom<Padding>("none", "padme"),
    fc.integer({ min: 16, max: 32768 }).map((multiple): Padding => ({ multiple })),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300_000 })), { maxLength: 5 }),
      fc.constantFrom(...SUITES),
      padding,
      fc.integer({ min: 1, max: 70_000 }),
      fc.boolean(),
      async (lengths, suite, padding, step, slow) => {
        const options = { backend: slow ? slowBackend() : portableBackend, padding, rekeyInterval: 3 };
        const chunks = lengths.map((length, i) => new Uint8Array(length).map((_, at) => at * (i + 1)));
        const wire = concat(await seal(chunks, options, direction(suite)));
        const { data, reader, error } = await open(wire, { options, key: direction(suite), step });
        assertEquals(error, undefined);
        assertEquals(latin1(data), latin1(concat(chunks)));
        assert(reader.closed);
        reader.end();
      },
    ),
    { numRuns: 40 },
  );
});

/** Bytes as something that compares fast. */
const latin1 = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

Deno.test("records: the bytes of one are as documented", async () => {
  const [data, close] = await seal([text("hello")], { ...sync, padding: { multiple: 16 } });
  const aead = makeAead("AESGCM");
  assertEquals(
    data,
    concat([
      Uint8Array.of(0, 32),
      aead.seal(KEY, 0, new Uint8Array(), concat([Uint8Array.of(0, 0, 5), text("hello"), new Uint8Array(8)])),
    ]),
  );
  const closing = concat([Uint8Array.of(1, 0, 0), new Uint8Array(13)]);
  assertEquals(close, concat([Uint8Array.of(0, 32), aead.seal(KEY, 1, new Uint8Array(), closing)]));
});

Deno.test("records: what is written in one turn is one record, up to 65516 bytes; a batch is at most 5 of them", () => {
  const writer = new RecordWriter(direction(), sync);
  for (let i = 0; i < 100; i++) assertEquals(writer.append(text("abc")), 3);
  assertEquals(writer.take()!.bytes.length, 2 + 3 + 300 + 16);
  assertEquals(writer.take(), undefined);
  assertEquals(writer.append(new Uint8Array(1_000_000)), 5 * MAX_RECORD_DATA);
  assert(writer.full);
  assertEquals(writer.append(new Uint8Array(1)), 0);
  assertEquals(writer.take()!.bytes.length, 5 * 65537);
});

Deno.test("records: up to 5 are under way in a slow cipher, never more", async () => {
  const seen = { most: 0 };
  const wire = await seal([new Uint8Array(900_000), new Uint8Array(10)], { backend: slowBackend(seen) });
  assertEquals(seen.most, 5);
  seen.most = 0;
  const { data } = await open(concat(wire), { options: { backend: slowBackend(seen) } });
  assertEquals([data.length, seen.most], [900_010, 5]);
});

Deno.test("records: dropped, doubled, swapped or reflected, they are refused, and all before them is delivered", async () => {
  const records = await seal(["a", "b", "c", "d"].map(text));
  const [a, b, c, d, close] = records as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  for (
    const [wire, before] of [
      [[a, c, d, close], "a"],
      [[b, c, d, close], ""],
      [[a, b, c, close], "abc"],
      [[a, a, b, c, d, close], "a"],
      [[a, b, c, d, d, close], "abcd"],
      [[b, a, c, d, close], ""],
      [[a, b, d, c, close], "ab"],
      [[a, close, b, c, d], "a"],
    ] as const
  ) {
    for (const options of [sync, { backend: slowBackend() }]) {
      const { data, error, reader } = await open(concat(wire), { options });
      assert(error instanceof AuthenticationError, `${error}`);
      assertEquals(data, text(before));
      await assertRejects(async () => await reader.next(), TypeError, "failed");
      assertEquals(reader.take(new Uint8Array(9)), 0);
    }
  }
  const reflected = { ...direction(), key: KEY.toReversed() }; // a peer reads with the other direction's key
  assert((await open(a, { key: reflected })).error instanceof AuthenticationError);
  assert((await open(a, { key: direction("AESGCM", 1) })).error instanceof AuthenticationError);
});

Deno.test("records: those before a wrong one are delivered, though they are still being opened when it is refused", async () => {
  const chunks = [60_000, 60_000, 10].map((length) => new Uint8Array(length).fill(7)); // only long ones take their time
  const [first, second, last] = await seal(chunks) as [Uint8Array, Uint8Array, Uint8Array];
  for (const wrong of [last.with(9, last[9]! ^ 1), Uint8Array.of(0, 3, 1, 2, 3)]) {
    const { data, error } = await open(concat([first, second, wrong]));
    assert(error instanceof ProtocolError, `${error}`);
    assertEquals(data.length, 120_000);
  }
});

Deno.test("records: cut at any byte they are truncated, and only whole ones are delivered", async () => {
  const records = await seal(["one", "two"].map(text), { ...sync, padding: { multiple: 32 } });
  const wire = concat(records);
  for (let length = 0; length < wire.length; length++) {
    const { data, error, reader } = await open(wire.subarray(0, length));
    assertEquals(error, undefined);
    const whole = Math.floor(length / records[0]!.length);
    assertEquals(data, text(["", "one", "onetwo"][whole]!));
    assertThrows(() => reader.end(), TruncatedError, "without a close record");
  }
});

Deno.test("records: with any bit changed, all fail but those before it", async () => {
  const [first, second, close] = await seal(["one", "two"].map(text)) as [Uint8Array, Uint8Array, Uint8Array];
  const filler = new Uint8Array(66_000); // what a changed length may swallow
  for (let bit = 0; bit < 8 * second.length; bit++) {
    const changed = second.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    const { data, error } = await open(concat([first, changed, close, filler]));
    assert(error instanceof ProtocolError, `bit ${bit}: ${error}`);
    assertEquals(data, text("one"));
  }
});

/** A record of any plaintext, sealed rightly. */
function forge(plaintext: readonly number[], counter = 0): Uint8Array {
  const sealed = makeAead("AESGCM").seal(KEY, counter, new Uint8Array(), Uint8Array.from(plaintext));
  return concat([Uint8Array.of(sealed.length >> 8, sealed.length), sealed]);
}

Deno.test("RecordReader refuses what no peer writes: types, lengths, padding, data after the end", async () => {
  const close = forge([1, 0, 0]);
  for (
    const [wire, message] of [
      [forge([3, 0, 0]), "type 3"],
      [forge([255, 0, 0]), "type 255"],
      [forge([0, 0, 2, 1]), "more than it holds"],
      [forge([0, 255, 255, 1]), "more than it holds"],
      [forge([1, 0, 1, 1]), "type 1: it holds data"],
      [forge([2, 0, 1, 1]), "type 2: it holds data"],
      [forge([0, 0, 1, 1, 0, 0, 1]), "padding is not zero"],
      [forge([2, 0, 0, 1]), "padding is not zero"],
      [concat([close, Uint8Array.of(0)]), "follow the close record"],
      [concat([close, forge([0, 0, 0], 1)]), "follow the close record"],
      [Uint8Array.of(0, 18), "too short"],
      [Uint8Array.of(0, 0), "too short"],
    ] as const
  ) {
    for (const step of [Infinity, 1]) {
      const { data, error } = await open(wire, { step });
      assert(error instanceof ProtocolError && error.message.includes(message), `${message}: ${error}`);
      assertEquals(data.length, 0);
    }
  }
});

Deno.test("RecordReader passes over empty records, padded or not", async () => {
  const wire = concat([forge([2, 0, 0]), forge([2, 0, 0, 0, 0], 1), forge([0, 0, 0, 0], 2), forge([0, 0, 1, 65], 3)]);
  assertEquals((await open(wire)).data, text("A"));
});

Deno.test("RecordReader makes of garbage nothing but a ProtocolError, in bounded memory", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 99 }), async (bytes, step) => {
      const { data, error, reader } = await open(bytes, { step });
      assert(error === undefined || error instanceof ProtocolError);
      assertEquals(data.length, 0);
      if (error === undefined) assert(reader.space().length <= 5 * 65537);
    }),
  );
});

Deno.test("records: the key changes at the interval and nowhere else", async () => {
  for (const suite of SUITES) {
    const keys = [KEY, nextKey(suite, KEY), nextKey(suite, nextKey(suite, KEY))];
    for (const interval of [1, 2, 4, 5]) {
      const options = { ...sync, rekeyInterval: interval };
      const records = await seal(Array.from({ length: 2 * interval }, () => text("x")), options, direction(suite));
      records.forEach((record, i) => {
        const key = keys[Math.floor(i / interval)]!;
        makeAead(suite).open(key, i, new Uint8Array(), record.subarray(2)); // throws if it is another
      });
    }
  }
});

Deno.test("records: one record before and after the change of keys, with a cipher that is still at work", async () => {
  const chunks = [
    new Uint8Array(5 * MAX_RECORD_DATA).fill(1),
    new Uint8Array(5 * MAX_RECORD_DATA).fill(2),
    text("end"),
  ];
  for (const [ours, theirs] of [[4, 4], [5, 5], [6, 6], [4, 5], [5, 4], [5, 6]] as const) {
    const wire = concat(await seal(chunks, { backend: slowBackend(), rekeyInterval: ours }));
    const { data, error } = await open(wire, { options: { backend: slowBackend(), rekeyInterval: theirs } });
    if (ours === theirs) assertEquals(latin1(data), latin1(concat(chunks)));
    else {
      assert(error instanceof AuthenticationError);
      assertEquals(data.length, Math.min(ours, theirs) * MAX_RECORD_DATA);
    }
  }
});

Deno.test("RecordReader overwrites a buffer before another channel may use it", async () => {
  const sealed = async (writer: RecordWriter) => {
    const batch = writer.take()!;
    await batch.sealed;
    return batch.bytes;
  };
  const opened = async (length: number) => {
    const reader = new RecordReader(direction(), sync);
    const buffers: Uint8Array[] = [];
    const receive = async (bytes: Uint8Array) => {
      for (let rest = bytes; rest.length > 0;) {
        const space = reader.space();
        buffers.push(new Uint8Array(space.buffer));
        const part = rest.subarray(0, space.length);
        space.set(part);
        reader.received(part.length);
        rest = rest.subarray(part.length);
        while (await reader.next()) reader.take(new Uint8Array(MAX_RECORD_DATA));
      }
    };
    const writer = new RecordWriter(direction(), sync);
    writer.append(new Uint8Array(length).fill(7));
    await receive(await sealed(writer));
    return { reader, writer, buffers, receive };
  };
  const idle = await opened(60_000);
  const large = idle.buffers.at(-1)!;
  assert(large.length > 60_000 && large.includes(7));
  idle.writer.append(Uint8Array.of(1));
  await idle.receive(await sealed(idle.writer));
  idle.reader.space(); // it is small again
  assert(!large.includes(7));
  const ended = await opened(60_000);
  ended.writer.close();
  await ended.receive(await sealed(ended.writer));
  assert(!ended.buffers.at(-1)!.some((byte) => byte !== 0));
});

Deno.test("records: a cipher is closed when its key has had its time, and the last one at the end", async () => {
  let [made, closed] = [0, 0];
  const backend: CipherBackend = {
    name: "counting",
    cipher(suite, key) {
      const cipher = portableBackend.cipher(suite, key);
      made++;
      return {
        ...cipher,
        seal: (...args) => cipher.seal(...args),
        open: (...args) => cipher.open(...args),
        close: () => void closed++,
      };
    },
  };
  const options = { backend, rekeyInterval: 2 };
  const wire = concat(await seal(["a", "b", "c", "d"].map(text), options)); // and the close record
  assertEquals([made, closed], [3, 3]);
  await open(wire, { options });
  assertEquals([made, closed], [6, 6]);
  const reader = new RecordReader(direction(), options);
  reader.dispose();
  reader.dispose();
  assertEquals([made, closed], [7, 7]);
});

Deno.test("records: the last number is used, and no further one, on either side", async () => {
  const key = direction("AESGCM", MAX_RECORDS - 1);
  const options = { ...sync, rekeyInterval: MAX_RECORDS };
  const writer = new RecordWriter(key, options);
  writer.append(text("last"));
  const { bytes } = writer.take()!;
  assertEquals((await open(bytes, { key, options })).data, text("last"));
  writer.append(text("more"));
  assertThrows(() => writer.take(), ProtocolError, "Cannot go on");
  assertThrows(() => writer.take(), TypeError, "failed");
  assertThrows(() => writer.append(text("more")), TypeError, "failed");
  const { error } = await open(concat([bytes, bytes]), { key, options });
  assert(error instanceof ProtocolError && error.message.includes("Cannot go on"));
});

Deno.test("RecordWriter fails for good when its cipher does", async () => {
  for (const slow of [false, true]) {
    const cipher = () => ({
      seal: () => {
        if (slow) return Promise.reject(new Error("no"));
        throw new Error("no");
      },
      open: () => new Uint8Array(),
      close: () => {},
    });
    const writer = new RecordWriter(direction(), { backend: { name: "broken", cipher } });
    writer.append(text("x"));
    if (slow) await assertRejects(async () => await writer.take()!.sealed, Error, "no");
    else assertThrows(() => writer.take(), Error, "no");
    assertThrows(() => writer.append(text("x")), TypeError, "failed");
    assertThrows(() => writer.close(), TypeError);
  }
});

Deno.test("RecordWriter closes once, after all is taken, and writes no more", () => {
  const writer = new RecordWriter(direction(), sync);
  writer.append(text("x"));
  assertThrows(() => writer.close(), TypeError, "not ready");
  writer.take();
  writer.close();
  assertThrows(() => writer.append(text("x")), TypeError, "closed");
  assertThrows(() => writer.close(), TypeError);
  assertEquals(writer.take()!.bytes.length, 2 + 3 + TAG_LENGTH);
});

Deno.test("records: a buffer that is used again shows nothing of what it held", async () => {
  const options: RecordOptions = { ...sync, padding: { multiple: 64 } };
  const writer = new RecordWriter(direction(), options);
  const wire: Uint8Array[] = [];
  for (const length of [3000, 5, 200_000, 7]) {
    for (let rest = new Uint8Array(length).fill(0xaa); rest.length > 0;) {
      rest = rest.subarray(writer.append(rest));
      const batch = writer.take()!;
      await batch.sealed;
      wire.push(batch.bytes.slice());
      writer.recycle(batch);
    }
  }
  assertEquals((await open(concat(wire), { options })).error, undefined); // the reader checks that padding is zero
});

Deno.test("records: padding hides lengths: multiples, or Padmé with at most 12 % more", async () => {
  const lengthOf = async (length: number, padding: Padding) =>
    (await seal([new Uint8Array(length)], { ...sync, padding }))[0]!.length - 2 - TAG_LENGTH;
  for (const length of [1, 13, 14, 100, 253, 254, 65_000, MAX_RECORD_DATA]) {
    assertEquals(await lengthOf(length, "none"), length + 3);
    const padded = await lengthOf(length, "padme");
    assert(padded >= length + 3 && padded <= 1.12 * (length + 3), `${length}: ${padded}`);
    if (length < 60_000) assertEquals(await lengthOf(length, { multiple: 256 }), Math.ceil((length + 3) / 256) * 256);
  }
  const distinct = new Set<number>();
  for (let length = 1000; length < 2000; length++) distinct.add(await lengthOf(length, "padme"));
  assert(distinct.size < 40, `${distinct.size} lengths`);
});

Deno.test("parsePadding() reads the three forms and no other", () => {
  assertEquals(["none", "padme", "fixed:16", "fixed:32768"].map(parsePadding), [
    "none",
    "padme",
    { multiple: 16 },
    { multiple: 32768 },
  ]);
  for (const wrong of ["", "fixed", "fixed:", "fixed:15", "fixed:32769", "fixed:-20", "fixed:1e3", "Padme"]) {
    assertThrows(() => parsePadding(wrong), UsageError, "no padding");
  }
});
