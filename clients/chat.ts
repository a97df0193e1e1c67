#!/usr/bin/env -S deno run -N
/**
 * The client of a talk by turns: sends a line, waits for the answer, and so on, until one side says `q`. From a pipe each
 * line waits for its turn; the answer to the last one is shown before the talk ends.
 *
 * Run: `deno run -N clients/chat.ts`. Its server: servers/chat.ts. Protocol: docs/protocols/chat.md.
 * @module
 */
import { RAW_OPTION, visit } from "../lib/net/chat.ts";
import { runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { connectTcp } from "../lib/net/tcp.ts";
import { Terminal } from "../lib/net/terminal.ts";
import { talkOver } from "../servers/chat.ts";

const PATH = "clients/chat";

if (import.meta.main) {
  const options = { ...RAW_OPTION, timeout: timeoutOption("0") };
  await runClient({ path: PATH, options }, async ({ host, port, message, raw, timeout }) => {
    const hint = serverHint("servers/chat");
    using connection = await connectTcp({ hostname: host, port, timeout, hint });
    using terminal = await Terminal.open(message);
    await talkOver(connection, { ...visit(PATH, connection.peer, terminal), raw, timeout });
  });
}
