#!/usr/bin/env -S deno run -N
/**
 * UDP echo: one datagram is one message. Prints each and sends it back to where it came from, in the order of arrival; no
 * connection, no state, and nobody learns of what was lost.
 *
 * Run: `deno run -N servers/udp_echo.ts --port 9001`. Talk to it: `nc -u 127.0.0.1 9001`, or clients/udp_echo.ts. See
 * docs/protocols/udp_echo.md.
 * @module
 */
import { formatAddress } from "../lib/address.ts";
import { runDatagramServer } from "../lib/net/server.ts";
import { bindUdp, receiveDatagrams } from "../lib/net/udp.ts";

if (import.meta.main) {
  await runDatagramServer({ path: "servers/udp_echo", options: {} }, async ({ host, port }, context) => {
    const socket = bindUdp({ hostname: host, port });
    context.listening(socket.addr as Deno.NetAddr);
    await receiveDatagrams(socket, (datagram, from) => {
      context.log.screen(formatAddress(from), { whole: true })(datagram);
      return socket.send(datagram, from);
    }, context);
  });
}
