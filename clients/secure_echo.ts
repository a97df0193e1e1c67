#!/usr/bin/env -S deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK
/**
 * Echo client inside a secure channel: sends messages and prints what comes back. A server that it does not know it asks the
 * user about, or refuses; one whose key has changed it always refuses.
 *
 * Run: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME,NETLAB_PSK clients/secure_echo.ts --trust accept-new -m hello`.
 * Protocol: docs/protocols/secure_channel.md.
 * @module
 */
import { formatAddress } from "../lib/address.ts";
import { flag } from "../lib/net/cli.ts";
import { messages, notice, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { attempt } from "../lib/net/failure.ts";
import { connectSecure } from "../lib/net/secure.ts";
import { clientSecurity, SECURE_CLIENT_OPTIONS } from "../lib/net/secure_options.ts";
import { connectTcp } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { APPLICATION } from "../servers/secure_echo.ts";
import { askEcho } from "./tcp_echo.ts";

const PATH = "clients/secure_echo";

if (import.meta.main) {
  const options = {
    ...SECURE_CLIENT_OPTIONS,
    timeout: timeoutOption("10s"),
    verbose: flag({ short: "v", help: "say what does the encryption" }),
  };
  await runClient({ path: PATH, options }, async ({ host, port, message, timeout, verbose, ...secure }) => {
    const security = await clientSecurity(secure, { host: formatAddress({ hostname: host, port }), path: PATH });
    if (verbose) notice(PATH, `${security.backend.name} does the encryption`);
    const plain = await connectTcp({ hostname: host, port, timeout, hint: serverHint("servers/secure_echo", port) });
    await using connection = await connectSecure(plain, security, { application: APPLICATION });
    for await (const text of messages(message)) {
      await printReply(await attempt("wait for the reply", () => withDeadline(timeout, askEcho(connection, text))));
    }
  });
}
