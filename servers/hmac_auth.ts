#!/usr/bin/env -S deno run -N -R -E=NETLAB_SECRET
/**
 * Verifies that a client is legitimate before it talks to it: challenge-response on a shared secret (HMAC, RFC 2104). Who
 * passes is greeted and echoed; whoever fails, in whatever way, sees the connection close and nothing else.
 *
 * Run: `deno run -N -R -E=NETLAB_SECRET servers/hmac_auth.ts --secret-file secret.key`. Protocol: docs/protocols/hmac_auth.md.
 * @module
 */
import { encodeText } from "../lib/bytes.ts";
import type { Conversation } from "../lib/conversation.ts";
import { UsageError } from "../lib/errors.ts";
import { CHALLENGE_LENGTH, type Digest, verifyClient, verifyMutuallyAsServer } from "../lib/hmac_auth.ts";
import { flag, oneOf, option } from "../lib/net/cli.ts";
import { converse } from "../lib/net/converse.ts";
import { loadSecret, SECRET_OPTIONS } from "../lib/net/secret.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { echo } from "./tcp_echo.ts";

const PATH = "servers/hmac_auth";
/** How long a client may take to prove itself, in ms. */
const AUTHENTICATION_TIMEOUT_MS = 10_000;
/** What a client that has proved itself is sent first. */
export const GREETING = encodeText("welcome\n");

/** The options of both ends. */
export const AUTH_OPTIONS = {
  ...SECRET_OPTIONS,
  digest: option({
    value: "hmac-sha256|sha1",
    parse: oneOf<Digest>("hmac-sha256", "sha1"),
    default: "hmac-sha256",
    help: "how the answer is made; sha1: hex of SHA-1(secret || challenge), as older courses do",
  }),
  mutual: flag({ help: "the client verifies the server too" }),
};

/** Warns of the weak form, and refuses what does not go together. */
export function checkDigest(digest: Digest, mutual: boolean, warn: (message: string) => void): void {
  if (digest === "hmac-sha256") return;
  if (mutual) throw new UsageError("--mutual needs --digest hmac-sha256");
  warn("--digest sha1 is for the course's own scripts: it is no MAC, and a secret worth keeping needs hmac-sha256");
}

/** Verifies the client, greets it and echoes what it sends. */
export async function serveVerified(
  connection: Connection,
  verification: Conversation,
  print: (message: Uint8Array) => void,
): Promise<void> {
  await withDeadline(AUTHENTICATION_TIMEOUT_MS, converse(connection, verification));
  await writeAll(connection, GREETING);
  await echo(connection, { print });
}

if (import.meta.main) {
  await runServer({ path: PATH, options: AUTH_OPTIONS }, async (options, context) => {
    const { digest, mutual } = options;
    checkDigest(digest, mutual, (message) => context.log.write("warn", message));
    const secret = await loadSecret(options.secretFile);
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    await serveTcp(listener, (connection) => {
      const nonce = crypto.getRandomValues(new Uint8Array(CHALLENGE_LENGTH));
      const verification = mutual ? verifyMutuallyAsServer({ secret, nonce }) : verifyClient({ secret, nonce, digest });
      return serveVerified(connection, verification, context.log.screen(connection.peer));
    }, { ...options, ...context });
  });
}
