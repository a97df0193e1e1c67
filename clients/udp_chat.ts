#!/usr/bin/env -S deno run -N
/**
 * The client of a talk by turns over UDP: one datagram is one message. A datagram that is lost is not sent again: a person
 * repeats what is not answered, a pipe gives up after --timeout.
 *
 * Run: `deno run -N clients/udp_chat.ts`. Its server: servers/udp_chat.ts. Protocol: docs/protocols/chat.md.
 * @module
 */
import { Chat, RAW_OPTION, visit } from "../lib/net/chat.ts";
import { runClient, timeoutOption } from "../lib/net/client.ts";
import { Log } from "../lib/net/log.ts";
import { Terminal } from "../lib/net/terminal.ts";
import { DatagramPeer } from "../lib/net/udp.ts";
import { programName } from "../lib/programs.ts";

const PATH = "clients/udp_chat";

if (import.meta.main) {
  const options = { ...RAW_OPTION, timeout: timeoutOption("0") };
  await runClient({ path: PATH, options }, async ({ host, port, message, raw, timeout }) => {
    const server = await DatagramPeer.open({ hostname: host, port });
    using terminal = await Terminal.open(message);
    const send = (bytes: Uint8Array) => server.send(bytes);
    using chat = new Chat({ ...visit(PATH, server.address, terminal), raw, timeout, datagrams: true, send });
    const log = new Log(programName(PATH));
    log.around = (print) => terminal.above(print);
    const goodbye = Promise.withResolvers<void>();
    const hear = (datagram: Uint8Array) =>
      chat.hear(datagram).then((more) => more ? undefined : goodbye.resolve(), goodbye.reject);
    const listening = server.receive(hear, { signal: new AbortController().signal, log });
    await Promise.race([goodbye.promise, listening, chat.speak()]);
  });
}
