/**
 * Length-prefixed frames: message boundaries over a byte stream. TCP keeps the order of bytes but not where one write
 * ended and the next began, so that messages arrive glued or cut ("sticky packets"); a length before each one cures it.
 *
 * Layout: `length (2 or 4 bytes, unsigned, big- or little-endian) || payload (length bytes)`. See docs/protocols/framing.md.
 * @module
 */
import { type Endian, readUint, writeUint } from "./bytes.ts";
import { FrameTooLargeError, TruncatedError } from "./errors.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** The largest payload unless `maxFrame` says otherwise, in bytes. */
export const DEFAULT_MAX_FRAME = 2 ** 20;

/** How the length prefix is written. */
export interface FrameFormat {
  /** Bytes of the length prefix. Default 4. */
  readonly width?: 2 | 4;
  /** Their order. Default `big`, the network's; `little` is what `struct.pack('i', n)` gives on most machines. */
  readonly endian?: Endian;
}

/** How frames are read. */
export interface FrameDecoderOptions extends FrameFormat {
  /** The largest payload accepted, in bytes. Default {@linkcode DEFAULT_MAX_FRAME}. */
  readonly maxFrame?: number;
}

/**
 * One frame.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(encodeFrame(Uint8Array.of(7)), Uint8Array.of(0, 0, 0, 1, 7));
 * ```
 * @throws {RangeError} if the payload's length does not fit the prefix (65,535 bytes with `width: 2`)
 */
export function encodeFrame(payload: Uint8Array, format?: FrameFormat): Uint8Array<ArrayBuffer> {
  return encodeFrames([payload], format);
}

/**
 * A frame for each payload, one after the other, for a single write.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(encodeFrames([Uint8Array.of(7), new Uint8Array()], { width: 2 }), Uint8Array.of(0, 1, 7, 0, 0));
 * ```
 * @throws {RangeError} if a payload's length does not fit the prefix
 */
export function encodeFrames(
  payloads: readonly Uint8Array[],
  { width = 4, endian = "big" }: FrameFormat = {},
): Uint8Array<ArrayBuffer> {
  const frames = new Uint8Array(payloads.reduce((size, payload) => size + width + payload.length, 0));
  let offset = 0;
  for (const payload of payloads) {
    writeUint(frames, payload.length, { width, endian, offset });
    frames.set(payload, offset + width);
    offset += width + payload.length;
  }
  return frames;
}

/**
 * Turns chunks of a byte stream back into payloads, however the stream was cut.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const decoder = new FrameDecoder();
 * decoder.receive(Uint8Array.of(0, 0, 0, 1, 7, 0, 0));
 * assertEquals(decoder.next(), Uint8Array.of(7));
 * assertEquals(decoder.next(), undefined); // needs more
 * ```
 */
export class FrameDecoder {
  readonly #buffer = new ReceiveBuffer();
  readonly #width: 2 | 4;
  readonly #endian: Endian;
  readonly #maxFrame: number;

  /** Reads frames of the given format. */
  constructor({ width = 4, endian = "big", maxFrame = DEFAULT_MAX_FRAME }: FrameDecoderOptions = {}) {
    this.#width = width;
    this.#endian = endian;
    this.#maxFrame = maxFrame;
  }

  /** Bytes that have arrived and belong to no payload yet: fewer than `width + maxFrame` once `next()` wants more. */
  get pending(): number {
    return this.#buffer.length;
  }

  /** Stores a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    this.#buffer.receive(chunk);
  }

  /**
   * The next payload, or undefined: more bytes are needed.
   * @throws {FrameTooLargeError} if a length is above the limit, before its payload comes; then every time, since where
   * the next frame would begin is unknown
   */
  next(): Uint8Array<ArrayBuffer> | undefined {
    const size = this.#frameSize();
    return size === undefined ? undefined : this.#buffer.takeExactly(size)?.subarray(this.#width);
  }

  /**
   * Tells that the stream has ended, after the last payload was taken.
   * @throws {TruncatedError} if it ended in the middle of a frame
   */
  end(): void {
    if (this.pending === 0) return;
    const expected = this.#frameSize() ?? `at least ${this.#width}`;
    throw new TruncatedError(`Cannot complete frame: the stream ended after ${this.pending} of ${expected} bytes`);
  }

  /** Bytes of the next frame, its prefix included; undefined until the prefix has come. */
  #frameSize(): number | undefined {
    const prefix = this.#buffer.peek(this.#width);
    if (prefix === undefined) return undefined;
    const length = readUint(prefix, this.#endian);
    if (length > this.#maxFrame) {
      throw new FrameTooLargeError(`Cannot accept frame of ${length} bytes: limit is ${this.#maxFrame} bytes`);
    }
    return this.#width + length;
  }
}
