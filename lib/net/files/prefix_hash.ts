/**
 * The SHA-256 of a file's first bytes, as a state that can go back: after a break it goes on a little before where it was.
 * @module
 */
import { createHash, type Hash } from "node:crypto";

/** The distance of two states that are kept, in bytes, and how many are. */
const STEP = 8 * 2 ** 20;
const MAX_STATES = 16;

/** A state of the hash, and how many bytes it has seen. */
interface State {
  readonly position: number;
  readonly hash: Hash;
}

/** Hashes a file from its beginning. */
export class PrefixHash {
  #hash = createHash("sha256");
  #position = 0;
  #kept: State[] = [];

  /** How many bytes it has seen. */
  get position(): number {
    return this.#position;
  }

  /** The bytes at {@linkcode position}. */
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#position += bytes.length;
    if (this.#position - (this.#kept.at(-1)?.position ?? 0) < STEP) return;
    this.#kept.push({ position: this.#position, hash: this.#hash.copy() });
    if (this.#kept.length > MAX_STATES) this.#kept.shift();
  }

  /** 64 hex digits, of all that it has seen. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Goes back to `position` or, if no state there was kept, to one before it. */
  rewind(position: number): void {
    if (position === this.#position) return;
    this.#kept = this.#kept.filter((state) => state.position <= position);
    const state = this.#kept.at(-1);
    this.#hash = state?.hash.copy() ?? createHash("sha256");
    this.#position = state?.position ?? 0;
  }

  /** Begins anew: the file is another one. */
  reset(): void {
    this.#kept = [];
    this.#hash = createHash("sha256");
    this.#position = 0;
  }
}
