import { encodeText } from "../../lib/bytes.ts";
import { Log, type LogOptions, SCREEN_LIMIT } from "../../lib/net/log.ts";
import { assertEquals, assertMatch } from "../assert.ts";

/** What `use` makes a log write to one of the two streams of output. */
function written(stream: "log" | "error", options: LogOptions, use: (log: Log) => void): string[] {
  const lines: string[] = [];
  const original = console[stream];
  console[stream] = (line: string) => lines.push(line);
  try {
    use(new Log("tcp_echo", options));
  } finally {
    console[stream] = original;
  }
  return lines;
}

Deno.test("Log: names the program and the peer; debug needs --verbose, info no --quiet", () => {
  const writeAll = (log: Log) => {
    for (const level of ["debug", "info", "warn", "error"] as const) log.write(level, level, "127.0.0.1:5");
  };
  const lines = (...levels: string[]) => levels.map((level) => `tcp_echo: 127.0.0.1:5: ${level}`);
  assertEquals(written("error", {}, writeAll), lines("info", "warn", "error"));
  assertEquals(written("error", { quiet: true }, writeAll), lines("warn", "error"));
  assertEquals(written("error", { verbose: true }, writeAll), lines("debug", "info", "warn", "error"));
  assertEquals(written("error", {}, (log) => log.write("info", "up")), ["tcp_echo: up"]);
});

Deno.test("Log: one event is one line, whatever a peer has put into it", () => {
  const message = "closed: bad name a\nroot: \x1b[2J\x9b2J\u202egone";
  const forge = (log: Log) => log.write("warn", message);
  assertEquals(written("error", {}, forge), [
    "tcp_echo: closed: bad name a\\nroot: \\x1b[2J\\x9b2J\\u202egone",
  ]);
  const [line] = written("error", { logFormat: "json" }, forge);
  assertMatch(line!, /^[\x20-\x7e]+$/);
  const { time: _, ...entry } = JSON.parse(line!);
  assertEquals(entry, { level: "warn", program: "tcp_echo", message });
});

/** What the screen shows for messages of one peer. */
function shown(...messages: (string | number[])[]): string[] {
  return written("log", {}, (log) => {
    const screen = log.screen("peer");
    for (const message of messages) {
      screen(typeof message === "string" ? encodeText(message) : Uint8Array.from(message));
    }
  });
}

Deno.test("Log.screen: one line a message, without its own line end, controls and invalid bytes escaped", () => {
  const cases: [string | number[], string][] = [
    ["hello", "peer hello"],
    ["hello\r\n", "peer hello"],
    ["", "peer "],
    ["\n", "peer "],
    ["a\nb\n\n", "peer a\\nb\\n"],
    ["100 %s %%", "peer 100 %s %%"],
    ["\x1b[31m\u202e", "peer \\x1b[31m\\u202e"],
    [[0x61, 0xff, 0x0a], "peer a\\xff"],
  ];
  for (const [message, line] of cases) assertEquals(shown(message), [line]);
});

Deno.test("Log.screen: a character that two messages share shows with the second", () => {
  assertEquals(shown([0x61, 0xd0], [0xb9, 0x62]), ["peer a", "peer йb"]);
  assertEquals(shown([0xd0], [0xb9]), ["peer й"]);
});

Deno.test("Log.screen: a long message is cut and counted; the next one is whole", () => {
  const long = "x".repeat(SCREEN_LIMIT + 1);
  assertEquals(shown(long, "next"), [`peer ${"x".repeat(SCREEN_LIMIT)}… (${SCREEN_LIMIT + 1} bytes)`, "peer next"]);
});

Deno.test("Log.screen: a long message is not cut within a character", () => {
  const start = "x".repeat(SCREEN_LIMIT - 1);
  assertEquals(shown(`${start}й`, "next"), [`peer ${start}… (${SCREEN_LIMIT + 1} bytes)`, "peer next"]);
});

Deno.test("Log.screen: shows nothing with --quiet", () => {
  assertEquals(written("log", { quiet: true }, (log) => log.screen("peer")(encodeText("hello"))), []);
});

Deno.test("Log: a full disk under the screen is a line in the log; under the log it is nothing", () => {
  const original = console.log;
  console.log = () => {
    throw new Error("No space left on device (os error 28)");
  };
  try {
    const lines = written("error", {}, (log) => log.screen("peer")(encodeText("hello")));
    assertEquals(lines, ["tcp_echo: write to stdout: no space left on device"]);
    const { error } = console;
    console.error = console.log;
    new Log("tcp_echo").write("error", "nobody reads this");
    console.error = error;
  } finally {
    console.log = original;
  }
});
