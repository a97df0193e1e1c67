import { createHash } from "node:crypto";
import { PrefixHash } from "../../lib/net/files/prefix_hash.ts";
import { assert, assertEquals } from "../assert.ts";

const MIB = 2 ** 20;
const content = new Uint8Array(40 * MIB);
for (let i = 0; i < content.length; i += 4096) content[i] = i / 4096;

function sha256(to: number): string {
  return createHash("sha256").update(content.subarray(0, to)).digest("hex");
}

function feed(hash: PrefixHash, to: number): void {
  for (; hash.position < to;) hash.update(content.subarray(hash.position, Math.min(hash.position + MIB, to)));
}

Deno.test("PrefixHash: goes back to any position, at most 8 MiB too far, and on from there", () => {
  const hash = new PrefixHash();
  feed(hash, content.length);
  assertEquals(hash.digest(), sha256(content.length));
  for (const position of [content.length, 37 * MIB + 5, 24 * MIB, 24 * MIB - 1, 30 * MIB, 1, 0]) {
    const before = hash.position;
    hash.rewind(position);
    assert(hash.position <= position && (position > before || position - hash.position < 8 * MIB), `${position}`);
    feed(hash, position);
    assertEquals([hash.position, hash.digest()], [position, sha256(position)]);
  }
  feed(hash, 9 * MIB);
  hash.reset();
  assertEquals([hash.position, hash.digest()], [0, sha256(0)]);
  hash.rewind(9 * MIB);
  assertEquals(hash.position, 0);
});

Deno.test("PrefixHash: keeps a bounded number of states", () => {
  const hash = new PrefixHash();
  const block = new Uint8Array(8 * MIB);
  for (let i = 0; i < 20; i++) hash.update(block);
  hash.rewind(20 * block.length - 1);
  assertEquals(hash.position, 19 * block.length);
  hash.rewind(4 * block.length - 1);
  assertEquals(hash.position, 0);
});
