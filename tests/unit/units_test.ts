import fc from "fast-check";
import { UsageError } from "../../lib/errors.ts";
import { formatDuration, parseDuration, parsePercent, parseSize } from "../../lib/units.ts";
import { assertEquals, assertThrows } from "../assert.ts";

Deno.test("parseDuration: a number with its unit, in milliseconds; 0 needs no unit", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["0s", 0],
    ["250ms", 250],
    ["1.5s", 1500],
    ["1.005s", 1005],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["24d", 2_073_600_000],
  ];
  for (const [text, ms] of cases) assertEquals(parseDuration(text), ms, text);
});

Deno.test("parseDuration: refuses what has no number, no unit or an unknown one", () => {
  for (
    const text of ["", "s", "5", "5 s", "-1s", "+1s", "1e3s", ".5s", "5.s", "5S", "5sec", "5constructor", "Infinitys"]
  ) {
    assertThrows(() => parseDuration(text), UsageError, "is no duration");
  }
});

Deno.test("parseDuration: refuses what is longer than a timer can wait", () => {
  for (const text of ["25d", "600h", `${"9".repeat(400)}ms`]) {
    assertThrows(() => parseDuration(text), UsageError, "is longer than 24 days");
  }
});

Deno.test("parseSize: a whole number of bytes, in powers of 1000 or 1024", () => {
  const cases: [string, number][] = [
    ["0", 0],
    ["512", 512],
    ["512B", 512],
    ["1kB", 1000],
    ["1KiB", 1024],
    ["1.5MiB", 1_572_864],
    ["64kib", 65_536],
    ["2GB", 2_000_000_000],
  ];
  for (const [text, bytes] of cases) assertEquals(parseSize(text), bytes, text);
});

Deno.test("parseSize: decimal places are exact", () => {
  fc.assert(fc.property(fc.nat(), (bytes) => {
    assertEquals(parseSize(`${(bytes / 1e9).toFixed(9)}GB`), bytes);
    assertEquals(parseSize(`${(bytes / 1000).toFixed(3)}kB`), bytes);
  }));
});

Deno.test("parseSize: refuses what is no whole number of bytes, or too many of them", () => {
  for (const text of ["", "B", "1.5", "0.0001kB", "1 kB", "-1", "1e3", "1TB", "1constructor", `${"9".repeat(20)}`]) {
    assertThrows(() => parseSize(text), UsageError, "is no size");
  }
});

Deno.test("parsePercent: the share that a percentage is", () => {
  const cases: [string, number][] = [["0%", 0], ["2.5%", 0.025], ["100%", 1]];
  for (const [text, share] of cases) assertEquals(parsePercent(text), share);
  for (const text of ["", "%", "5", "0.5", "101%", "-1%", "1e1%", " 5%"]) {
    assertThrows(() => parsePercent(text), UsageError, "is no percentage");
  }
});

Deno.test("formatDuration: the largest unit that is exact enough", () => {
  const cases: [number, string][] = [
    [0, "0 ms"],
    [0.1234, "0.123 ms"],
    [250, "250 ms"],
    [1500, "1.5 s"],
    [300_000, "5 min"],
  ];
  for (const [ms, text] of cases) assertEquals(formatDuration(ms), text);
});
