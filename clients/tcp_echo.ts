#!/usr/bin/env -S deno run -N
/**
 * TCP echo client: sends each message, waits for exactly as many bytes as it sent and prints them.
 *
 * Run: `deno run -N clients/tcp_echo.ts -m hello`. Its servers: tcp_echo, thread_echo, selector_echo. Protocol:
 * docs/protocols/tcp_echo.md.
 * @module
 */
import { decodeText } from "../lib/bytes.ts";
import { TruncatedError } from "../lib/errors.ts";
import { flag } from "../lib/net/cli.ts";
import { messages, notice, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { attempt } from "../lib/net/failure.ts";
import { type Connection, connectTcp, readFull, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { printable } from "../lib/text.ts";

const PATH = "clients/tcp_echo";
/** The most that a greeting takes, in bytes. */
const MAX_GREETING = 64 * 1024;

/** Sends one message and resolves to its echo. Reads while it writes: a long echo would block both sides otherwise. */
export async function askEcho(connection: Connection, message: Uint8Array): Promise<Uint8Array> {
  const reply = new Uint8Array(message.length);
  await Promise.all([writeAll(connection, message), readFull(connection, reply)]);
  return reply;
}

/** What one read brings: a greeting has no end that one could wait for. */
async function readGreeting(connection: Connection): Promise<string> {
  const buffer = new Uint8Array(MAX_GREETING);
  const count = await connection.read(buffer);
  if (count === null) throw new TruncatedError("Cannot read it: the peer closed the connection");
  return decodeText(buffer.subarray(0, count));
}

if (import.meta.main) {
  const options = {
    greet: flag({ help: "the server speaks first: wait for its greeting, show it on stderr" }),
    timeout: timeoutOption("10s"),
  };
  await runClient({ path: PATH, options }, async ({ host, port, message, greet, timeout }) => {
    using connection = await connectTcp({ hostname: host, port, timeout, hint: serverHint("servers/tcp_echo", port) });
    const within = <T>(what: string, answer: Promise<T>) => attempt(what, () => withDeadline(timeout, answer));
    if (greet) {
      const greeting = await within("wait for the greeting", readGreeting(connection));
      notice(PATH, `greeting: ${printable(greeting)}`);
    }
    for await (const text of messages(message)) {
      await printReply(await within("wait for the reply", askEcho(connection, text)));
    }
  });
}
