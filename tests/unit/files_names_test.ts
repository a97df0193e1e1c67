import fc from "fast-check";
import { encodeText } from "../../lib/bytes.ts";
import { ProtocolError } from "../../lib/errors.ts";
import { foldName, MAX_NAME_LENGTH, safeName } from "../../lib/files/safe_name.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

Deno.test("safeName() takes what people call files", () => {
  const names = [
    "a",
    "photo.jpg",
    "two words.txt",
    "отчёт.doc",
    "报告.pdf",
    "it's.txt",
    "a=b",
    "console.log",
    "COM10",
    "x.con",
  ];
  for (const name of names) assertEquals(safeName(name), name);
});

Deno.test("safeName() gives the normal form C", () => {
  assertEquals(safeName("Zu\u0308rich.jpg"), "Zürich.jpg");
});

const REFUSED: [string, readonly string[]][] = [
  ["it is empty", [""]],
  ["it has one of", ["a/b", "/etc/passwd", "..\\x", "C:", "a*", "a?", 'a"b', "<a", "a>", "a|b", "../x", "a\\b"]],
  ["begins with", [".", "..", "...", ".hidden", "-rf", " a", ".a.0123456789abcdef.part"]],
  ["ends with", ["a.", "a ", "a.. "]],
  ["a device", ["CON", "con", "Con.txt", "nul", "PRN", "aux.tar.gz", "COM1", "com9.txt", "LPT1", "lpt¹", "COM0"]],
  ["controls", ["a\0", "a\nb", "a\x7f", "a\x85", "a\u202eb", "a\u200bb", "\ufeffa", "a\ud800", "a\tb", "a\u2028b"]],
  ["longer than 255", ["x".repeat(256), "ж".repeat(128), "\u1f82".repeat(86)]],
];

for (const [reason, names] of REFUSED) {
  Deno.test(`safeName() refuses a name: ${reason}`, () => {
    for (const name of names) assertThrows(() => safeName(name), ProtocolError, reason);
  });
}

Deno.test("safeName() takes 255 bytes, counted after normal form C", () => {
  for (const name of ["x".repeat(255), `${"ж".repeat(127)}x`]) assertEquals(safeName(name), name);
  assertEquals(safeName("e\u0301".repeat(127)), "é".repeat(127)); // 381 bytes before, 254 after
});

Deno.test("safeName() gives of any text one plain name of its folder, or a ProtocolError", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: "binary" }), fc.string({ unit: fc.constantFrom("a", ".", "/", "\\", " ") })),
      (text) => {
        let name;
        try {
          name = safeName(text);
        } catch (error) {
          assert(error instanceof ProtocolError, `${error}`);
          return;
        }
        assertEquals(new URL(encodeURIComponent(name), "file:///root/").pathname, `/root/${encodeURIComponent(name)}`);
        assert(!/[/\\\0]/.test(name) && !name.startsWith("."));
        assert(encodeText(name).length <= MAX_NAME_LENGTH);
        assertEquals(safeName(name), name);
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("foldName() makes equal what Windows and macOS cannot keep apart, and nothing else", () => {
  for (const [one, other] of [["A.TXT", "a.txt"], ["Straße", "STRASSE"], ["ΣΑΣ", "σας"], ["é", "E\u0301"]] as const) {
    assertEquals(foldName(one), foldName(other));
  }
  assert(foldName("a.txt") !== foldName("b.txt"));
});
