#!/usr/bin/env -S deno run -R -W -E=HOME,XDG_CONFIG_HOME
/**
 * The keys of secure channels: makes one, shows its public half for a server's list of authorized clients, and the
 * fingerprint that people compare. It talks to nobody.
 *
 * Run: `deno run -R -W -E=HOME,XDG_CONFIG_HOME clients/keys.ts new`, then `clients/keys.ts show >> authorized_keys` or
 * `clients/keys.ts fingerprint FILE`. See docs/security.md.
 * @module
 */
import { UsageError } from "../lib/errors.ts";
import { fingerprint, formatPublicKey, parsePublicKey } from "../lib/identity.ts";
import { oneOf, option, runProgram, text } from "../lib/net/cli.ts";
import { notice } from "../lib/net/client.ts";
import { attempt, AttemptError } from "../lib/net/failure.ts";
import { loadIdentity, newIdentity } from "../lib/net/identity.ts";
import { configFile, createPrivateKey, readPublicKey } from "../lib/net/key_files.ts";

const PATH = "clients/keys";

const OPTIONS = {
  comment: option({ value: "TEXT", parse: oneLine, default: "", help: "what to call the public key" }),
};
const POSITIONALS = {
  action: option({ value: "ACTION", parse: oneOf("new", "show", "fingerprint"), help: "new, show or fingerprint" }),
  file: option({
    value: "FILE",
    parse: text,
    help: "the private key; fingerprint: or a public one, *.pub; without it: identity.pem in ~/.config/netlab",
  }),
};

/** A comment: what followed a line end in it would be another key in a list. */
function oneLine(given: string): string {
  if (!/\p{Cc}/u.test(given)) return given;
  throw new UsageError("it is more than one line, or has control characters");
}

/** Makes a key where there is none. */
async function makeKey(file: string, comment: string): Promise<void> {
  if (await createPrivateKey(file, newIdentity(comment))) return notice(PATH, `made ${file} and ${file}.pub`);
  throw new AttemptError(`keep a new key in ${file}`, "the file is there already", "name another one, or remove it");
}

/** The public half of a private key, or the public key of a file. */
async function publicKeyOf(file: string): Promise<Uint8Array> {
  if (!file.endsWith(".pub")) return (await loadIdentity(file)).publicKey;
  const line = await readPublicKey(file);
  return await attempt(`use ${file}`, () => parsePublicKey(line).key);
}

if (import.meta.main) {
  const commandLine = { path: PATH, options: OPTIONS, positionals: POSITIONALS } as const;
  await runProgram(commandLine, async ({ action, comment, file = configFile("identity.pem", "keys ACTION") }) => {
    if (action === undefined) throw new UsageError("there is no action: new, show or fingerprint");
    if (action === "new") await makeKey(file, comment);
    const key = await publicKeyOf(file);
    console.log(action === "fingerprint" ? fingerprint(key) : formatPublicKey({ key, comment }));
  });
}
