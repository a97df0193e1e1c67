#!/usr/bin/env -S deno run -N
/**
 * Length-prefixed echo: message boundaries over a byte stream. Prints each frame's payload and sends the frame back; all
 * the frames that one read brought leave in one write.
 *
 * Run: `deno run -N servers/framed_echo.ts --port 9002`. Talk to it: clients/framed_echo.ts, or
 * `printf '\0\0\0\5hello' | nc -N 127.0.0.1 9002`. Protocol: docs/protocols/framing.md.
 * @module
 */
import { DEFAULT_MAX_FRAME, encodeFrames, FrameDecoder, type FrameDecoderOptions } from "../lib/framing.ts";
import { oneOf, option, size } from "../lib/net/cli.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";

/** The most that one read takes, in bytes. Every open connection holds a buffer of this size. */
const READ_SIZE = 16 * 1024;

/** The options of both ends. */
export const FRAME_OPTIONS = {
  endian: option({
    value: "big|little",
    parse: oneOf("big", "little"),
    default: "big",
    help: "order of the length's bytes",
  }),
  width: option({
    value: "2|4",
    parse: (given) => oneOf("2", "4")(given) === "2" ? 2 : 4,
    default: "4",
    help: "bytes of the length",
  }),
  maxFrame: option({
    value: "SIZE",
    parse: size,
    default: `${DEFAULT_MAX_FRAME / 2 ** 20}MiB`,
    help: "largest payload",
  }),
};

/** How frames are echoed. */
export interface EchoFramesOptions extends FrameDecoderOptions {
  /** Shown each payload. */
  readonly print?: (payload: Uint8Array) => void;
}

/** Echoes every frame until the peer closes its side between two frames. */
export async function echoFrames(connection: Connection, { print, ...format }: EchoFramesOptions = {}): Promise<void> {
  const decoder = new FrameDecoder(format);
  const buffer = new Uint8Array(READ_SIZE);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    decoder.receive(buffer.subarray(0, count));
    const payloads = [];
    for (let payload; (payload = decoder.next()) !== undefined;) {
      print?.(payload);
      payloads.push(payload);
    }
    await writeAll(connection, encodeFrames(payloads, format));
  }
  decoder.end();
}

if (import.meta.main) {
  await runServer({ path: "servers/framed_echo", options: FRAME_OPTIONS }, async (options, context) => {
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    const handle = (connection: Connection) =>
      echoFrames(connection, { ...options, print: context.log.screen(connection.peer, { whole: true }) });
    await serveTcp(listener, handle, { ...options, ...context });
  });
}
