/**
 * Which backend computes the ciphers of secure channels: chosen once, at start-up. All of them make the same bytes.
 * @module
 */
import { portableBackend } from "../ciphers_portable.ts";
import { UsageError } from "../errors.ts";
import type { CipherBackend } from "../record_cipher.ts";
import { openLibcrypto } from "./libcrypto.ts";

/** What `--backend` takes. */
export const BACKEND_NAMES = ["auto", "libcrypto", "portable", "noble"] as const;
/** One of {@linkcode BACKEND_NAMES}. */
export type BackendName = typeof BACKEND_NAMES[number];

/**
 * The backend of that name; `auto` is libcrypto where `--allow-ffi` is granted and the library is there, or else portable.
 * @throws {UsageError} if libcrypto is asked for and cannot be used
 */
export async function chooseBackend(name: BackendName): Promise<CipherBackend> {
  if (name === "portable") return portableBackend;
  if (name === "noble") return (await import("../ciphers_noble.ts")).nobleBackend; // few need it
  const libcrypto = openLibcrypto();
  if (typeof libcrypto !== "string") return libcrypto;
  if (name === "auto") return portableBackend;
  throw new UsageError(`--backend libcrypto: ${libcrypto}`, { hint: "--backend portable works everywhere" });
}
