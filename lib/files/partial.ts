/**
 * Uploads that are not complete: how their files are called, and the record that is kept beside each one.
 *
 * The bytes are in `.NAME.ID.part`, the record in `.NAME.ID.part.json`: names that begin with a dot cannot be asked for.
 * @module
 */
import { createHash } from "node:crypto";
import { decodeText, encodeText } from "../bytes.ts";

/** How much of a file's name its partial's name repeats, in bytes, so that the longest one fits 255 with what is added. */
const NAME_PART_LENGTH = 180;
/** Every record is padded to this, in bytes: one takes the place of another without needing space. */
export const RECORD_LENGTH = 1024;

/** What makes two uploads the same upload. */
export interface UploadIdentity {
  /** Of the file. */
  readonly name: string;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** Whose upload. */
  readonly token?: string | undefined;
}

/** The first 16 hex digits of SHA-256(name NUL size NUL token). */
export function partialId({ name, size, token = "" }: UploadIdentity): string {
  return createHash("sha256").update(`${name}\0${size}\0${token}`).digest("hex").slice(0, 16);
}

/** The name of the file that holds what has come of an upload; or of a download, so that no server takes it for an upload. */
export function partialName(identity: UploadIdentity, ending: "part" | "download" = "part"): string {
  const cut = decodeText(encodeText(identity.name).subarray(0, NAME_PART_LENGTH)).replace(/\ufffd+$/, "");
  return `.${cut}.${partialId(identity)}.${ending}`;
}

/** What a file of the folder is to uploads: the id of the one that it belongs to, and which of its files it is. */
export function readPartialName(
  file: string,
): { readonly id: string; readonly kind: "data" | "record" | "spare"; readonly data: string } | undefined {
  const [, data, id, ending] = /^(\..+\.([0-9a-f]{16})\.part)(|\.json|\.json\.new)$/s.exec(file) ?? [];
  if (data === undefined || id === undefined) return undefined;
  return { id, data, kind: ending === "" ? "data" : ending === ".json" ? "record" : "spare" };
}

/** How far an upload has come for certain. */
export interface PartialRecord {
  /** Of the file. */
  readonly name: string;
  /** Of the whole file, in bytes. */
  readonly size: number;
  /** Bytes that are on the disk, whatever comes. */
  readonly offset: number;
  /** Their SHA-256, 64 hex digits; null if nobody hashes. */
  readonly prefix: string | null;
  /** The SHA-256 of the whole that the client has announced. */
  readonly sha256: string | null;
}

/** The record as {@linkcode RECORD_LENGTH} bytes of JSON. */
export function encodeRecord(record: PartialRecord): Uint8Array<ArrayBuffer> {
  return encodeText(`${JSON.stringify(record)}\n`.padEnd(RECORD_LENGTH - paddingOf(record.name)));
}

/** Bytes that the name takes beyond its characters. */
function paddingOf(name: string): number {
  return encodeText(name).length - name.length;
}

/** The record of a file's content, undefined if it is none of this upload. */
export function decodeRecord(content: Uint8Array, id: string, token?: string): PartialRecord | undefined {
  const record = parseRecord(decodeText(content));
  return record !== undefined && partialId({ ...record, token }) === id ? record : undefined;
}

/** The record of a text, whosever it is; undefined if it is none. */
export function parseRecord(text: string): PartialRecord | undefined {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const { name, size, offset, prefix, sha256 } = value;
  const isCount = (count: unknown) => Number.isSafeInteger(count) && Number(count) >= 0;
  const isDigest = (digest: unknown) => digest === null || /^[0-9a-f]{64}$/.test(String(digest));
  const isRecord = typeof name === "string" && isCount(size) && isCount(offset) && offset <= size && isDigest(prefix) &&
    isDigest(sha256);
  return isRecord ? { name, size, offset, prefix, sha256 } : undefined;
}
