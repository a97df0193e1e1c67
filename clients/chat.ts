#!/usr/bin/env -S deno run -N
/**
 * The client of a talk by turns: sends a line, waits for the answer, and so on, until one side says `q`. From a pipe each
 * line waits for its turn; the answer to the last one is shown before the talk ends.
 *
 * Run: `deno run -N clients/chat.ts`. Its server: servers/chat.ts. Protocol: docs/protocols/chat.md.
 * In secret, with keys in files: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK clients/chat.ts --secure`.
 * @module
 */
import { RAW_OPTION, visit } from "../lib/net/chat.ts";
import { runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { connectOptionallySecured } from "../lib/net/optional_secure.ts";
import { OPTIONAL_SECURE_CLIENT_OPTIONS } from "../lib/net/secure_options.ts";
import { Terminal } from "../lib/net/terminal.ts";
import { talkOver } from "../servers/chat.ts";

const PATH = "clients/chat";

if (import.meta.main) {
  const options = { ...RAW_OPTION, timeout: timeoutOption("0"), ...OPTIONAL_SECURE_CLIENT_OPTIONS };
  await runClient({ path: PATH, options }, async ({ host, port, message, raw, timeout, ...secure }) => {
    const target = { hostname: host, port, timeout, hint: serverHint("servers/chat", port) };
    await using connection = await connectOptionallySecured({ ...target, path: PATH }, secure);
    using terminal = await Terminal.open(message);
    await talkOver(connection, { ...visit(PATH, connection.peer, terminal), raw, timeout });
  });
}
