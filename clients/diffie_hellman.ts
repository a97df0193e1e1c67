#!/usr/bin/env -S deno run -N -R -W -E=NETLAB_PSK
/**
 * Agrees on a key with the server by Diffie-Hellman, shows the key's fingerprint (the server prints the same), and sends
 * messages that are encrypted with it; prints one reply a line. The mode must be the server's: `--psk-file`, `--sign` and
 * `--peer`, or `--anonymous insecure`.
 *
 * Run: `deno run -N -R -W -E=NETLAB_PSK clients/diffie_hellman.ts --anonymous insecure -m hello`. Protocol:
 * docs/protocols/diffie_hellman.md.
 * @module
 */
import type { GroupName } from "../lib/dh_groups.ts";
import { agreeAsClient } from "../lib/diffie_hellman.ts";
import { TruncatedError } from "../lib/errors.ts";
import { encodeFrame } from "../lib/framing.ts";
import { oneOf, option } from "../lib/net/cli.ts";
import { messages, notice, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { converse } from "../lib/net/converse.ts";
import { attempt } from "../lib/net/failure.ts";
import { readFrames } from "../lib/net/frames.ts";
import { connectTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import {
  ANONYMOUS_WARNING,
  AUTHENTICATION_OPTIONS,
  fingerprintLine,
  loadAuthentication,
} from "../servers/diffie_hellman.ts";

const PATH = "clients/diffie_hellman";
/** What it may mean when the server closes the connection. */
function refusedHint(error: unknown): string | undefined {
  const closed = error instanceof TruncatedError || error instanceof Deno.errors.ConnectionReset;
  return closed
    ? "the server says nothing to strangers: does it have our mode, and the other half of our key?"
    : undefined;
}

const OPTIONS = {
  group: option({
    value: "NAME",
    parse: oneOf<GroupName>("x25519", "ffdhe2048", "ffdhe3072", "ffdhe4096"),
    default: "ffdhe3072",
    help: "x25519, ffdhe2048, ffdhe3072 or ffdhe4096",
  }),
  ...AUTHENTICATION_OPTIONS,
  timeout: timeoutOption("10s"),
};

if (import.meta.main) {
  await runClient({ path: PATH, options: OPTIONS }, async ({ host, port, message, timeout, group, ...options }) => {
    const say = (line: string) => notice(PATH, line);
    const authentication = await loadAuthentication(options, say);
    const hint = serverHint("servers/diffie_hellman", port);
    using connection = await connectTcp({ hostname: host, port, timeout, hint });
    if (authentication.mode === "anonymous") say(ANONYMOUS_WARNING);
    if (group === "ffdhe2048") say("--group ffdhe2048: as strong as a key of about 103 bits; ffdhe3072 is better");
    const session = await attempt("agree on a key", () => {
      return withDeadline(timeout, converse(connection, agreeAsClient({ group, authentication })));
    }, refusedHint);
    say(fingerprintLine(session));
    const replies = readFrames(connection);
    for await (const text of messages(message)) {
      await attempt("wait for the reply", async () => {
        await writeAll(connection, encodeFrame(session.send.seal(text)));
        const { done, value } = await withDeadline(timeout, replies.next());
        if (done) throw new TruncatedError("Cannot read the reply: the server closed the connection");
        await printReply(session.receive.open(value));
      }, refusedHint);
    }
  });
}
