#!/usr/bin/env -S deno run -N -R -W -E=HOME,XDG_CONFIG_HOME
/**
 * Asymmetric encryption: hands its RSA public key to whoever connects, decrypts what they encrypt with it, prints it, and
 * signs a receipt. The key is made once (it takes a second or so) and kept.
 *
 * Run: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME servers/rsa.ts --key rsa.pem`. Protocol: docs/protocols/rsa.md.
 * @module
 */
import { encodeText } from "../lib/bytes.ts";
import { DEFAULT_MAX_FRAME, encodeFrame } from "../lib/framing.ts";
import { option, size, text } from "../lib/net/cli.ts";
import { attempt } from "../lib/net/failure.ts";
import { readFrames } from "../lib/net/frames.ts";
import { configFile, keepPrivateKey } from "../lib/net/key_files.ts";
import { runServer } from "../lib/net/server.ts";
import { type Connection, serveTcp, writeAll } from "../lib/net/tcp.ts";
import { decryptMessage, RsaPrivateKey, signReply } from "../lib/rsa.ts";

const OPTIONS = {
  key: option({
    value: "FILE",
    parse: text,
    help: "the private key; made if it is not there, with FILE.pub; without it: rsa.pem in ~/.config/netlab",
  }),
  maxFrame: option({
    value: "SIZE",
    parse: size,
    default: `${DEFAULT_MAX_FRAME / 2 ** 20}MiB`,
    help: "longest encrypted message",
  }),
};

/** The key of the file, or a new one that is kept there. */
async function loadKey(file: string, made: () => void): Promise<RsaPrivateKey> {
  const make = async () => {
    const key = await RsaPrivateKey.generate();
    return { privatePem: key.toPem(), publicText: key.publicKey.toPem() };
  };
  const pem = await keepPrivateKey(file, { make, made });
  return await attempt(`use ${file}`, () => RsaPrivateKey.parse(pem));
}

/** Sends the public key, then answers each encrypted message with a signed receipt, which says nothing of what was in it. */
export async function serveDecrypted(
  connection: Connection,
  key: RsaPrivateKey,
  { maxFrame, print }: { readonly maxFrame: number; readonly print: (message: Uint8Array) => void },
): Promise<void> {
  await writeAll(connection, encodeFrame(key.publicKey.der));
  for await (const request of readFrames(connection, { maxFrame })) {
    const message = decryptMessage(key, request);
    print(message);
    const receipt = encodeText(`received ${message.length} bytes`);
    await writeAll(connection, encodeFrame(signReply(key, request, receipt)));
  }
}

if (import.meta.main) {
  await runServer({ path: "servers/rsa", options: OPTIONS }, async (options, context) => {
    const { host: hostname, port, maxFrame } = options;
    const file = options.key ?? configFile("rsa.pem", "--key");
    const listener = Deno.listen({ hostname, port }); // whoever connects now waits for the key
    const key = await loadKey(file, () => context.log.write("info", `made a key: ${file}`));
    context.listening(listener.addr);
    context.log.write("info", `public key ${key.publicKey.fingerprint}`);
    await serveTcp(listener, (connection) => {
      return serveDecrypted(connection, key, { maxFrame, print: context.log.screen(connection.peer, { whole: true }) });
    }, { ...options, ...context });
  });
}
