/**
 * servers/framed_echo.ts, but with one write for each frame: what it costs not to gather the answers to one read.
 * @module
 */
import { encodeFrame, FrameDecoder } from "../../lib/framing.ts";
import { Log } from "../../lib/net/log.ts";
import { type Connection, serveTcp, writeAll } from "../../lib/net/tcp.ts";

/** As there, in bytes. */
const READ_SIZE = 16 * 1024;

async function echoFrames(connection: Connection): Promise<void> {
  const decoder = new FrameDecoder();
  const buffer = new Uint8Array(READ_SIZE);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    decoder.receive(buffer.subarray(0, count));
    for (let frame; (frame = decoder.next()) !== undefined;) await writeAll(connection, encodeFrame(frame));
  }
  decoder.end();
}

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(`listening on tcp://127.0.0.1:${listener.addr.port}`);
await serveTcp(listener, echoFrames, {
  signal: new AbortController().signal,
  log: new Log("framed_echo_single_write", { quiet: true }),
});
