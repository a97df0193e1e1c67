/**
 * "Check that the messages are really secret": every program that speaks inside the secure channel does what it does through
 * the wiretap, which sees nothing of it, and through somebody who meddles, which delivers nothing wrong.
 * @module
 */
import { encodeText } from "../../lib/bytes.ts";
import { portableBackend } from "../../lib/ciphers_portable.ts";
import { TruncatedError } from "../../lib/errors.ts";
import { isNetworkError } from "../../lib/net/failure.ts";
import { type ClientSecurity, connectSecure } from "../../lib/net/secure.ts";
import { TcpConnection } from "../../lib/net/tcp.ts";
import { x25519 } from "../../lib/noise_primitives.ts";
import { type Program, programName, type ProgramPath, PROGRAMS } from "../../lib/programs.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import { testEach } from "../each.ts";
import { type Exchange, EXCHANGES } from "../exchanges.ts";
import { TestFolder } from "../folder.ts";
import { inTime, type Output, run, type RunOptions, startServer } from "../harness.ts";
import { Meddler, MEDDLINGS, type Side } from "./meddler.ts";

/** Who stands between a client and its server. */
interface Between extends AsyncDisposable {
  readonly port: number;
}

/** How one exchange with somebody on the way went. */
interface Result {
  readonly client: Output;
  readonly server: Output;
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

/** Drives an exchange with somebody on the way to the server's port, in the channel or in clear. */
async function drive(
  exchange: Exchange,
  between: (port: number) => Between | Promise<Between>,
  { secure = true } = {},
): Promise<Result> {
  await using folder = new TestFolder();
  const { server, client, serverArgs = [], clientArgs, operator, env = {} } = exchange;
  const options = (path: ProgramPath): RunOptions => ({
    env: { ...env, XDG_CONFIG_HOME: `${folder.path}/${path.replace("/", "_")}` },
    permissions: (secure ? (PROGRAMS[path] as Program).secure : undefined) ?? PROGRAMS[path].permissions,
  });
  const plain = (args: readonly string[]) => args.filter((arg) => arg !== "--pattern" && arg !== "NNpsk0");
  const told = (path: ProgramPath, args: readonly string[], how: readonly string[]) =>
    secure ? [...plain(args), ...HOW.secure(path), ...how] : [...args];

  const args = serverArgs.map((arg) => arg === "." ? folder.path : arg); // a root of its own
  await using listening = await startServer(server, told(server, args, HOW.server), options(server));
  if (operator !== undefined) await listening.type(operator);
  let result: Output;
  {
    await using way = await between(listening.port);
    result = await run(client, ["127.0.0.1", `${way.port}`, ...told(client, clientArgs, HOW.client)], options(client));
  }
  const left = await listening.stop();
  assertEquals(left.code, 0, left.stderr);
  return { client: result, server: left };
}

/** The same through the wiretap; also what passed it, as a capture with the headers of its packets. */
async function tap(exchange: Exchange, how?: { secure: boolean }): Promise<Result & { seen: string }> {
  await using folder = new TestFolder();
  const capture = `${folder.path}/capture.pcap`;
  const between = (port: number) => {
    const args = ["--to", `127.0.0.1:${port}`, "--save", capture];
    return startServer("servers/wiretap", args, { permissions: ["-N", `-W=${folder.path}`] });
  };
  const result = await drive(exchange, between, how);
  return { ...result, seen: new TextDecoder("latin1").decode(await Deno.readFile(capture)) };
}

testEach(SUBJECTS, "secrecy: what passes shows nothing of what is said", async (exchange) => {
  const { client, seen } = await tap(exchange);
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
  const { client, seen } = await tap({ ...put, clientArgs: ["put", file] });
  assertEquals(client.code, 0, client.stderr);
  assertEquals(await Deno.readTextFile(`${root}/plans.txt`), "the plans of the meeting");
  assert(!seen.includes("plans"));
});

const OPTIONAL = SUBJECTS.filter(({ server }) => HOW.secure(server).length > 0);
testEach(OPTIONAL, "secrecy: in clear the wiretap does see it", async (exchange) => {
  const { seen } = await tap(exchange, { secure: false });
  for (const secret of secrets(exchange)) assertStringIncludes(seen, secret);
});

testEach(
  SUBJECTS,
  "secrecy: whatever is done to any message, nothing wrong is delivered, and what is missing is noticed",
  async (exchange) => {
    let onlooker!: Meddler;
    const undisturbed = await drive(exchange, (port) => onlooker = new Meddler(port));
    assertEquals([undisturbed.client.code, undisturbed.client.stdout], [0, exchange.stdout]);
    const [words = ""] = heard(undisturbed.server);
    await Promise.all((Object.entries(onlooker.counts) as [Side, number][]).map(async ([side, count]) => {
      assert(count >= 4, `${count} messages of the ${side}`); // of the handshake, of data, the close record
      for (let number = 0; number < count; number++) {
        for (const how of MEDDLINGS) {
          const between = (port: number) => new Meddler(port, { side, number, how });
          const { client, server } = await drive(exchange, between);
          const result = `the ${side}'s message ${number}: ${how}: ${JSON.stringify({ client, server })}`;
          assert(exchange.stdout.startsWith(client.stdout), result);
          for (const part of heard(server)) assert(words.startsWith(part), result);
          const isWhole = client.stdout === exchange.stdout && (heard(server).at(-1) ?? "") === words;
          assert(isWhole || client.code !== 0 || server.stderr.includes("closed: Cannot"), result);
        }
      }
    }));
  },
);

/** What a server printed of its clients' words, connection by connection. */
function heard({ stdout }: Output): string[] {
  const byPeer = new Map<string, string>();
  for (const line of stdout.split("\n").slice(1)) {
    const [peer, ...words] = line.split(" ");
    byPeer.set(peer!, `${byPeer.get(peer!) ?? ""}${words.join(" ")}\n`);
  }
  return [...byPeer.values()];
}

testEach(
  SUBJECTS,
  "secrecy: a record with any of its bits changed is not heard",
  async ({ server: path, operator, env }) => {
    await using folder = new TestFolder();
    const options = {
      env: { ...env, XDG_CONFIG_HOME: folder.path },
      permissions: (PROGRAMS[path] as Program).secure ?? PROGRAMS[path].permissions,
    };
    const folderArgs = path === "servers/files" ? ["--root", folder.path] : [];
    await using server = await startServer(path, [...folderArgs, ...HOW.secure(path), ...HOW.server], options);
    if (operator !== undefined) await server.type(operator);
    const security: ClientSecurity = {
      backend: portableBackend,
      padding: "none",
      maxSession: 0,
      protocol: "Noise_XX_25519_AESGCM_SHA256",
      identity: x25519.generate(),
      verify: () => Promise.resolve(undefined),
    };
    const application = `${programName(path).replace("secure_", "")}/1`;

    /** Says a line, or what becomes of it when bit number `bit` of its record is inverted; resolves to all that comes back. */
    async function say(text: string, bit?: number): Promise<string> {
      const plain = new TcpConnection(await server.connect());
      const client = await connectSecure(plain, security, { application });
      const write = plain.write.bind(plain);
      plain.write = (record) => {
        if (bit !== undefined) record[bit >> 3]! ^= 1 << (bit & 7);
        return write(record);
      };
      await client.write(encodeText(text));
      await client.flush();
      if (bit === undefined) await client.closeWrite();
      else if (bit < 16) await plain.closeWrite(); // the length: the server would wait for the rest
      const received: number[] = [];
      const buffer = new Uint8Array(1000);
      try {
        for (let count; (count = await client.read(buffer)) !== null;) received.push(...buffer.subarray(0, count));
      } catch (error) {
        if (!(error instanceof TruncatedError || isNetworkError(error))) throw error;
      }
      return new TextDecoder().decode(Uint8Array.from(received));
    }

    const text = path === "servers/jim" ? '{"action":"presence","user":{"account_name":"eve"}}\n' : "ECHO hello\n";
    const greeting = await say("");
    assert((await say(text)).length > greeting.length); // this one is heard
    for (let bit = 0; bit < 8 * (5 + text.length + 16); bit++) {
      assert(greeting.startsWith(await inTime(say(text, bit), "the server to end the connection")), `bit ${bit}`);
    }
    const left = await server.stop();
    assertEquals(left.code, 0, left.stderr);
    assertEquals(heard(left), path === "servers/jim" ? [] : [text]); // jim prints nothing of what it hears
  },
);
