/**
 * Who is who on a secure channel: X25519 keys (RFC 7748) as files keep them, the lists of known servers and of authorized
 * clients, and the decision whether to trust a key.
 *
 * | what | form |
 * |---|---|
 * | private key | PKCS #8 in PEM (RFC 8410 §7), as `openssl genpkey -algorithm x25519` writes it |
 * | public key | `np-x25519 BASE64 COMMENT`, 32 bytes in base64 |
 * | fingerprint | `SHA256:BASE64` without padding, of `np-x25519` and the 32 bytes |
 * | known server | `HOST:PORT np-x25519 BASE64 COMMENT`; `@revoked HOST:PORT ...` or `@revoked * ...` is never trusted |
 * | authorized client | a public key |
 *
 * In lists, empty lines and what begins with `#` are left out.
 * @module
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { formatAddress, parseAddress } from "./address.ts";
import { UsageError } from "./errors.ts";
import { encodeText } from "./bytes.ts";
import { rawPublicKey, type X25519KeyPair } from "./noise_primitives.ts";

/** What a line calls a key of this kind. */
export const KEY_TYPE = "np-x25519";
/** Bytes of a public key. */
export const PUBLIC_KEY_LENGTH = 32;

/**
 * The key pair of a PEM file.
 * @throws {TypeError} if it is no X25519 private key
 */
export function parsePrivateKey(pem: string): X25519KeyPair {
  let privateKey: KeyObject | undefined;
  try {
    privateKey = createPrivateKey(pem);
  } catch {
    // told below
  }
  if (privateKey?.asymmetricKeyType !== "x25519") {
    throw new TypeError("Cannot read key: it is no X25519 private key in PEM");
  }
  return { privateKey, publicKey: rawPublicKey(createPublicKey(privateKey)) };
}

/** The private key for a PEM file. */
export function formatPrivateKey({ privateKey }: X25519KeyPair): string {
  return privateKey.export({ format: "pem", type: "pkcs8" }) as string;
}

/** A public key, and what its owner calls it. */
export interface PublicKeyLine {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Empty if there is none. */
  readonly comment: string;
}

/**
 * The line of a public key.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const line = formatPublicKey({ key: new Uint8Array(32), comment: "alice" });
 * assertEquals(line, "np-x25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= alice");
 * assertEquals(parsePublicKey(line), { key: new Uint8Array(32), comment: "alice" });
 * ```
 */
export function formatPublicKey({ key, comment }: PublicKeyLine): string {
  return [KEY_TYPE, key.toBase64(), ...(comment === "" ? [] : [comment])].join(" ");
}

/**
 * The public key of a line.
 * @throws {UsageError} if it is none; without a word of it: it may be a secret that got into the wrong place
 */
export function parsePublicKey(line: string): PublicKeyLine {
  const [type, base64 = "", ...comment] = line.trim().split(/[ \t]+/);
  let key: Uint8Array | undefined;
  try {
    key = Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
  } catch {
    // told below
  }
  if (type === KEY_TYPE && key?.length === PUBLIC_KEY_LENGTH) return { key, comment: comment.join(" ") };
  throw new UsageError(`it is no public key: ${KEY_TYPE} and ${PUBLIC_KEY_LENGTH} bytes in base64`);
}

/**
 * What people compare: the hash of a public key.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * assertEquals(fingerprint(new Uint8Array(32)), "SHA256:4B+xLggwiQTq9bwdWVPid0W/9V+RXaXHbfSx2ktV20I");
 * ```
 */
export function fingerprint(key: Uint8Array): string {
  const digest = new Uint8Array(createHash("sha256").update(encodeText(KEY_TYPE)).update(key).digest());
  return `SHA256:${digest.toBase64({ omitPadding: true })}`;
}

// --- Lists ---------------------------------------------------------------------------------------------------------

/** An entry of a list. */
export interface Listed extends PublicKeyLine {
  /** The number of its line, from 1. */
  readonly line: number;
}

/** A server that has been met before. */
export interface KnownHost extends Listed {
  /** `HOST:PORT`; of a revoked key also `*`, any server. */
  readonly host: string;
  /** Whether the key must not be trusted any more. */
  readonly revoked: boolean;
}

/**
 * The entries of a list of clients.
 * @throws {UsageError} with the number of the line, if one is no public key
 */
export function parseAuthorizedKeys(text: string): Listed[] {
  return entries(text).map(({ line, content }) => ({ line, ...atLine(line, () => parsePublicKey(content)) }));
}

/** The first entry of the list with this key. */
export function findKey<Entry extends Listed>(list: readonly Entry[], key: Uint8Array): Entry | undefined {
  const wanted = key.toBase64();
  return list.find((entry) => entry.key.toBase64() === wanted);
}

/**
 * The entries of a list of servers.
 * @throws {UsageError} with the number of the line, if one is none
 */
export function parseKnownHosts(text: string): KnownHost[] {
  return entries(text).map(({ line, content }) => ({ line, ...atLine(line, () => parseKnownHost(content)) }));
}

/** The line of a known server. */
export function formatKnownHost({ host, revoked, ...key }: Omit<KnownHost, "line">): string {
  return [...(revoked ? [REVOKED] : []), host, formatPublicKey(key)].join(" ");
}

/** What marks a key that must not be trusted any more. */
const REVOKED = "@revoked";

function parseKnownHost(content: string): Omit<KnownHost, "line"> {
  const words = content.split(/[ \t]+/);
  const revoked = words[0] === REVOKED;
  const [host = "", ...key] = revoked ? words.slice(1) : words;
  const name = revoked && host === "*" ? host : hostName(host);
  return { host: name, revoked, ...parsePublicKey(key.join(" ")) };
}

/** A server as {@linkcode decideTrust} looks for it: a line that no server can have would revoke or know nothing, unnoticed. */
function hostName(given: string): string {
  try {
    return formatAddress(parseAddress(given)).toLowerCase();
  } catch {
    throw new UsageError("it does not begin with HOST:PORT"); // without a word of it
  }
}

function entries(text: string): { line: number; content: string }[] {
  return text.split("\n")
    .map((content, i) => ({ line: i + 1, content: content.trim() }))
    .filter(({ content }) => content !== "" && !content.startsWith("#"));
}

function atLine<T>(line: number, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`line ${line}: ${error.message}`, { cause: error }) : error;
  }
}

// --- Trust ---------------------------------------------------------------------------------------------------------

/** What to do about a server that has not been met before: refuse it, ask the user, or trust and remember it. */
export type TrustPolicy = "strict" | "ask" | "accept-new";

/** Whom to trust. */
export interface TrustQuestion {
  /** The servers that we know. */
  readonly knownHosts: readonly KnownHost[];
  /** `HOST:PORT`, as the user wrote it. */
  readonly host: string;
  /** The key that the server has. */
  readonly key: Uint8Array;
  /** What to do about one that we do not. */
  readonly policy: TrustPolicy;
  /** The fingerprint that the user was told on another way: it decides in place of the list, but for revoked keys. */
  readonly expected?: string | undefined;
}

/**
 * Whether to trust a server: `trusted`, or `ask` or `remember` at first contact, or not. A key that is `changed` is not the
 * one in `line`, one that is `revoked` is.
 */
export type TrustDecision =
  | { readonly decision: "trusted" | "ask" | "remember" | "unknown" | "unexpected" }
  | { readonly decision: "changed" | "revoked"; readonly line: number };

/**
 * Decides whether to trust a server. A known server with another key is refused under every policy. A first contact is
 * exactly as safe as the comparison of the fingerprint by the user.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * const [first, other] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
 * const knownHosts = parseKnownHosts(`localhost:9007 ${formatPublicKey({ key: first, comment: "" })}`);
 * const question = { knownHosts, host: "localhost:9007", policy: "accept-new" } as const;
 * assertEquals(decideTrust({ ...question, key: first }), { decision: "trusted" });
 * assertEquals(decideTrust({ ...question, key: other }), { decision: "changed", line: 1 });
 * ```
 */
export function decideTrust({ knownHosts, host, key, policy, expected }: TrustQuestion): TrustDecision {
  const name = host.toLowerCase();
  const revoked = findKey(
    knownHosts.filter((entry) => entry.revoked && (entry.host === name || entry.host === "*")),
    key,
  );
  if (revoked !== undefined) return { decision: "revoked", line: revoked.line };
  if (expected !== undefined) return { decision: fingerprint(key) === expected ? "trusted" : "unexpected" };
  const known = knownHosts.filter((entry) => !entry.revoked && entry.host === name);
  if (findKey(known, key) !== undefined) return { decision: "trusted" };
  if (known.length > 0) return { decision: "changed", line: known[0]!.line };
  return { decision: policy === "strict" ? "unknown" : policy === "ask" ? "ask" : "remember" };
}
