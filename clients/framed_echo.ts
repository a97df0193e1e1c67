#!/usr/bin/env -S deno run -N
/**
 * Framed echo client: sends the messages as length-prefixed frames, all in one write, and prints one reply a line.
 * `--sticky` shows what the frames are good for: it sends the messages bare to a plain echo server (tcp_echo, port 9001)
 * and tells how many reads they came back in, and where they stuck together or broke.
 *
 * Run: `deno run -N clients/framed_echo.ts -m one -m two -m three`, or, without frames,
 * `deno run -N clients/framed_echo.ts 127.0.0.1 9001 --sticky -m one -m two -m three`. Protocol: docs/protocols/framing.md.
 * @module
 */
import { encodeText } from "../lib/bytes.ts";
import { ProtocolError, TruncatedError } from "../lib/errors.ts";
import { encodeFrames, FrameDecoder, type FrameDecoderOptions } from "../lib/framing.ts";
import { flag } from "../lib/net/cli.ts";
import { messages, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { attempt } from "../lib/net/failure.ts";
import { type Connection, connectTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { StickyReport } from "../lib/sticky.ts";
import { FRAME_OPTIONS } from "../servers/framed_echo.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 64 * 1024;
/** Shown each reply, or each line of the report. */
type Print = (line: Uint8Array) => Promise<void>;

/**
 * Sends a frame for each message, all in one write, and prints the replies as they come. Reads while it writes: long
 * echoes would block both sides otherwise.
 * @throws {ProtocolError} if fewer or more replies than messages come
 */
export async function askFrames(
  connection: Connection,
  sent: readonly Uint8Array[],
  { print, ...format }: FrameDecoderOptions & { readonly print: Print },
): Promise<void> {
  const request = encodeFrames(sent, format);
  const receive = async () => {
    const decoder = new FrameDecoder(format);
    const buffer = new Uint8Array(READ_SIZE);
    for (let replies = 0; replies < sent.length;) {
      const count = await connection.read(buffer);
      if (count === null) {
        decoder.end();
        throw new TruncatedError(
          `Cannot read reply ${replies + 1} of ${sent.length}: the server closed the connection`,
        );
      }
      decoder.receive(buffer.subarray(0, count));
      for (let reply; replies < sent.length && (reply = decoder.next()) !== undefined; replies++) await print(reply);
    }
    if (decoder.pending > 0) throw new ProtocolError(`Cannot match replies: more than ${sent.length} came`);
  };
  await Promise.all([writeAll(connection, request), receive()]);
}

/** Sends the messages bare, one write each and without waiting, and prints what each read of their echoes held. */
export async function showSticky(connection: Connection, sent: readonly Uint8Array[], print: Print): Promise<void> {
  const report = new StickyReport(sent.map(({ length }) => length));
  const send = async () => {
    for (const message of sent) await writeAll(connection, message);
  };
  const receive = async () => {
    const buffer = new Uint8Array(READ_SIZE);
    for (let count; !report.complete && (count = await connection.read(buffer)) !== null;) {
      await print(encodeText(report.receive(count)));
    }
    await print(encodeText(report.end()));
  };
  await Promise.all([send(), receive()]);
}

if (import.meta.main) {
  const options = {
    ...FRAME_OPTIONS,
    sticky: flag({
      help: "no frames: show where messages stick together; wants a plain echo server (tcp_echo: port 9001)",
    }),
    timeout: timeoutOption("10s"),
  };
  await runClient(
    { path: "clients/framed_echo", options },
    async ({ host, port, message, sticky, timeout, ...format }) => {
      const hint = serverHint(sticky ? "servers/tcp_echo" : "servers/framed_echo", port);
      using connection = await connectTcp({ hostname: host, port, timeout, hint });
      const ask = (sent: readonly Uint8Array[]) =>
        attempt("exchange messages", () => {
          const answer = sticky
            ? showSticky(connection, sent, printReply)
            : askFrames(connection, sent, { ...format, print: printReply });
          return withDeadline(timeout, answer);
        });
      if (sticky || message.length > 0) return await ask(await Array.fromAsync(messages(message)));
      for await (const line of messages(message)) await ask([line]);
    },
  );
}
