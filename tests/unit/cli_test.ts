import { ProtocolError, UsageError } from "../../lib/errors.ts";
import {
  type CommandLine,
  explain,
  flag,
  helpText,
  host,
  integer,
  list,
  oneOf,
  option,
  type OptionTable,
  parseCommandLine,
  rest,
  suspect,
  text,
} from "../../lib/net/cli.ts";
import { AttemptError } from "../../lib/net/failure.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";

const COMMAND_LINE = {
  path: "clients/tcp_echo",
  options: {
    message: list({ short: "m", value: "TEXT", parse: text, help: "send this" }),
    maxFrame: option({ short: "f", value: "SIZE", parse: integer(0, 99), default: "7", help: "the largest" }),
    endian: option({ value: "ORDER", parse: oneOf("big", "little"), help: "the order of bytes" }),
    quiet: flag({ short: "q", help: "say less" }),
    verbose: flag({ short: "v", help: "say more" }),
  },
  positionals: { host: option({ value: "HOST", parse: text, default: "127.0.0.1", help: "where" }) },
} as const;
const ABSENT = {
  message: [] as string[],
  maxFrame: 7,
  endian: undefined as string | undefined,
  quiet: false,
  verbose: false,
  debug: false,
  help: false,
  version: false,
  host: "127.0.0.1",
};

Deno.test("parseCommandLine: the values of what is given, the defaults of what is not", () => {
  const cases: [string[], Partial<typeof ABSENT>][] = [
    [[], {}],
    [["::1"], { host: "::1" }],
    [["-f", "5"], { maxFrame: 5 }],
    [["--max-frame", "5"], { maxFrame: 5 }],
    [["--max-frame=5"], { maxFrame: 5 }],
    [["-f5"], { maxFrame: 5 }],
    [["-f=5"], { maxFrame: 5 }],
    [["-qf", "5"], { quiet: true, maxFrame: 5 }],
    [["-qf5"], { quiet: true, maxFrame: 5 }],
    [["-qf=5"], { quiet: true, maxFrame: 5 }],
    [["-qv"], { quiet: true, verbose: true }],
    [["-q", "-q"], { quiet: true }],
    [["--endian", "little", "-h", "-V", "--debug"], { endian: "little", help: true, version: true, debug: true }],
  ];
  for (const [args, given] of cases) assertEquals(parseCommandLine(args, COMMAND_LINE), { ...ABSENT, ...given });
});

Deno.test("parseCommandLine: a text reaches the program as it was written", () => {
  for (const text of ["", " ", "-", "true", "false", "007", "1e3", "0x10", "a=b", "x5", "a\nb", "=", "wörld"]) {
    const expected = { ...ABSENT, message: [text] };
    assertEquals(parseCommandLine(["-m", text], COMMAND_LINE), expected);
    assertEquals(parseCommandLine(["--message", text], COMMAND_LINE), expected);
    assertEquals(parseCommandLine([`--message=${text}`], COMMAND_LINE), expected);
    assertEquals(parseCommandLine([`-m=${text}`], COMMAND_LINE), expected);
    assertEquals(parseCommandLine([text], COMMAND_LINE), { ...ABSENT, host: text });
  }
  for (const text of ["-x", "--", "--quiet", "-5"]) {
    assertEquals(parseCommandLine([`-m=${text}`], COMMAND_LINE), { ...ABSENT, message: [text] });
    assertEquals(parseCommandLine([`--message=${text}`], COMMAND_LINE), { ...ABSENT, message: [text] });
  }
  assertEquals(parseCommandLine(["-mfoo=bar"], COMMAND_LINE).message, ["foo=bar"]);
  assertEquals(parseCommandLine(["-mq"], COMMAND_LINE), { ...ABSENT, message: ["q"] });
});

Deno.test("parseCommandLine: a list keeps the order of its values", () => {
  assertEquals(parseCommandLine(["-m", "a", "--message", "", "-mb"], COMMAND_LINE).message, ["a", "", "b"]);
});

Deno.test("parseCommandLine: a flag takes no word that follows it", () => {
  assertEquals(parseCommandLine(["--quiet", "false"], COMMAND_LINE), { ...ABSENT, quiet: true, host: "false" });
  assertEquals(parseCommandLine(["-q", "true"], COMMAND_LINE), { ...ABSENT, quiet: true, host: "true" });
});

Deno.test("parseCommandLine: after -- everything is an argument", () => {
  assertEquals(parseCommandLine(["-q", "--", "-m"], COMMAND_LINE), { ...ABSENT, quiet: true, host: "-m" });
  assertEquals(parseCommandLine(["--"], COMMAND_LINE), ABSENT);
  assertEquals(parseCommandLine(["--", "--"], COMMAND_LINE), { ...ABSENT, host: "--" });
});

Deno.test("parseCommandLine: refuses what it does not understand and says why", () => {
  const cases: [string[], string][] = [
    [["--nope"], "unknown option --nope"],
    [["--nope=1"], "unknown option --nope"],
    [["-x"], "unknown option -x"],
    [["-qx"], "unknown option -x"],
    [["-5"], "unknown option -5"],
    [["--no-quiet"], "unknown option --no-quiet"],
    [["--no-max-frame=5"], "unknown option --no-max-frame"],
    [["--maxFrame", "5"], "unknown option --maxFrame"],
    [["--Quiet"], "unknown option --Quiet"],
    [["-undefined"], "unknown option -u"],
    [["--__proto__"], "unknown option --__proto__"],
    [["--__proto__=1"], "unknown option --__proto__"],
    [["--constructor"], "unknown option --constructor"],
    [["--message.x=1"], "unknown option --message.x"],
    [["---"], "unknown option ---"],
    [["--=1"], "unknown option --"],
    [["--quiet=false"], "--quiet takes no value"],
    [["-q=1"], "-q takes no value"],
    [["-q-"], "-q takes no value"],
    [["-m"], "-m needs a value: -m TEXT"],
    [["-qm"], "-m needs a value: -m TEXT"],
    [["--message"], "--message needs a value: --message TEXT"],
    [["-m", "-x"], "-m needs a value: -m TEXT"],
    [["--message", "--"], "--message needs a value: --message TEXT"],
    [["--max-frame="], '--max-frame: "" is no whole number from 0 to 99'],
    [["-f", "1.5"], '--max-frame: "1.5" is no whole number from 0 to 99'],
    [["-f", "100"], '--max-frame: "100" is no whole number from 0 to 99'],
    [["-f=-1"], '--max-frame: "-1" is no whole number from 0 to 99'],
    [["--endian", "middle"], '--endian: "middle" is not one of big, little'],
    [["-f", "1", "--max-frame", "1"], "--max-frame is given 2 times: once is what it takes"],
    [["here", "there"], 'unexpected argument "there"'],
  ];
  for (const [args, message] of cases) {
    const error = assertThrows(() => parseCommandLine(args, COMMAND_LINE), UsageError);
    assertEquals(error.message, message, JSON.stringify(args));
  }
});

Deno.test("parseCommandLine: tells how to give a value that begins with a dash", () => {
  const error = assertThrows(() => parseCommandLine(["-m", "-x"], COMMAND_LINE), UsageError);
  assertEquals(error.hint, "a value that begins with a dash: -m=-x");
});

Deno.test("parseCommandLine: tells whoever takes a client for a server, or a server for a client", () => {
  const hintOf = (args: string[], commandLine: CommandLine<OptionTable, OptionTable>) =>
    assertThrows(() => parseCommandLine(args, commandLine), UsageError).hint;
  assertEquals(hintOf(["--host", "here"], COMMAND_LINE), "without a name: [HOST]");
  assertEquals(hintOf(["--hos", "here"], COMMAND_LINE), undefined);
  const place = { ...COMMAND_LINE, positionals: { port: COMMAND_LINE.positionals.host } };
  assertEquals(hintOf(["-p", "9001"], place), "without a name: [HOST]");
  const port = option({ value: "N", parse: text, help: "where" });
  const server = { ...COMMAND_LINE, options: { ...COMMAND_LINE.options, port } };
  assertEquals(hintOf(["here", "9001"], server), "a port: --port 9001");
  assertEquals(hintOf(["here", "there"], server), undefined);
  assertEquals(hintOf(["here", "9001"], COMMAND_LINE), undefined);
});

Deno.test("helpText: lists every argument and option with its default, and ends with an example", () => {
  assertEquals(
    helpText(COMMAND_LINE),
    `\
tcp_echo: sends messages and prints what comes back

usage: deno run -N clients/tcp_echo.ts [HOST] [OPTIONS]
  HOST                  where (default: 127.0.0.1)

options:
  -m, --message TEXT    send this (may be repeated)
  -f, --max-frame SIZE  the largest (default: 7)
      --endian ORDER    the order of bytes
  -q, --quiet           say less
  -v, --verbose         say more
      --debug           show the stack trace of an error
  -h, --help            show this help
  -V, --version         show the version

example: deno run -N clients/tcp_echo.ts -m hello`,
  );
});

Deno.test("explain: wrong usage is 2 and points to the help; everything else is 1", () => {
  const path = "servers/tcp_echo";
  assertEquals(explain(new UsageError("unknown option -x"), path), {
    line: "unknown option -x",
    hint: "see deno run -N servers/tcp_echo.ts --help",
    exitCode: 2,
  });
  assertEquals(explain(new UsageError("no", { hint: "yes" }), path).hint, "yes");
  assertEquals(explain(new ProtocolError("Cannot read: it is over"), path), {
    line: "Cannot read: it is over",
    hint: undefined,
    exitCode: 1,
  });
});

Deno.test("parseCommandLine: the last positional may take all that is left", () => {
  const upper = (given: string) => {
    if (given === "no") throw new UsageError("it is no");
    return given.toUpperCase();
  };
  const commandLine = {
    path: "clients/tcp_echo",
    options: { quiet: flag({ help: "say less" }) },
    positionals: {
      host: option({ value: "HOST", parse: text, help: "where" }),
      words: rest({ value: "WORD...", parse: upper, help: "what" }),
    },
  } as const;
  const read = (...args: string[]) => {
    const { host, words, quiet } = parseCommandLine(args, commandLine);
    return [host, words, quiet];
  };
  assertEquals(read(), [undefined, [], false]);
  assertEquals(read("a"), ["a", [], false]);
  assertEquals(read("a", "b", "--quiet", "c", "d"), ["a", ["B", "C", "D"], true]);
  assertEquals(read("a", "--", "b", "--quiet", ""), ["a", ["B", "--QUIET", ""], false]);
  assertThrows(() => read("a", "b", "no"), UsageError, "WORD...: it is no");
  assertStringIncludes(helpText(commandLine), "[HOST] [WORD...] [OPTIONS]");
});

Deno.test("explain: a failed attempt says what was tried, what happened and what to do, without the system's decoration", () => {
  const refused = new Deno.errors.ConnectionRefused("Connection refused (os error 111)");
  assertEquals(explain(new AttemptError("connect to [::1]:9001", refused, "is it running?"), "clients/tcp_echo"), {
    line: "connect to [::1]:9001: connection refused",
    hint: "is it running?",
    exitCode: 1,
  });
});

Deno.test("explain: a name that is not known may be a text in the place of HOST", () => {
  const unknown = new Error("failed to lookup address information: Name or service not known");
  const failed = new AttemptError("connect to hello:9001", unknown);
  assertEquals(explain(failed, "clients/tcp_echo").hint, "HOST comes first; a text to send: -m TEXT");
  assertEquals(explain(failed, "servers/tcp_echo").hint, undefined);
});

Deno.test("explain: a missing permission is one line and names the command that has it", () => {
  const denied = new Deno.errors.NotCapable('Requires net access to "a", run again\nwith the --allow-net flag');
  const { line, hint } = explain(new AttemptError("listen on a", denied), "servers/tcp_echo");
  assert(!line.includes("\n"));
  assertStringIncludes(line, "--allow-net");
  assertEquals(hint, "try: deno run -N servers/tcp_echo.ts");
});

Deno.test("explain: what is suspected is the hint of the next error that has none, once", () => {
  const hintOf = (error: unknown) => explain(error, "clients/chat").hint;
  suspect("is it raining?");
  assertEquals(hintOf(new AttemptError("go out", new Error("no"), "take a coat")), "take a coat");
  suspect("is it raining?");
  assertEquals([1, 2].map(() => hintOf(new ProtocolError("it is wet"))), ["is it raining?", undefined]);
  suspect("is it raining?");
  suspect(undefined);
  assertEquals(hintOf(new ProtocolError("it is wet")), undefined);
});

Deno.test("host: an address without its port", () => {
  for (const given of ["127.0.0.1", "example.org", "localhost", "::1", "fe80::1%eth0", "::ffff:127.0.0.1"]) {
    assertEquals(host(given), given);
  }
  assertEquals(host("[::1]"), "::1");
  for (
    const given of [
      "",
      "[]",
      "127.0.0.1:9001",
      "example.org:80",
      "localhost:",
      "[::1]:9001",
      "9001",
      "http://[::1]/",
      " a",
    ]
  ) {
    assertThrows(() => host(given), UsageError, `${JSON.stringify(given)} is no address: write 127.0.0.1, `);
  }
});
