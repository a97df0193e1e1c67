#!/usr/bin/env -S deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK
/**
 * Echo inside a secure channel: key exchange by Diffie-Hellman on X25519, messages by AES-256-GCM. Serves many clients at
 * once, prints each message and echoes it. Whoever is not let in, for whatever reason, sees the connection close and nothing
 * else. With `--allow-ffi` OpenSSL's libcrypto does the encryption, at the speed of the hardware.
 *
 * Run: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK servers/secure_echo.ts --allow-any-client`. Talk to it:
 * clients/secure_echo.ts. Protocol: docs/protocols/secure_channel.md.
 * @module
 */
import { secured } from "../lib/net/secure.ts";
import { SECURE_SERVER_OPTIONS, serverSecurity } from "../lib/net/secure_options.ts";
import { runServer } from "../lib/net/server.ts";
import { serveTcp } from "../lib/net/tcp.ts";
import { echo } from "./tcp_echo.ts";

/** What is spoken inside the channel, at both ends. */
export const APPLICATION = "echo/1";

if (import.meta.main) {
  await runServer({ path: "servers/secure_echo", options: SECURE_SERVER_OPTIONS }, async (options, context) => {
    const { log } = context;
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    const security = await serverSecurity(options, (line) => log.write("info", line));
    context.listening(listener.addr);
    log.write("debug", `${security.backend.name} does the encryption`);
    const handle = secured(
      (connection) => echo(connection, { print: log.screen(connection.peer) }),
      security,
      { application: APPLICATION, log },
    );
    await serveTcp(listener, handle, { ...options, ...context });
  });
}
