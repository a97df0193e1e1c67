/**
 * The secure channel on a command line: the options, and what they mean for a server and for a client.
 * @module
 */
import { UsageError } from "../errors.ts";
import { fingerprint, type TrustPolicy } from "../identity.ts";
import { programName, type ProgramPath } from "../programs.ts";
import type { CipherSuite } from "../record_cipher.ts";
import { CHANNEL_PATTERNS } from "../secure_channel.ts";
import { parsePadding } from "../secure_records.ts";
import { BACKEND_NAMES, chooseBackend } from "./ciphers.ts";
import { duration, flag, oneOf, option, type OptionTable, type OptionValues, text } from "./cli.ts";
import { AttemptError } from "./failure.ts";
import { AuthorizedKeys, keepIdentity, knownKeys, verifyServer } from "./identity.ts";
import { configFile } from "./key_files.ts";
import { type ClientSecurity, HANDSHAKE_TIMEOUT_MS, type Security, type ServerSecurity } from "./secure.ts";
import { hasPsk, loadPsk, PSK_OPTIONS } from "./secret.ts";
import { hasPerson } from "./terminal.ts";

/** The name of a pattern. */
export type PatternName = typeof CHANNEL_PATTERNS[number];
/** What each pattern needs (The Noise Protocol Framework, revision 34, §7.5, §9). */
const PATTERNS: Record<PatternName, { serverKey: "sent" | "known" | "none"; clientKey: boolean; psk: boolean }> = {
  XX: { serverKey: "sent", clientKey: true, psk: false },
  XK: { serverKey: "known", clientKey: true, psk: false },
  IK: { serverKey: "known", clientKey: true, psk: false },
  NK: { serverKey: "known", clientKey: false, psk: false },
  XXpsk3: { serverKey: "sent", clientKey: true, psk: true },
  NNpsk0: { serverKey: "none", clientKey: false, psk: true },
};
const SUITES: Record<"aes" | "chacha", CipherSuite> = { aes: "AESGCM", chacha: "ChaChaPoly" };

function parseFingerprint(given: string): string {
  if (/^SHA256:[A-Za-z0-9+/]{43}$/.test(given)) return given;
  throw new UsageError(`${JSON.stringify(given)} is no fingerprint: it looks like ${fingerprint(new Uint8Array(32))}`);
}

// --- Options -------------------------------------------------------------------------------------------------------

const BOTH_OPTIONS = {
  identity: option({
    value: "FILE",
    parse: text,
    help: "our private key; made if it is not there, with FILE.pub; without it: in ~/.config/netlab",
  }),
  ...PSK_OPTIONS,
  pattern: option({
    value: CHANNEL_PATTERNS.join("|"),
    parse: oneOf(...CHANNEL_PATTERNS),
    help: "who knows whom before; without it XX, and XXpsk3 with a pre-shared key",
  }),
  cipher: option({
    value: "aes|chacha",
    parse: oneOf("aes", "chacha"),
    help: "AES-256-GCM or ChaCha20-Poly1305; without it: aes for a client, either for a server",
  }),
  backend: option({
    value: BACKEND_NAMES.join("|"),
    parse: oneOf(...BACKEND_NAMES),
    help: "what computes it; without it auto: OpenSSL's libcrypto with --allow-ffi, else the runtime",
  }),
  padding: option({ value: "none|padme|fixed:N", parse: parsePadding, help: "hides lengths; without it: none" }),
  maxSession: option({
    value: "DURATION",
    parse: duration,
    help: "ends a connection that is older; without it: never",
  }),
};

/** The options of a server whose connections are secure. */
export const SECURE_SERVER_OPTIONS = {
  ...BOTH_OPTIONS,
  authorized: option({ value: "FILE", parse: text, help: "the public keys of the clients that may come in" }),
  allowAnyClient: flag({ help: "let in clients with any key, or with none" }),
};

/** The options of a client whose connections are secure. */
export const SECURE_CLIENT_OPTIONS = {
  ...BOTH_OPTIONS,
  knownHosts: option({
    value: "FILE",
    parse: text,
    help: "the servers' keys; without it: known_hosts in ~/.config/netlab",
  }),
  trust: option({
    value: "strict|ask|accept-new",
    parse: oneOf("strict", "ask", "accept-new"),
    help: "a server that is not known is refused, asked about, remembered; without it: ask on a terminal, else strict",
  }),
  expectFingerprint: option({
    value: "SHA256:...",
    parse: parseFingerprint,
    help: "the server's key must be this one",
  }),
};

/** The option of programs that can do without. */
const SECURE = { secure: flag({ help: "inside a secure channel, see docs/security.md" }) };
/** The options of a server that is secure with `--secure`. */
export const OPTIONAL_SECURE_SERVER_OPTIONS = { ...SECURE, ...SECURE_SERVER_OPTIONS };
/** The options of a client that is secure with `--secure`. */
export const OPTIONAL_SECURE_CLIENT_OPTIONS = { ...SECURE, ...SECURE_CLIENT_OPTIONS };

/** Parsed {@linkcode SECURE_SERVER_OPTIONS}. */
export type SecureServerValues = OptionValues<typeof SECURE_SERVER_OPTIONS>;
/** Parsed {@linkcode SECURE_CLIENT_OPTIONS}. */
export type SecureClientValues = OptionValues<typeof SECURE_CLIENT_OPTIONS>;

/**
 * Whether `--secure` is given.
 * @throws {UsageError} if it is not, but an option that needs it: what was meant to be secret must not go out in clear
 */
export function wantsSecure(values: { readonly secure: boolean }, table: OptionTable): boolean {
  if (values.secure) return true;
  const given = Object.entries(values).find(([name, value]) =>
    name in table && name !== "secure" && value !== undefined && value !== false
  );
  if (given === undefined) return false;
  const name = given[0].replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(`--${name} needs --secure`);
}

// --- What they mean ------------------------------------------------------------------------------------------------

/** Where an option says what was chosen: a log or stderr. */
type Say = (line: string) => void;

/**
 * What the options mean for a server. `say` is told about a new key and our fingerprint.
 * @throws {UsageError} if nothing says which clients may come in
 */
export async function serverSecurity(values: SecureServerValues, say: Say): Promise<ServerSecurity> {
  const { authorized, allowAnyClient, cipher } = values;
  const pattern = choosePattern(values);
  const { clientKey, serverKey } = PATTERNS[pattern];
  if (authorized !== undefined && allowAnyClient) throw new UsageError("--authorized or --allow-any-client, not both");
  if (clientKey && authorized === undefined && !allowAnyClient) {
    throw new UsageError("nothing says which clients may come in", {
      hint: "--authorized FILE with their public keys, or --allow-any-client",
    });
  }
  if (!clientKey && authorized !== undefined) throw new UsageError(`--authorized: clients have no key with ${pattern}`);
  if (pattern === "NK" && !allowAnyClient) throw new UsageError("NK lets in everybody: it needs --allow-any-client");
  const list = authorized === undefined ? undefined : new AuthorizedKeys(authorized);
  await list?.load(); // a wrong line shows now
  const both = await security(values, pattern, serverKey !== "none", "server_identity.pem", say);
  if (both.identity !== undefined) say(`our key is ${fingerprint(both.identity.publicKey)}`);
  const suites = cipher === undefined ? Object.values(SUITES) : [SUITES[cipher]];
  return {
    ...both,
    protocols: suites.map((suite) => protocolName(pattern, suite)),
    authorize: async (key) => list === undefined || (key !== undefined && await list.find(key) !== undefined),
  };
}

/** What the options mean for a client of the server at `host`, `HOST:PORT`. `say` is told about new keys. */
export async function clientSecurity(
  values: SecureClientValues,
  { host, path }: { readonly host: string; readonly path: ProgramPath },
): Promise<ClientSecurity> {
  const say = (line: string) => console.error(`${programName(path)}: ${line}`);
  const pattern = choosePattern(values);
  const { clientKey, serverKey } = PATTERNS[pattern];
  if (serverKey === "none" && values.expectFingerprint !== undefined) {
    throw new UsageError(`--expect-fingerprint: servers have no key with ${pattern}`);
  }
  const both = await security(values, pattern, clientKey, "identity.pem", say);
  const protocol = protocolName(pattern, SUITES[values.cipher ?? "aes"]);
  if (serverKey === "none") return { ...both, protocol, verify: () => Promise.resolve(undefined) };
  const file = values.knownHosts ?? configFile("known_hosts", "--known-hosts");
  const { trust: wanted = "ask" } = values;
  const policy: TrustPolicy = wanted === "ask" && !hasPerson() ? "strict" : wanted; // what a pipe brings is no answer
  const trust = { file, policy, expected: values.expectFingerprint, ask: (question: string) => ask(say, question) };
  const verify = async (key: Uint8Array) => {
    const began = performance.now();
    const remember = await verifyServer(host, key, { ...trust, notice: say });
    const isProofDue = both.psk !== undefined; // anybody can send a key: who has the pre-shared one is known at the end
    if (!isProofDue) await remember?.();
    if (performance.now() - began > SERVER_PATIENCE_MS) throw lateAnswer(isProofDue ? key : undefined);
    return isProofDue ? remember : undefined;
  };
  if (serverKey === "sent") return { ...both, protocol, verify };
  const keys = await knownKeys(file, host);
  const known = keys.find((key) => fingerprint(key) === values.expectFingerprint) ?? keys[0];
  if (known !== undefined) {
    await verify(known);
    return { ...both, protocol, verify, serverKey: known };
  }
  throw new AttemptError(
    `connect with the pattern ${pattern}`,
    `the key of ${host} is not in ${file}`,
    "--pattern XX gets to know it",
  );
}

function choosePattern(
  { pattern, pskFile }: { pattern?: PatternName | undefined; pskFile?: string | undefined },
): PatternName {
  if (pattern === undefined) return hasPsk(pskFile) ? "XXpsk3" : "XX";
  if (pskFile === undefined || PATTERNS[pattern].psk) return pattern;
  throw new UsageError(`--psk-file: ${pattern} has no pre-shared key`, { hint: "--pattern XXpsk3 or NNpsk0" });
}

/** `Noise_XX_25519_AESGCM_SHA256`. */
function protocolName(pattern: PatternName, suite: CipherSuite): string {
  return `Noise_${pattern}_25519_${suite}_SHA256`;
}

async function security(
  { identity: file, pskFile, backend = "auto", padding = "none", maxSession = 0 }: OptionValues<
    typeof BOTH_OPTIONS
  >,
  pattern: PatternName,
  hasKey: boolean,
  defaultFile: string,
  say: Say,
): Promise<Security> {
  const psk = PATTERNS[pattern].psk ? await loadPsk(pskFile) : undefined;
  if (PATTERNS[pattern].psk && psk === undefined) {
    throw new UsageError(`${pattern} needs a pre-shared key`, { hint: "--psk-file FILE, or NETLAB_PSK" });
  }
  const where = file ?? (hasKey ? configFile(defaultFile, "--identity") : "");
  const identity = hasKey ? await keepIdentity(where, () => say(`made a key: ${where}`)) : undefined;
  return {
    backend: await chooseBackend(backend),
    padding,
    maxSession,
    ...(psk === undefined ? {} : { psk }),
    ...(identity === undefined ? {} : { identity }),
  };
}

// --- The user ------------------------------------------------------------------------------------------------------

/** How long a server waits for an answer: its time for the whole handshake, but for what the network takes. */
const SERVER_PATIENCE_MS = HANDSHAKE_TIMEOUT_MS - 500;

/** `unproved`: a key that is not kept. */
function lateAnswer(unproved: Uint8Array | undefined): AttemptError {
  const hint = unproved === undefined
    ? "its key is known now: run this again"
    : `run this again with --expect-fingerprint ${fingerprint(unproved)}`;
  return new AttemptError("make the channel secure", "the server has waited no longer", hint);
}

/** Asks a person; whatever is not `yes` means no. */
async function ask(say: Say, question: string): Promise<boolean> {
  say(`${question} yes or no:`);
  const answer = new Uint8Array(4096); // as much as a line of a terminal has
  const count = await Deno.stdin.read(answer); // of a terminal: one line
  return new TextDecoder().decode(answer.subarray(0, count ?? 0)).trim() === "yes";
}
