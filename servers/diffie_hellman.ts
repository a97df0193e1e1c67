#!/usr/bin/env -S deno run -N -R -W -E=NETLAB_PSK
/**
 * Agrees on a key with each client by Diffie-Hellman, prints the key's fingerprint (the client prints the same), and echoes
 * messages that are encrypted with it. How the ends verify each other is the mode, which both must have in common:
 * `--psk-file` (a shared key), `--sign` and `--peer` (signatures), or `--anonymous insecure` (not at all).
 *
 * Run: `deno run -N -R -W -E=NETLAB_PSK servers/diffie_hellman.ts --anonymous insecure`. Protocol:
 * docs/protocols/diffie_hellman.md.
 * @module
 */
import { equals } from "@std/bytes";
import type { GroupName } from "../lib/dh_groups.ts";
import { agreeAsServer, type AgreeOptions, type Authentication, type DhSession } from "../lib/diffie_hellman.ts";
import { Ed25519Identity, ed25519PublicKey } from "../lib/ed25519.ts";
import { UsageError } from "../lib/errors.ts";
import { encodeFrame } from "../lib/framing.ts";
import { oneOf, option, type OptionValues, text } from "../lib/net/cli.ts";
import { converse } from "../lib/net/converse.ts";
import { attempt } from "../lib/net/failure.ts";
import { readFrames } from "../lib/net/frames.ts";
import { keepPrivateKey, readPublicKey } from "../lib/net/key_files.ts";
import { loadPsk, PSK_OPTIONS } from "../lib/net/secret.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";

const PATH = "servers/diffie_hellman";
/** How long a client may take to agree on a key, in ms. */
const AGREEMENT_TIMEOUT_MS = 10_000;
/** What an end that verifies nobody says. */
export const ANONYMOUS_WARNING =
  "--anonymous: nobody is verified: compare the fingerprints of both ends by another way, " +
  "or whoever sits in between reads and changes everything";

/** The options of both ends. */
export const AUTHENTICATION_OPTIONS = {
  ...PSK_OPTIONS,
  sign: option({
    value: "FILE",
    parse: text,
    help: "sign with this Ed25519 key; made if it is not there, with FILE.pub",
  }),
  peer: option({ value: "FILE", parse: text, help: "with --sign: the other end's public key, the only one accepted" }),
  anonymous: option({
    value: "insecure",
    parse: oneOf("insecure"),
    help: "verify nobody; the word has to be said, so that nobody does it by accident",
  }),
};

/** What the options say about who is verified, and how. */
export async function loadAuthentication(
  { pskFile, sign, peer, anonymous }: OptionValues<typeof AUTHENTICATION_OPTIONS>,
  say: (line: string) => void,
): Promise<Authentication> {
  const given = [pskFile, sign, anonymous].filter((value) => value !== undefined).length;
  if (given > 1) throw new UsageError("--psk-file, --sign and --anonymous exclude each other");
  if (peer !== undefined && sign === undefined) throw new UsageError("--peer goes with --sign");
  if (anonymous !== undefined) return { mode: "anonymous" };
  if (sign !== undefined) return await loadIdentity(sign, peer, say);
  const psk = await loadPsk(pskFile);
  if (psk !== undefined) return { mode: "psk", psk };
  throw new UsageError("who is to be verified, and how?", {
    hint: "--psk-file FILE, --sign FILE --peer FILE, or --anonymous insecure",
  });
}

async function loadIdentity(
  file: string,
  peer: string | undefined,
  say: (line: string) => void,
): Promise<Authentication> {
  const pem = await keepPrivateKey(file, {
    make: () => {
      const made = Ed25519Identity.generate();
      return { privatePem: made.toPem(), publicText: made.publicPem() };
    },
    made: () => say(`made a key: ${file}; give ${file}.pub to the other end`),
  });
  const identity = await attempt(`use ${file}`, () => Ed25519Identity.fromPem(pem));
  if (peer === undefined) throw new UsageError("--sign needs --peer FILE, the other end's public key");
  const pinned = await readPublicKey(peer).then((pem) => attempt(`use ${peer}`, () => ed25519PublicKey(pem)));
  return { mode: "sign", identity, trusts: (publicKey) => equals(publicKey, pinned) };
}

/** The line that both ends print. */
export function fingerprintLine({ fingerprint, group }: { fingerprint: string; group: GroupName }): string {
  return `key fingerprint ${fingerprint.match(/.{4}/g)!.join(" ")} (${group})`;
}

/** Agrees on a key, then answers each encrypted message with the same one, encrypted. */
export async function serveAgreed(
  connection: Connection,
  options: AgreeOptions,
  { agreed, print }: { readonly agreed: (session: DhSession) => void; readonly print: (message: Uint8Array) => void },
): Promise<void> {
  const session = await withDeadline(AGREEMENT_TIMEOUT_MS, converse(connection, agreeAsServer(options)));
  agreed(session);
  for await (const sealed of readFrames(connection)) {
    const message = session.receive.open(sealed);
    print(message);
    await writeAll(connection, encodeFrame(session.send.seal(message)));
  }
}

if (import.meta.main) {
  await runServer({ path: PATH, options: AUTHENTICATION_OPTIONS }, async (options, context) => {
    const { log } = context;
    const authentication = await loadAuthentication(options, (line) => log.write("info", line));
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    if (authentication.mode === "anonymous") log.write("warn", ANONYMOUS_WARNING);
    await serveTcp(listener, (connection) => {
      const agreed = (session: DhSession) => log.print(`${connection.peer} ${fingerprintLine(session)}`);
      const print = log.screen(connection.peer, { whole: true });
      return serveAgreed(connection, { authentication }, { agreed, print });
    }, { ...options, ...context });
  });
}
