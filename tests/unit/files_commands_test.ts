import fc from "fast-check";
import { ProtocolError } from "../../lib/errors.ts";
import {
  type Command,
  CommandError,
  CONTROL,
  formatCommand,
  parseCommand,
  SYNTAX,
  type Verb,
} from "../../lib/files/commands.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";

const HEX = "0123456789abcdef".repeat(4);

const names = fc.string({ unit: "grapheme" }).filter((text) => !CONTROL.test(text));
const counts = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const digests = fc.stringMatching(/^[0-9a-f]{64}$/);
const tokens = fc.stringMatching(/^[\w-]{1,64}$/);
const yes = fc.constant(true as const);
const record = <T extends Record<string, fc.Arbitrary<unknown>>>(
  required: T,
  optional: Record<string, fc.Arbitrary<unknown>> = {},
) => fc.record({ ...required, ...optional }, { requiredKeys: Object.keys(required) });
const verb = <V extends Verb>(name: V) => fc.constant(name);

const commands = fc.oneof(
  record({ verb: verb("ECHO"), text: names }),
  record({ verb: fc.constantFrom<Verb>("TIME", "NOOP", "CLOSE") }),
  record({ verb: verb("HELP") }, { topic: fc.constantFrom(...Object.keys(SYNTAX)) }),
  record({ verb: verb("LIST") }, { partial: yes }),
  record({ verb: verb("STAT"), name: names }, { size: counts, sha256: digests, token: tokens, nohash: yes }),
  record({ verb: verb("HASH"), name: names, offset: counts }),
  record({ verb: verb("UPLOAD"), name: names, size: counts, offset: fc.constant(0) }, {
    sha256: fc.oneof(fc.constant("AFTER"), digests),
    prefix: digests,
    token: tokens,
    overwrite: yes,
    wait: yes,
    quiet: yes,
  }),
  record({ verb: verb("UPLOAD"), name: names, size: counts }, { token: tokens, nohash: yes }),
  record({ verb: verb("DOWNLOAD"), name: names, offset: counts }, {
    length: counts,
    prefix: digests,
    raw: yes,
    nohash: yes,
  }),
  record({ verb: verb("ABORT"), name: names }, { size: counts, token: tokens }),
) as fc.Arbitrary<Command>;

Deno.test("formatCommand(), then parseCommand(), gives the same command", () => {
  fc.assert(fc.property(commands, (command) => {
    const line = formatCommand(command);
    if (!line.includes("\n")) assertEquals(parseCommand(line), command);
  }));
});

Deno.test("formatCommand() makes no second command of what follows an LF in a name or a text", () => {
  for (const text of ["a\nTIME", "a\r\nTIME", "a\0", "ab\x7f", "\x9b5m"]) {
    assertThrows(() => formatCommand({ verb: "STAT", name: text }), ProtocolError, "it has control characters");
    assertThrows(() => formatCommand({ verb: "ECHO", text }), ProtocolError, "it has control characters");
  }
});

Deno.test("parseCommand(), then formatCommand(), gives the same line", () => {
  const lines = [
    "ECHO  two  spaces ",
    "UPLOAD a 5",
    `UPLOAD "a b" 9007199254740991 5 SHA256=${HEX} PREFIX=${HEX} TOKEN=t-_1 OVERWRITE WAIT QUIET`,
    'UPLOAD "say \\"hi\\" \\\\" 0 SHA256=AFTER',
    `DOWNLOAD a 1 2 PREFIX=${HEX} RAW NOHASH`,
    `STAT a 5 SHA256=${HEX} TOKEN=t NOHASH`,
    'HASH "" 0',
    "ABORT a",
    "LIST PARTIAL",
    "HELP UPLOAD",
  ];
  for (const line of lines) assertEquals(formatCommand(parseCommand(line)), line);
});

Deno.test("parseCommand(): verbs, keys and words in any case, spaces and tabs in any number, options in any order", () => {
  const expected = { verb: "UPLOAD", name: "a", size: 5, sha256: HEX, wait: true, quiet: true };
  for (
    const line of [`UPLOAD a 5 SHA256=${HEX} WAIT QUIET`, ` upload\ta  5 quiet  Wait sha256=${HEX.toUpperCase()} \t`]
  ) {
    assertEquals({ ...parseCommand(line) }, expected as Command);
  }
});

Deno.test("parseCommand(): PING is NOOP, EXIT and QUIT are CLOSE", () => {
  for (const [word, verb] of [["ping", "NOOP"], ["Exit", "CLOSE"], ["QUIT", "CLOSE"]] as const) {
    assertEquals(parseCommand(word), { verb });
  }
});

Deno.test("parseCommand(): ECHO keeps what follows it, byte for byte", () => {
  for (
    const [line, text] of [["ECHO", ""], ["echo ", ""], ["ECHO  a ", " a "], ['ECHO "a" \\', '"a" \\'], [
      "echo\tx",
      "x",
    ]] as const
  ) {
    assertEquals(parseCommand(line), { verb: "ECHO", text });
  }
});

Deno.test("parseCommand(): what stands in the place of a name is one, whatever it looks like", () => {
  for (const name of ["WAIT", "SHA256=1", "-5", "5"]) {
    assertEquals(parseCommand(`STAT ${name}`), { verb: "STAT", name });
  }
  assertEquals(parseCommand('STAT "RAW" 5'), { verb: "STAT", name: "RAW", size: 5 });
});

const NUMBERS = ["-5", "1e9", "0x10", "+1", "1.5", "12345678901234567", "9007199254740992", "١", "", "NaN", "5,"];

Deno.test("parseCommand() takes whole numbers up to 2^53 - 1 and nothing else: 501", () => {
  assertEquals(parseCommand("HASH a 9007199254740991"), { verb: "HASH", name: "a", offset: Number.MAX_SAFE_INTEGER });
  for (const number of NUMBERS) assertRefused(`HASH a "${number}"`, 501, "offset must be a whole number");
});

Deno.test("parseCommand(): whatever is wrong in UPLOAD, a body of unknown length follows it", () => {
  const lines = [
    "UPLOAD",
    "UPLOAD a",
    "UPLOAD a x",
    "UPLOAD a 5 6",
    "UPLOAD a 5 NOPE",
    'UPLOAD "a 5',
    "UPLOAD a 5 NOHASH SHA256=AFTER",
  ];
  for (const line of lines) assertEquals(assertRefused(line, 501).bodyFollows, true, line);
});

Deno.test("parseCommand() refuses what it does not know, never ignores it: 500 and 501", () => {
  for (const line of ["", " ", "FOO", "ECHOx", "UPLOADS a 5", "toString", "__proto__", "220 x"]) {
    assertRefused(line, 500);
  }
  const wrong = [
    "TIME now",
    "QUIT 1",
    "LIST all",
    "HELP me",
    "STAT",
    "STAT a b",
    "STAT a 5 6",
    "STAT a WAIT",
    "STAT a 5 SHA256=AFTER",
    `STAT a SHA256=${HEX}0`,
    "STAT a TOKEN=",
    `STAT a TOKEN=${"t".repeat(65)}`,
    "STAT a TOKEN=a.b",
    "HASH a",
    'STAT "a',
    'STAT "a"b',
    "DOWNLOAD a RAW RAW",
    "DOWNLOAD a 1 2 3",
    "STAT a 5 toString=1",
    "DOWNLOAD a constructor",
    "STAT a TOKEN=x TOKEN=y",
    'STAT "a\\b"',
  ]; // deno-fmt-ignore
  for (const line of wrong) assertEquals(assertRefused(line, 501).bodyFollows, false, line);
});

function assertRefused(line: string, code: number, message = ""): CommandError {
  const error = assertThrows(() => parseCommand(line), CommandError, message);
  assertEquals(error.code as number, code, line);
  return error;
}

Deno.test("parseCommand() makes of any line a command or a CommandError", () => {
  const lines = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.tuple(
      fc.constantFrom(...Object.keys(SYNTAX)),
      fc.array(
        fc.oneof(fc.constantFrom("a", "5", "WAIT", "SHA256=AFTER", "RAW", '"', '"a b"', "TOKEN=t"), fc.string()),
      ),
    ).map(([verb, words]) => [verb, ...words].join(" ")),
  );
  fc.assert(fc.property(lines, (line) => {
    try {
      const command = parseCommand(line);
      assertEquals(parseCommand(formatCommand(command)), command);
    } catch (error) {
      assert(error instanceof CommandError, `${error}`);
    }
  }));
});
