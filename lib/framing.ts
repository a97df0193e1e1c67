/**
 * Length-prefixed frames: message boundaries over a byte stream. TCP keeps the order of bytes but not where one write
 * ended and the next began, so that messages arrive glued or cut ("sticky packets"); a length before each one cures it.
 *
 * Layout: `length (2 or 4 bytes, unsigned, big- or little-endian) || payload (length bytes)`. See docs/protocols/framing.md.
 * @module
 */
import { type Endian, readUint, writeUint } from "./bytes.ts";
import { FrameTooLargeError, ProtocolError, TruncatedError } from "./errors.ts";
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

/**
 * One frame.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(encodeFrame(Uint8Array.of(7)), Uint8Array.of(0, 0, 0, 1, 7));
 * ```
 * @throws {RangeError} if the payload's length does not fit the prefix (65,535 bytes with `width: 2`)
 */
export function encodeFrame(
  payload: Uint8Array,
  { width = 4, endian = "big" }: FrameFormat = {},
): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(width + payload.length);
  writeUint(frame, payload.length, { width, endian });
  frame.set(payload, width);
  return frame;
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
  #length: number | undefined; // of the frame whose prefix has arrived
  #failed = false;

  /** `maxFrame` is the largest payload accepted, in bytes; the prefix of a larger one is refused before its payload comes. */
  constructor(
    { width = 4, endian = "big", maxFrame = DEFAULT_MAX_FRAME }: FrameFormat & { readonly maxFrame?: number } = {},
  ) {
    this.#width = width;
    this.#endian = endian;
    this.#maxFrame = maxFrame;
  }

  /** Stores a copy of the chunk. */
  receive(chunk: Uint8Array): void {
    this.#buffer.receive(chunk);
  }

  /**
   * The next payload, or undefined: more bytes are needed.
   * @throws {FrameTooLargeError} if a length is above the limit; the decoder is of no use afterwards
   */
  next(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#failed) throw new ProtocolError("Cannot read a frame: the stream has failed before");
    if (this.#length === undefined) {
      const prefix = this.#buffer.takeExactly(this.#width);
      if (prefix === undefined) return undefined;
      const length = readUint(prefix, this.#endian);
      if (length > this.#maxFrame) {
        this.#failed = true;
        throw new FrameTooLargeError(`Cannot accept frame of ${length} bytes: limit is ${this.#maxFrame} bytes`);
      }
      this.#length = length;
    }
    const payload = this.#buffer.takeExactly(this.#length);
    if (payload !== undefined) this.#length = undefined;
    return payload;
  }

  /**
   * Tells that the stream has ended.
   * @throws {TruncatedError} if it ended in the middle of a frame
   */
  end(): void {
    if (this.#length === undefined && this.#buffer.length === 0) return;
    const expected = this.#length === undefined ? `${this.#width} bytes of length` : `${this.#length} bytes of payload`;
    throw new TruncatedError(`Cannot complete frame: the stream ended after ${this.#buffer.length} of ${expected}`);
  }
}
