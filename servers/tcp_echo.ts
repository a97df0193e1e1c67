#!/usr/bin/env -S deno run -N
/**
 * TCP echo, the base exercise: one client at a time. Prints each message, one read being one message, and sends every
 * byte back. A second client waits in the backlog until the first has left.
 *
 * Run: `deno run -N servers/tcp_echo.ts --port 9001`. Talk to it: `nc 127.0.0.1 9001`, or clients/tcp_echo.ts.
 * Protocol: docs/protocols/tcp_echo.md.
 * @module
 */
import { encodeText } from "../lib/bytes.ts";
import { flag, option, text } from "../lib/net/cli.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { UpperCase } from "../lib/text.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 64 * 1024;

/** What `echo` does besides echoing. */
export interface EchoOptions {
  /** Answers in upper case. */
  readonly upper?: boolean;
  /** Sent first. */
  readonly greet?: string | undefined;
  /** Shown each message. */
  readonly print?: (message: Uint8Array) => void;
}

/** Echoes until the peer closes its side. */
export async function echo(connection: Connection, { upper, greet, print }: EchoOptions = {}): Promise<void> {
  const upperCase = upper ? new UpperCase() : undefined;
  if (greet !== undefined) await writeAll(connection, encodeText(greet));
  const buffer = new Uint8Array(READ_SIZE);
  for (let count; (count = await connection.read(buffer)) !== null;) {
    const message = buffer.subarray(0, count);
    print?.(message);
    await writeAll(connection, upperCase?.receive(message) ?? message);
  }
  if (upperCase !== undefined) await writeAll(connection, upperCase.end());
}

if (import.meta.main) {
  const options = {
    upper: flag({ help: "answer in upper case" }),
    greet: option({ value: "TEXT", parse: text, help: "send this to each client first" }),
  };
  await runServer({ path: "servers/tcp_echo", options, maxConnections: 1 }, async (options, context) => {
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    const handle = (connection: Connection) =>
      echo(connection, { ...options, print: context.log.screen(connection.peer) });
    await serveTcp(listener, handle, { ...options, ...context });
  });
}
