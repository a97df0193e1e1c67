/**
 * Frames over a connection, one by one.
 * @module
 */
import { FrameDecoder, type FrameDecoderOptions } from "../framing.ts";
import type { Connection } from "./tcp.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 16 * 1024;

/**
 * The payloads of the frames that come, until the peer closes its side between two of them. Nothing is read before the next
 * one is asked for.
 * @throws {ProtocolError} if one is too long or cut
 */
export async function* readFrames(
  connection: Pick<Connection, "read">,
  options?: FrameDecoderOptions,
): AsyncGenerator<Uint8Array> {
  const decoder = new FrameDecoder(options);
  const buffer = new Uint8Array(READ_SIZE);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    decoder.receive(buffer.subarray(0, count));
    for (let payload; (payload = decoder.next()) !== undefined;) yield payload;
  }
  decoder.end();
}
