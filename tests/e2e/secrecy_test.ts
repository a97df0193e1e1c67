/**
 * "Check that the messages are really secret": every program that speaks inside the secure channel does what it does through
 * the wiretap, which sees nothing of it, and whose meddling delivers nothing wrong.
 * @module
 */
import { type Program, type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { testEach } from "../each.ts";
import { type Exchange, EXCHANGES } from "../exchanges.ts";
import { TestFolder } from "../folder.ts";
import { type Output, run, type RunOptions, startServer } from "../harness.ts";

/** What a wiretap is told, besides where to. */
type Meddling = readonly string[];

/** How one exchange through the wiretap went. */
interface Result {
  readonly client: Output;
  readonly server: Output;
  /** What passed the wiretap: a capture with the headers of its packets. */
  readonly seen: string;
}

function isSecure(path: ProgramPath): boolean {
  return path.endsWith("/secure_echo") || (PROGRAMS[path] as Program).secure !== undefined;
}

const SUBJECTS = EXCHANGES.filter(({ server, proxy }) => isSecure(server) && proxy === undefined)
  .map((exchange) => ({ ...exchange, path: exchange.client }));

/** How a program is told to be secure; `secure_echo` always is. */
const HOW = {
  secure: (path: ProgramPath) => path.endsWith("/secure_echo") ? [] : ["--secure"],
  server: ["--pattern", "XX", "--allow-any-client"],
  client: ["--pattern", "XX", "--trust", "accept-new"],
};

/** The texts of an exchange that nobody else is to see: what is sent, and names. */
function secrets({ clientArgs, operator = "" }: Exchange): string[] {
  const words = [...clientArgs, ...operator.split("\n")];
  return words.filter((word) => word.length > 4 && !/^[-/]/.test(word) && word !== "NNpsk0");
}

/** Drives an exchange through the wiretap, in the channel or in clear. */
async function drive(exchange: Exchange, { meddling = [], secure = true }: {
  meddling?: Meddling;
  secure?: boolean;
} = {}): Promise<Result> {
  await using folder = new TestFolder();
  const { server, client, serverArgs = [], clientArgs, operator, env = {} } = exchange;
  const options = (path: ProgramPath): RunOptions => ({
    env: { ...env, XDG_CONFIG_HOME: `${folder.path}/${path.replace("/", "_")}` },
    permissions: (secure ? (PROGRAMS[path] as Program).secure : undefined) ?? PROGRAMS[path].permissions,
  });
  const plain = (args: readonly string[]) => args.filter((arg) => arg !== "--pattern" && arg !== "NNpsk0");
  const told = (path: ProgramPath, args: readonly string[], how: readonly string[]) =>
    secure ? [...plain(args), ...HOW.secure(path), ...how] : [...args];

  await using listening = await startServer(server, told(server, serverArgs, HOW.server), options(server));
  if (operator !== undefined) await listening.type(operator);
  const capture = `${folder.path}/capture.pcap`;
  const tapArgs = ["--to", `127.0.0.1:${listening.port}`, "--save", capture, ...meddling];
  await using tap = await startServer("servers/wiretap", tapArgs, { permissions: ["-N", `-W=${folder.path}`] });
  const result = await run(
    client,
    ["127.0.0.1", `${tap.port}`, ...told(client, clientArgs, HOW.client)],
    options(client),
  );
  await tap.stop();
  const left = await listening.stop();
  assertEquals(left.code, 0, left.stderr);
  const seen = new TextDecoder("latin1").decode(await Deno.readFile(capture));
  return { client: result, server: left, seen };
}

testEach(SUBJECTS, "secrecy: what passes shows nothing of what is said", async (exchange) => {
  const { client, seen } = await drive(exchange);
  assertEquals([client.code, client.stdout], [0, exchange.stdout], client.stderr);
  assertStringIncludes(seen, "NPS1Noise_XX_25519_AESGCM_SHA256".replace("1N", "1\x1cN")); // the channel did pass
  for (const secret of [...secrets(exchange), exchange.stdout.trim()]) {
    assert(!seen.includes(secret), `${secret} is seen`);
  }
});

Deno.test("secrecy: nor of a file's name or contents", async () => {
  await using folder = new TestFolder();
  const [root, file] = [`${folder.path}/root`, await folder.write("plans.txt", "the plans of the meeting")];
  await Deno.mkdir(root);
  const put = { server: "servers/files", serverArgs: ["--root", root], client: "clients/files", stdout: "" } as const;
  const { client, seen } = await drive({ ...put, clientArgs: ["put", file] });
  assertEquals(client.code, 0, client.stderr);
  assertEquals(await Deno.readTextFile(`${root}/plans.txt`), "the plans of the meeting");
  assert(!seen.includes("plans"));
});

const OPTIONAL = SUBJECTS.filter(({ server }) => HOW.secure(server).length > 0);
testEach(OPTIONAL, "secrecy: in clear the wiretap does see it", async (exchange) => {
  const { seen } = await drive(exchange, { secure: false });
  for (const secret of secrets(exchange)) assertStringIncludes(seen, secret);
});

/** Where the first record of data begins in each direction: after the preamble and the handshake messages with their lengths,
 * downwards also after the record that confirms it. */
const DATA = { up: 33 + 34 + 66, down: 98 + 21 } as const;

testEach(SUBJECTS, "secrecy: a changed byte or a cut delivers nothing wrong", async (exchange) => {
  const whole = await drive(exchange);
  for (const direction of ["up", "down"] as const) {
    // In the first message; in what comes last before the data; in the data and in its tag.
    for (const at of [10, DATA[direction] - 5, DATA[direction] + 4, DATA[direction] + 20]) {
      for (const fault of ["--corrupt-at", "--cut-after"]) {
        const { client, server } = await drive(exchange, { meddling: ["--direction", direction, fault, `${at}`] });
        const where = `${fault} ${at} ${direction}`;
        assert(client.code !== 0, where);
        assert(exchange.stdout.startsWith(client.stdout), `${where}: ${client.stdout}`);
        assert(printed(whole).startsWith(printed({ server })), `${where}: ${server.stdout}`);
      }
    }
  }
});

/** What the server printed of its clients' words, without who they are. */
function printed({ server }: Pick<Result, "server">): string {
  return server.stdout.split("\n").slice(1).map((line) => line.replace(/^\S+ /, "")).join("\n");
}
