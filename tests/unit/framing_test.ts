import fc from "fast-check";
import { concat } from "@std/bytes";
import { FrameTooLargeError, ProtocolError, TruncatedError } from "../../lib/errors.ts";
import { encodeFrame, encodeFrames, FrameDecoder, type FrameDecoderOptions } from "../../lib/framing.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const formats = fc.record({ width: fc.constantFrom(2, 4), endian: fc.constantFrom("big", "little") });
const payloads = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 });
/** Sizes of reads, over and over: whole streams, single bytes and everything between. */
const cuts = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 8 });

function* cut(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  for (let start = 0, i = 0; start < bytes.length; i++) {
    const end = start + sizes[i % sizes.length]!;
    yield bytes.subarray(start, end);
    start = end;
  }
}

/** All the payloads that the decoder has complete. */
function* taken(decoder: FrameDecoder): Generator<Uint8Array> {
  for (let payload; (payload = decoder.next()) !== undefined;) yield payload;
}

/** The payloads of a stream that arrives in these chunks and goes on. */
function decode(chunks: Iterable<Uint8Array>, options?: FrameDecoderOptions): Uint8Array[] {
  const decoder = new FrameDecoder(options);
  return Array.from(chunks, (chunk) => {
    decoder.receive(chunk);
    return [...taken(decoder)];
  }).flat();
}

Deno.test("encodeFrame() is the length, then the payload: the example of docs/protocols/framing.md", () => {
  const hello = new TextEncoder().encode("hello");
  assertEquals(encodeFrame(hello).toHex(), "0000000568656c6c6f");
  assertEquals(encodeFrame(hello, { endian: "little" }).toHex(), "0500000068656c6c6f");
  assertEquals(encodeFrame(hello, { width: 2, endian: "little" }).toHex(), "050068656c6c6f");
});

Deno.test("encodeFrames() is what encodeFrame() makes of each payload, one after the other", () => {
  fc.assert(fc.property(payloads, formats, (payloads, format) => {
    assertEquals(encodeFrames(payloads, format), concat(payloads.map((payload) => encodeFrame(payload, format))));
  }));
});

Deno.test("encodeFrame() with a width of 2 takes 65535 bytes and no more", () => {
  const frame = encodeFrame(new Uint8Array(65_535), { width: 2 });
  assertEquals(frame.subarray(0, 2), Uint8Array.of(0xff, 0xff));
  const decoder = new FrameDecoder({ width: 2 });
  decoder.receive(frame);
  assertEquals(decoder.next()?.length, 65_535);
  assertThrows(() => encodeFrame(new Uint8Array(65_536), { width: 2 }), RangeError, "0 to 65535 fit");
});

Deno.test("FrameDecoder gives the same payloads wherever the stream is cut", () => {
  fc.assert(fc.property(payloads, formats, cuts, fc.uint8Array({ maxLength: 3 }), (payloads, format, sizes, rest) => {
    const frames = encodeFrames(payloads, format);
    const stream = concat([frames, rest.subarray(0, format.width - 1)]); // the rest makes no frame
    for (const chunks of [[stream], cut(stream, [1]), cut(stream, sizes)]) {
      assertEquals(decode(chunks, format), payloads);
    }
  }));
});

Deno.test("FrameDecoder, then encodeFrame(), gives the same bytes", () => {
  fc.assert(fc.property(payloads, formats, cuts, (payloads, format, sizes) => {
    const stream = encodeFrames(payloads, format);
    const again = decode(cut(stream, sizes), format).map((payload) => encodeFrame(payload, format));
    assertEquals(concat(again), stream);
  }));
});

Deno.test("FrameDecoder makes of garbage frames or a ProtocolError, and never holds more than a frame", () => {
  const limits = fc.integer({ min: 0, max: 300 });
  // Small bytes make lengths on both sides of the limit; any bytes make huge ones.
  const garbage = fc.oneof(fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ max: 1, maxLength: 400 }));
  fc.assert(fc.property(garbage, formats, limits, cuts, (garbage, format, maxFrame, sizes) => {
    const decoder = new FrameDecoder({ ...format, maxFrame });
    try {
      for (const chunk of cut(garbage, sizes)) {
        decoder.receive(chunk);
        for (const payload of taken(decoder)) assert(payload.length <= maxFrame);
        assert(decoder.pending < format.width + maxFrame || decoder.pending < format.width);
      }
      decoder.end();
    } catch (error) {
      assert(error instanceof ProtocolError, `${error}`);
      assert(decoder.pending < format.width + maxFrame + Math.max(...sizes));
    }
  }));
});

Deno.test("a client's and a server's decoder and encoder, joined, see what the other sent", () => {
  fc.assert(fc.property(payloads, formats, cuts, cuts, (payloads, format, there, back) => {
    const requests = encodeFrames(payloads, format);
    const echoes = decode(cut(requests, there), format).map((payload) => encodeFrame(payload, format));
    assertEquals(decode(cut(concat(echoes), back), format), payloads);
  }));
});

Deno.test("FrameDecoder.next() gives empty payloads too", () => {
  assertEquals(decode([new Uint8Array(8)]), [new Uint8Array(), new Uint8Array()]);
});

Deno.test("FrameDecoder.next() rejects a length above the limit before the payload arrives", () => {
  const decoder = new FrameDecoder();
  decoder.receive(new Uint8Array(4).fill(0xff));
  assertThrows(
    () => decoder.next(),
    FrameTooLargeError,
    "Cannot accept frame of 4294967295 bytes: limit is 1048576 bytes",
  );
  assertEquals(decoder.pending, 4);
});

Deno.test("FrameDecoder.next() accepts a payload of exactly the limit", () => {
  for (const [length, fits] of [[10, true], [11, false]] as const) {
    const decoder = new FrameDecoder({ maxFrame: 10 });
    decoder.receive(encodeFrame(new Uint8Array(length)));
    if (fits) assertEquals(decoder.next()?.length, length);
    else assertThrows(() => decoder.next(), FrameTooLargeError);
  }
});

Deno.test("FrameDecoder: failed is final, whatever comes after", () => {
  fc.assert(fc.property(payloads, formats, (payloads, format) => {
    const decoder = new FrameDecoder({ ...format, maxFrame: 50 });
    decoder.receive(encodeFrame(new Uint8Array(51), format).subarray(0, format.width));
    assertThrows(() => decoder.next(), FrameTooLargeError);
    for (const payload of payloads) decoder.receive(encodeFrame(payload, format));
    assertThrows(() => decoder.next(), FrameTooLargeError);
    assertThrows(() => decoder.end(), ProtocolError);
  }));
});

Deno.test("FrameDecoder.end() tells a clean end from one in mid-frame, and how much is missing", () => {
  const frame = encodeFrame(Uint8Array.of(1, 2, 3));
  for (let length = 0; length < frame.length; length++) {
    const decoder = new FrameDecoder();
    decoder.receive(concat([frame, frame.subarray(0, length)]));
    assertEquals(decoder.next()?.length, 3);
    assertEquals(decoder.next(), undefined);
    if (length === 0) decoder.end();
    else {
      const expected = length < 4 ? "at least 4" : "7";
      assertThrows(() => decoder.end(), TruncatedError, `the stream ended after ${length} of ${expected} bytes`);
    }
  }
});

Deno.test("FrameDecoder gives payloads that are its caller's own", () => {
  const decoder = new FrameDecoder();
  decoder.receive(concat([encodeFrame(Uint8Array.of(1)), encodeFrame(Uint8Array.of(2))]));
  const first = decoder.next()!;
  first.fill(9);
  assertEquals(decoder.next(), Uint8Array.of(2));
  decoder.receive(encodeFrame(Uint8Array.of(3)));
  assertEquals(first, Uint8Array.of(9));
});
