#!/usr/bin/env -S deno run -N -R -W -E=HOME,XDG_CONFIG_HOME
/**
 * Asymmetric encryption: fetches the server's RSA public key, compares it with the one that it met first, sends messages
 * that only the server can decrypt, and prints its receipts once their signature is verified. Without a server it encrypts
 * and decrypts files.
 *
 * Run: `deno run -N -R -W -E=HOME,XDG_CONFIG_HOME clients/rsa.ts -m hello`, or for files `clients/rsa.ts encrypt FILE --to
 * rsa.pem.pub` and `clients/rsa.ts decrypt FILE.cms --key rsa.pem`. Protocol: docs/protocols/rsa.md.
 * @module
 */
import { AuthenticationError, ProtocolError, TruncatedError, UsageError } from "../lib/errors.ts";
import { encodeFrame } from "../lib/framing.ts";
import { oneOf, option, type OptionValues, runProgram, text } from "../lib/net/cli.ts";
import { messages, notice, printReply, runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { attempt, AttemptError } from "../lib/net/failure.ts";
import { readFrames } from "../lib/net/frames.ts";
import { configFile, createWhole, pinPublicKey, readPublicKey } from "../lib/net/key_files.ts";
import { readPrivateFile } from "../lib/net/secret.ts";
import { connectTcp, writeAll } from "../lib/net/tcp.ts";
import { withDeadline } from "../lib/net/timing.ts";
import { decryptMessage, encryptMessage, RsaPrivateKey, RsaPublicKey, verifyReply } from "../lib/rsa.ts";

const PATH = "clients/rsa";
/** The longest key or receipt that is accepted, in bytes. */
const MAX_FRAME = 16 * 1024;
/** What an encrypted file's name ends with: the format is the Cryptographic Message Syntax. */
const EXTENSION = ".cms";

const TALK_OPTIONS = {
  pin: option({
    value: "FILE",
    parse: text,
    help: "the server's public key, kept there at first contact; without it: in ~/.config/netlab",
  }),
  timeout: timeoutOption("10s"),
};
const FILE_OPTIONS = {
  to: option({ value: "FILE", parse: text, help: "encrypt: the recipient's public key" }),
  key: option({ value: "FILE", parse: text, help: "decrypt: our private key" }),
  output: option({ value: "FILE", parse: text, help: `what to write, if not FILE${EXTENSION} or FILE without it` }),
};
const FILE_POSITIONALS = {
  action: option({ value: "ACTION", parse: oneOf("encrypt", "decrypt"), help: "encrypt or decrypt" }),
  file: option({ value: "FILE", parse: text, help: "the file" }),
};

/** Encrypts or decrypts a whole file in memory; nothing is written before all of it is verified. */
async function convertFile(options: OptionValues<typeof FILE_OPTIONS & typeof FILE_POSITIONALS>): Promise<void> {
  const { action, file, to, key } = options;
  if (file === undefined) throw new UsageError(`${action} needs a FILE`);
  let convert: (content: Uint8Array) => Uint8Array;
  if (action === "encrypt") {
    if (to === undefined) throw new UsageError("encrypt needs --to FILE, the recipient's public key");
    const pem = await readPublicKey(to);
    const publicKey = await attempt(`use ${to}`, () => RsaPublicKey.parse(pem));
    convert = (content) => encryptMessage(publicKey, content);
  } else {
    if (key === undefined) throw new UsageError("decrypt needs --key FILE, our private key");
    const pem = await readPrivateFile(key, "the private key");
    const privateKey = await attempt(`use ${key}`, () => RsaPrivateKey.parse(pem));
    convert = (content) => decryptMessage(privateKey, content);
  }
  const output = options.output ?? outputName(file, action === "encrypt");
  const content = await attempt(`read ${file}`, () => Deno.readFile(file));
  const converted = await attempt(`${action} ${file}`, () => convert(content), (error) => {
    const isFormat = error instanceof ProtocolError && !(error instanceof AuthenticationError);
    return isFormat ? "it should be CMS in DER, as encrypt makes it, or openssl cms -outform DER" : undefined;
  });
  if (await attempt(`write ${output}`, () => createWhole(output, converted))) return;
  throw new AttemptError(`write ${output}`, new Deno.errors.AlreadyExists("file exists"), "another one: --output FILE");
}

function outputName(file: string, encrypt: boolean): string {
  if (encrypt) return file + EXTENSION;
  if (file.endsWith(EXTENSION)) return file.slice(0, -EXTENSION.length);
  throw new UsageError(`decrypt needs --output FILE where the name does not end with ${EXTENSION}`);
}

if (import.meta.main && /^(en|de)crypt$/.test(Deno.args[0] ?? "")) {
  await runProgram({ path: PATH, options: FILE_OPTIONS, positionals: FILE_POSITIONALS }, convertFile);
} else if (import.meta.main) {
  await runClient({ path: PATH, options: TALK_OPTIONS }, async ({ host, port, message, timeout, ...options }) => {
    const pin = options.pin ?? configFile(`rsa_${encodeURIComponent(host)}_${port}.pub`, "--pin");
    using connection = await connectTcp({ hostname: host, port, timeout, hint: serverHint("servers/rsa", port) });
    const frames = readFrames(connection, { maxFrame: MAX_FRAME });
    const receive = async () => {
      const { done, value } = await withDeadline(timeout, frames.next());
      if (done) throw new TruncatedError("Cannot read the reply: the server closed the connection");
      return value;
    };
    const key = await attempt("fetch the server's key", async () => RsaPublicKey.parse(await receive()));
    await pinPublicKey(pin, key.toPem(), () => {
      notice(PATH, `first contact: the server's key is ${key.fingerprint}, kept in ${pin}; is it the right one?`);
    });
    for await (const text of messages(message)) {
      const request = encryptMessage(key, text);
      const reply = await attempt("exchange messages", async () => {
        await writeAll(connection, encodeFrame(request));
        return verifyReply(key, request, await receive());
      }, (error) => error instanceof TruncatedError ? "is the message too long for the server?" : undefined);
      await printReply(reply);
    }
  });
}
