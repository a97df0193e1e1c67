#!/usr/bin/env -S deno run -N
/**
 * The man in the middle of diffie_hellman: to the client it plays the server, to the server the client, and agrees on a key
 * with each. Where nobody is verified it reads everything, and only the two fingerprints differ; with `--psk-file` or
 * `--sign` both ends notice.
 *
 * Run: `deno run -N servers/dh_mitm.ts --to 127.0.0.1:9005`, and let the client connect to port 9009 instead of 9005.
 * Protocol: docs/protocols/diffie_hellman.md.
 * @module
 */
import { parseAddress } from "../lib/address.ts";
import {
  agreeAsClient,
  answerHello,
  type Authentication,
  type DhMode,
  type DhSession,
  readHello,
} from "../lib/diffie_hellman.ts";
import { Ed25519Identity } from "../lib/ed25519.ts";
import { AuthenticationError, UsageError } from "../lib/errors.ts";
import { encodeFrame } from "../lib/framing.ts";
import { option } from "../lib/net/cli.ts";
import { converse } from "../lib/net/converse.ts";
import { reason } from "../lib/net/failure.ts";
import { readFrames } from "../lib/net/frames.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, connectTcp, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { printableBytes } from "../lib/text.ts";
import { fingerprintLine } from "./diffie_hellman.ts";

const PATH = "servers/dh_mitm";
/** How long the server may take to accept the connection, and each end to agree on a key, in ms. */
const TIMEOUT_MS = 10_000;
const OPTIONS = {
  to: option({
    value: "HOST:PORT",
    parse: parseAddress,
    help: "the server that the client believes to talk to (needed)",
  }),
};

/** One end with which a key was agreed on. */
interface Victim {
  readonly connection: Connection;
  readonly session: DhSession;
}

/** The best that can be done without the ends' secrets: a guess, or a key of our own and trust in any other. */
function disguise(mode: DhMode): Authentication {
  if (mode === "psk") return { mode, psk: new Uint8Array(32) };
  if (mode === "sign") return { mode, identity: Ed25519Identity.generate(), trusts: () => true };
  return { mode };
}

/** Agrees on a key with each end, then reads what they believe to tell only each other. */
async function deceive(client: Connection, server: Connection, print: (line: string) => void): Promise<void> {
  const within = <T>(action: Promise<T>) => withDeadline(TIMEOUT_MS, action);
  const hello = await within(converse(client, readHello()));
  const authentication = disguise(hello.mode);
  const [asServer, asClient] = await Promise.allSettled([
    within(converse(client, answerHello(hello, { authentication }))),
    within(converse(server, agreeAsClient({ group: hello.group.name, authentication }))),
  ]);
  print(`the client's ${describe(asServer)}`);
  print(`the server's ${describe(asClient)}`);
  if (asServer.status === "fulfilled" && asClient.status === "fulfilled") {
    const clientEnd = { connection: client, session: asServer.value };
    const serverEnd = { connection: server, session: asClient.value };
    await Promise.all([
      relay(clientEnd, serverEnd, (message) => print(`client: ${message}`)),
      relay(serverEnd, clientEnd, (message) => print(`server: ${message}`)),
    ]);
  } else if (asClient.status === "rejected" && asClient.reason instanceof AuthenticationError) {
    await writeAll(server, bluff());
  }
}

function describe(agreed: PromiseSettledResult<DhSession>): string {
  return agreed.status === "fulfilled"
    ? fingerprintLine(agreed.value)
    : `key is out of reach: ${reason(agreed.reason)}`;
}

/** A proof that proves nothing: whoever does not give up is found out by the server too. */
function bluff(): Uint8Array {
  const message = crypto.getRandomValues(new Uint8Array(50));
  message.set([0, 48]); // its length
  return message;
}

/** Opens what comes from one end, shows it, and seals it for the other. */
async function relay(from: Victim, to: Victim, print: (message: string) => void): Promise<void> {
  for await (const sealed of readFrames(from.connection)) {
    const message = from.session.receive.open(sealed);
    print(printableBytes(message));
    await writeAll(to.connection, encodeFrame(to.session.send.seal(message)));
  }
  await to.connection.closeWrite();
}

if (import.meta.main) {
  await runServer({ path: PATH, options: OPTIONS }, async ({ to, ...options }, context) => {
    if (to === undefined) throw new UsageError("--to HOST:PORT is needed: the server to stand before");
    const listener = Deno.listen({ hostname: options.host, port: options.port });
    context.listening(listener.addr);
    await serveTcp(listener, async (client) => {
      using server = await connectTcp({ ...to, timeout: TIMEOUT_MS, turnstile: client.turnstile });
      await deceive(client, server, (line) => context.log.print(`${client.peer} ${line}`));
    }, { ...options, ...context });
  });
}
