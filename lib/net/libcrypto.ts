/**
 * OpenSSL's libcrypto 3 through FFI: AES-256-GCM and ChaCha20-Poly1305 at the speed of the hardware. One context serves one
 * key, given a new nonce for each message; every return value is checked, and tags are compared by OpenSSL.
 * @module
 */
import { type CipherSuite, KEY_LENGTH, type RecordCipher, TAG_LENGTH } from "../record_cipher.ts";
import {
  copyKey,
  counterNonces,
  type NonceBackend,
  type NonceOf,
  openKey,
  textLength,
  wrongTag,
} from "../record_nonce.ts";
import { reason } from "./failure.ts";

/**
 * Where the library may be, by the system: by its name, and by the places that `--allow-ffi=PATH` can name alone. On macOS it
 * is Homebrew's: the system's own ends whoever loads it.
 */
const LIBRARIES: Partial<Record<typeof Deno.build.os, readonly string[]>> = {
  linux: [
    "libcrypto.so.3",
    `/usr/lib/${Deno.build.arch}-linux-gnu/libcrypto.so.3`,
    "/usr/lib64/libcrypto.so.3",
  ],
  darwin: ["libcrypto.3.dylib", "/opt/homebrew/opt/openssl@3/lib/libcrypto.3.dylib"],
};
/** The only major version whose interface is known: 3.y.z has the number 0x30y00zz0 (OpenSSL_version_num(3)). */
const MAJOR_VERSION = 3;
const SUITES: readonly CipherSuite[] = ["AESGCM", "ChaChaPoly"];
/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of openssl/evp.h. */
const GET_TAG = 0x10;
const SET_TAG = 0x11;
/** The last argument of EVP_CipherInit_ex. */
const SEAL = 1;
const OPEN = 0;
/** What a function returns that has done its work. */
const OK = 1;

const SYMBOLS = {
  OpenSSL_version_num: { parameters: [], result: "usize" },
  EVP_aes_256_gcm: { parameters: [], result: "pointer" },
  EVP_chacha20_poly1305: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_new: { parameters: [], result: "pointer" },
  EVP_CIPHER_CTX_free: { parameters: ["pointer"], result: "void" },
  EVP_CIPHER_CTX_ctrl: { parameters: ["pointer", "i32", "i32", "buffer"], result: "i32" },
  EVP_CipherInit_ex: { parameters: ["pointer", "pointer", "pointer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_CipherUpdate: { parameters: ["pointer", "buffer", "buffer", "buffer", "i32"], result: "i32" },
  EVP_CipherFinal_ex: { parameters: ["pointer", "buffer", "buffer"], result: "i32" },
} as const;

/** The library, or why it cannot be used: no `--allow-ffi`, no library, an unknown one, one without a cipher. Never asks. */
export function openLibcrypto(): NonceBackend | string {
  let why = "there is no --allow-ffi";
  for (const path of LIBRARIES[Deno.build.os] ?? []) {
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    try {
      return checkLibrary(path, Deno.dlopen(path, SYMBOLS));
    } catch (error) {
      why = reason(error);
    }
  }
  return why;
}

type Library = Deno.DynamicLibrary<typeof SYMBOLS>;

function checkLibrary(path: string, library: Library): NonceBackend | string {
  const version = Number(library.symbols.OpenSSL_version_num());
  if (version >>> 28 !== MAJOR_VERSION) {
    library.close();
    return `${path} has the version number 0x${version.toString(16)}, not one of ${MAJOR_VERSION}.x`;
  }
  const backend = libcryptoBackend(library.symbols);
  try {
    for (const suite of SUITES) backend.cipher(suite, new Uint8Array(KEY_LENGTH)).close();
    return backend;
  } catch {
    library.close();
    return `${path} does not have both ciphers: the machine's OpenSSL is restricted`;
  }
}

function libcryptoBackend(symbols: Library["symbols"]): NonceBackend {
  return {
    name: "libcrypto",
    cipher: (suite, key, nonceOf) => new LibcryptoCipher(symbols, suite, key, nonceOf),
  };
}

class LibcryptoCipher implements RecordCipher {
  readonly #symbols: Library["symbols"];
  readonly #nonceOf: NonceOf;
  readonly #written = new Uint8Array(4); // an int that libcrypto reports lengths in; they are known
  #context: Deno.PointerObject | undefined;

  constructor(
    symbols: Library["symbols"],
    suite: CipherSuite,
    key: Uint8Array,
    nonceOf: NonceOf = counterNonces(suite),
  ) {
    const ownKey = copyKey(key); // it has the length that libcrypto will read
    this.#symbols = symbols;
    this.#nonceOf = nonceOf;
    this.#context = symbols.EVP_CIPHER_CTX_new() ?? failed("EVP_CIPHER_CTX_new");
    const cipher = suite === "AESGCM" ? symbols.EVP_aes_256_gcm() : symbols.EVP_chacha20_poly1305();
    this.#init(cipher, ownKey, null, SEAL);
    ownKey.fill(0);
  }

  seal(counter: number, record: Uint8Array<ArrayBuffer>): void {
    const length = textLength(record);
    const tag = record.subarray(length);
    this.#init(null, null, this.#nonceOf(counter), SEAL);
    this.#update(record, length);
    check(this.#symbols.EVP_CipherFinal_ex(this.#context!, tag, this.#written), "EVP_CipherFinal_ex");
    check(this.#symbols.EVP_CIPHER_CTX_ctrl(this.#context!, GET_TAG, TAG_LENGTH, tag), "EVP_CTRL_AEAD_GET_TAG");
  }

  open(counter: number, record: Uint8Array<ArrayBuffer>): Uint8Array {
    const length = textLength(record);
    const tag = record.subarray(length);
    this.#init(null, null, this.#nonceOf(counter), OPEN);
    check(this.#symbols.EVP_CIPHER_CTX_ctrl(this.#context!, SET_TAG, TAG_LENGTH, tag), "EVP_CTRL_AEAD_SET_TAG");
    this.#update(record, length);
    if (this.#symbols.EVP_CipherFinal_ex(this.#context!, tag, this.#written) === OK) return record.subarray(0, length);
    record.fill(0); // what was decrypted is nobody's message
    throw wrongTag();
  }

  #init(
    cipher: Deno.PointerValue,
    key: Uint8Array<ArrayBuffer> | null,
    nonce: Uint8Array<ArrayBuffer> | null,
    direction: number,
  ): void {
    check(
      this.#symbols.EVP_CipherInit_ex(openKey(this.#context), cipher, null, key, nonce, direction),
      "EVP_CipherInit_ex",
    );
  }

  #update(record: Uint8Array<ArrayBuffer>, length: number): void {
    if (length === 0) return; // to libcrypto, no output is associated data
    check(
      this.#symbols.EVP_CipherUpdate(this.#context!, record, this.#written, record, length),
      "EVP_CipherUpdate",
    );
  }

  /** libcrypto overwrites the key. */
  close(): void {
    if (this.#context !== undefined) this.#symbols.EVP_CIPHER_CTX_free(this.#context);
    this.#context = undefined;
  }
}

function check(result: number, name: string): void {
  if (result !== OK) failed(name);
}

function failed(name: string): never {
  throw new Error(`libcrypto: ${name} failed`);
}
