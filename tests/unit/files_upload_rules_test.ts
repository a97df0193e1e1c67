import fc from "fast-check";
import { encodeText } from "../../lib/bytes.ts";
import type { UploadCommand } from "../../lib/files/commands.ts";
import {
  decodeRecord,
  encodeRecord,
  parseRecord,
  partialId,
  partialName,
  readPartialName,
  RECORD_LENGTH,
} from "../../lib/files/partial.ts";
import { formatRate, LeastRate, RateLimit } from "../../lib/files/rate.ts";
import { COMPLETE, OTHER_OFFSET } from "../../lib/files/replies.ts";
import { safeName } from "../../lib/files/safe_name.ts";
import {
  bodyAfterRefusal,
  judgePresent,
  MAX_SKIP,
  refuseDigest,
  refuseOffset,
  refusePrefix,
  refuseSize,
  refuseSpace,
  wantsDigestOf,
} from "../../lib/files/upload_rules.ts";
import { assert, assertEquals } from "../assert.ts";

const HEX = "0123456789abcdef".repeat(4);
const OTHER = "f".repeat(64);

function upload(given: Partial<UploadCommand> = {}): UploadCommand {
  return { verb: "UPLOAD", name: "a", size: 100, ...given };
}

Deno.test("bodyAfterRefusal(): nothing follows from a client that waits, the whole body from another one", () => {
  const nothing = { count: 0, digestFollows: false, ends: false };
  assertEquals(bodyAfterRefusal(upload({ wait: true, sha256: "AFTER" })), nothing);
  assertEquals(bodyAfterRefusal(upload({ wait: true, size: 2 ** 50 })), nothing);
  assertEquals(bodyAfterRefusal(upload({ offset: 40 })), { count: 60, digestFollows: false, ends: false });
  assertEquals(bodyAfterRefusal(upload({ sha256: "AFTER" })), { count: 100, digestFollows: true, ends: false });
  assertEquals(bodyAfterRefusal(upload({ sha256: HEX })).digestFollows, false);
});

Deno.test("bodyAfterRefusal(): a body above 64 MiB ends the connection", () => {
  assertEquals(bodyAfterRefusal(upload({ size: MAX_SKIP })).ends, false);
  assertEquals(bodyAfterRefusal(upload({ size: MAX_SKIP + 1 })).ends, true);
  assertEquals(bodyAfterRefusal(upload({ size: MAX_SKIP + 1, offset: 1 })).ends, false);
});

Deno.test("refuseSize(): 552 above the limit", () => {
  assertEquals(refuseSize(100, 100), undefined);
  assertEquals(refuseSize(101, 100), { code: 552, text: "101 bytes are too many: limit is 100 bytes" });
});

Deno.test("judgePresent(): 213 for the very same file, 555 for another one, nothing with OVERWRITE", () => {
  const same = { size: 100, sha256: HEX };
  const complete = { code: 213, text: COMPLETE.format({ size: 100, sha256: HEX, name: "a" }) };
  assertEquals(judgePresent(upload({ sha256: HEX }), same), complete);
  assertEquals(judgePresent(upload({ sha256: HEX, overwrite: true }), same), complete);
  for (const given of [{}, { sha256: OTHER }, { sha256: "AFTER" }, { sha256: HEX, size: 99 }]) {
    assertEquals(judgePresent(upload(given), same)?.code, 555, JSON.stringify(given));
    assertEquals(judgePresent(upload({ ...given, overwrite: true }), same), undefined);
  }
  assertEquals(judgePresent(upload(), { size: 100, sha256: undefined })?.code, 555);
});

Deno.test("wantsDigestOf(): only a file of the same size can be the same, only with a digest", () => {
  assertEquals(wantsDigestOf(upload({ sha256: HEX }), { size: 100 }), true);
  for (const given of [{}, { sha256: "AFTER" }, { sha256: HEX, size: 99 }]) {
    assertEquals(wantsDigestOf(upload(given), { size: 100 }), false);
  }
});

Deno.test("refuseSpace(): 452 when the disk or the quota is too small", () => {
  assertEquals(refuseSpace(10, { free: 10, used: 0, quota: 0 }, 0), undefined);
  assertEquals(refuseSpace(11, { free: 10, used: 0, quota: 0 }, 7), {
    code: 452,
    text: "no space: 11 bytes do not fit, the disk has 10; kept 7",
  });
  assertEquals(refuseSpace(10, { free: 99, used: 90, quota: 100 }, 0), undefined);
  const text = refuseSpace(11, { free: 99, used: 90, quota: 100 }, 0)?.text ?? "";
  assert(text.includes("the quota has 10"), text);
  assert(refuseSpace(1, { free: 99, used: 200, quota: 100 }, 0)?.text.includes("the quota has 0"));
});

Deno.test("refuseOffset(): 554 where nothing durable is, or for another source; beginning anew is always right", () => {
  const partial = { name: "a", size: 100, offset: 40, prefix: HEX, sha256: HEX };
  for (const sha256 of [OTHER, HEX, "AFTER"]) {
    assertEquals(refuseOffset(upload({ sha256 }), partial, undefined), undefined);
  }
  for (const offset of [1, 40]) {
    assertEquals(refuseOffset(upload({ offset, sha256: HEX }), partial, undefined), undefined);
  }
  for (const sha256 of ["AFTER", HEX]) {
    assertEquals(refuseOffset(upload({ offset: 41, sha256 }), partial, HEX), {
      code: 554,
      text: OTHER_OFFSET.format({ offset: 40, prefix: HEX }),
    });
  }
  assertEquals(refuseOffset(upload({ offset: 1 }), undefined, undefined)?.text, "offset 0 prefix=-");
  const changed = refuseOffset(upload({ offset: 40, sha256: OTHER }), partial, undefined);
  assertEquals([changed?.code, changed?.text.slice(0, 14)], [554, "source changed"]);
  assertEquals(refuseOffset(upload({ offset: 40, sha256: OTHER }), { ...partial, sha256: null }, undefined), undefined);
});

Deno.test("refusePrefix() and refuseDigest(): 556 and 557 for what differs, nothing for what was not announced", () => {
  assertEquals(refusePrefix(undefined, HEX), undefined);
  assertEquals(refusePrefix(HEX, HEX), undefined);
  assertEquals(refusePrefix(HEX, OTHER)?.code, 556);
  assertEquals(refuseDigest(undefined, HEX), undefined);
  assertEquals(refuseDigest(HEX, HEX), undefined);
  assertEquals(refuseDigest(HEX, OTHER)?.code, 557);
});

const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 200 }).filter((name) => {
  try {
    return safeName(name) === name;
  } catch {
    return false;
  }
});
const counts = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const tokens = fc.option(fc.stringMatching(/^[\w-]{1,64}$/), { nil: undefined });

Deno.test("partialName() is a name that nobody can ask for, with all that is added in 255 bytes", () => {
  fc.assert(fc.property(names, counts, tokens, (name, size, token) => {
    const identity = { name, size, token };
    const data = partialName(identity);
    assert(encodeText(`${data}.json.new`).length <= 255 && data.startsWith(".") && !data.includes("\ufffd"));
    const id = partialId(identity);
    assertEquals(readPartialName(data), { id, kind: "data", data });
    assertEquals(readPartialName(`${data}.json`), { id, kind: "record", data });
    assertEquals(readPartialName(`${data}.json.new`), { id, kind: "spare", data });
  }));
  assertEquals(encodeText(partialName({ name: "ж".repeat(127), size: 1 })).length, 1 + 180 + 1 + 16 + 5);
});

Deno.test("readPartialName() leaves other files alone", () => {
  for (
    const name of [
      "a",
      ".lock",
      ".hidden",
      "a.0123456789abcdef.part",
      ".a.0123456789abcde.part",
      ".a.0123456789abcdef.part.json.old",
    ]
  ) {
    assertEquals(readPartialName(name), undefined);
  }
});

Deno.test("partialId() is another one for another name, size or token", () => {
  const ids = [
    { name: "a", size: 1 },
    { name: "b", size: 1 },
    { name: "a", size: 2 },
    { name: "a", size: 1, token: "t" },
    { name: "a", size: 1, token: "u" },
  ].map(partialId);
  assertEquals(new Set(ids).size, ids.length);
  assertEquals(partialId({ name: "a", size: 1, token: undefined }), ids[0]);
});

Deno.test("encodeRecord() has always the same length, decodeRecord() gives it back to its owner alone", () => {
  const digests = fc.option(fc.stringMatching(/^[0-9a-f]{64}$/));
  fc.assert(fc.property(names, counts, counts, digests, digests, tokens, (name, a, b, prefix, sha256, token) => {
    const record = { name, size: Math.max(a, b), offset: Math.min(a, b), prefix, sha256 };
    const bytes = encodeRecord(record);
    assertEquals(bytes.length, RECORD_LENGTH);
    const id = partialId({ ...record, token });
    assertEquals(decodeRecord(bytes, id, token), record);
    assertEquals(decodeRecord(bytes, id, `${token ?? ""}x`), undefined);
  }));
});

Deno.test("parseRecord() makes of anything else nothing", () => {
  const good = { name: "a", size: 5, offset: 2, prefix: null, sha256: null };
  assertEquals(parseRecord(JSON.stringify(good)), good);
  const wrong = [{ offset: 6 }, { size: -1 }, { size: 1.5 }, { name: 5 }, { prefix: "x" }, { sha256: undefined }, {
    offset: "2",
  }];
  for (const part of wrong) {
    assertEquals(parseRecord(JSON.stringify({ ...good, ...part })), undefined, JSON.stringify(part));
  }
  for (const text of ["", "null", "5", "[]", "{", "\0".repeat(1024)]) assertEquals(parseRecord(text), undefined, text);
});

Deno.test("RateLimit: so many bytes a second on average, in steps of a twentieth of a second", () => {
  const limit = new RateLimit(1000);
  assertEquals(limit.step, 50);
  assertEquals(limit.moved(50, 0), 50);
  assertEquals(limit.moved(50, 50), 50);
  assertEquals(limit.moved(50, 60), 90); // too early
  assertEquals(limit.moved(50, 1000), 50); // what was not used is not given later
  assertEquals(new RateLimit(0).step, Infinity);
  assertEquals(new RateLimit(0).moved(1e9, 0), 0);
});

Deno.test("LeastRate: finds who is too slow over a whole window", () => {
  const least = new LeastRate(10, 60_000, 0);
  assertEquals(least.moved(599, 59_999), false);
  assertEquals(least.moved(1, 60_000), false); // 600 bytes in 60 s
  assertEquals(least.moved(599, 120_000), true);
  assertEquals(new LeastRate(0, 60_000, 0).moved(0, 1e9), false);
});

Deno.test("formatRate()", () => {
  assertEquals(formatRate(125_000_000, 1000), "1000.0 Mbit/s 1.000 s");
  assertEquals(formatRate(0, 0), "0.0 Mbit/s 0.000 s");
});
