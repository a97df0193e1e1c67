#!/usr/bin/env -S deno run -N -R -E=NETLAB_SECRET
/**
 * Proves to the server that it knows the shared secret, without sending it; shows the greeting, then works as an echo
 * client. With `--mutual` the server has to prove the same before anything is sent to it.
 *
 * Run: `deno run -N -R -E=NETLAB_SECRET clients/hmac_auth.ts --secret-file secret.key -m hello`. Protocol:
 * docs/protocols/hmac_auth.md.
 * @module
 */
import { answerServer, CHALLENGE_LENGTH, verifyMutuallyAsClient } from "../lib/hmac_auth.ts";
import { messages, notice, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { converse } from "../lib/net/converse.ts";
import { attempt } from "../lib/net/failure.ts";
import { loadSecret } from "../lib/net/secret.ts";
import { connectTcp, readFull } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { AUTH_OPTIONS, checkDigest, GREETING } from "../servers/hmac_auth.ts";
import { askEcho } from "./tcp_echo.ts";

const PATH = "clients/hmac_auth";
/** What the silence of a server that closes the connection may mean. */
const REFUSED_HINT = "the server says nothing to strangers: is the secret the same, and --digest and --mutual?";

if (import.meta.main) {
  const options = { ...AUTH_OPTIONS, timeout: timeoutOption("10s") };
  await runClient({ path: PATH, options }, async ({ host, port, message, timeout, digest, mutual, secretFile }) => {
    checkDigest(digest, mutual, (warning) => notice(PATH, warning));
    const secret = await loadSecret(secretFile);
    const nonce = crypto.getRandomValues(new Uint8Array(CHALLENGE_LENGTH));
    const proof = mutual ? verifyMutuallyAsClient({ secret, nonce }) : answerServer({ secret, digest });
    using connection = await connectTcp({ hostname: host, port, timeout, hint: serverHint("servers/hmac_auth", port) });
    const greeting = new Uint8Array(GREETING.length);
    await attempt("prove who we are", async () => {
      await withDeadline(timeout, converse(connection, proof).then(() => readFull(connection, greeting)));
    }, () => REFUSED_HINT);
    await printReply(greeting.subarray(0, -1));
    for await (const text of messages(message)) {
      await printReply(await attempt("wait for the reply", () => withDeadline(timeout, askEcho(connection, text))));
    }
  });
}
