#!/usr/bin/env -S deno run -N
/**
 * A talk by turns, from terminal to terminal: the client speaks first, then the operator at this end, and so on. `q` alone
 * ends the talk on either side; then the next client, who has waited in the backlog, has its turn.
 *
 * Run: `deno run -N servers/chat.ts`. Talk to it: clients/chat.ts, nc or telnet. Protocol: docs/protocols/chat.md.
 * In secret, with keys in files: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK servers/chat.ts --secure`.
 * @module
 */
import { Chat, type ChatOptions, Operator, RAW_OPTION } from "../lib/net/chat.ts";
import { integer, option } from "../lib/net/cli.ts";
import { optionalSecurity } from "../lib/net/optional_secure.ts";
import { OPTIONAL_SECURE_SERVER_OPTIONS } from "../lib/net/secure_options.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";

/** The most that one read takes, in bytes. */
const READ_SIZE = 64 * 1024;
/** How long the other side may take to close after our goodbye, in ms. */
const FAREWELL_MS = 1000;

/** Talks over a connection until one side ends the talk. */
export async function talkOver(connection: Connection, options: Omit<ChatOptions, "send">): Promise<void> {
  using chat = new Chat({ ...options, send: (bytes) => writeAll(connection, bytes) });
  const listen = async () => {
    const buffer = new Uint8Array(READ_SIZE);
    try {
      for (let count; (count = await connection.read(buffer)) !== null;) {
        if (!await chat.hear(buffer.subarray(0, count))) return;
      }
    } catch (error) {
      if (!chat.over) throw error; // after our goodbye it may leave as it likes
    }
    await chat.leave();
  };
  const listening = listen();
  const speak = async () => {
    await chat.speak();
    await connection.closeWrite();
    await withDeadline(FAREWELL_MS, listening).catch(() => {});
  };
  await Promise.race([listening, speak()]);
}

if (import.meta.main) {
  const options = {
    ...RAW_OPTION,
    ...OPTIONAL_SECURE_SERVER_OPTIONS,
    maxConnections: option({
      value: "N",
      parse: integer(1, 1),
      default: "1",
      help: "an operator talks to one client at a time",
    }),
  };
  await runServer({ path: "servers/chat", options }, async (options, context) => {
    const secure = await optionalSecurity(options, { path: "servers/chat", log: context.log });
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    using operator = await Operator.open(context);
    const talk = async (connection: Connection) => {
      try {
        await talkOver(connection, { ...operator.meet(connection.peer), raw: options.raw });
      } finally {
        operator.wait();
      }
    };
    await serveTcp(listener, secure(talk), { ...options, ...context, signal: operator.signal });
  });
}
