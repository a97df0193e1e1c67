#!/usr/bin/env -S deno run -N -R -W --allow-run
/**
 * The tour: starts every server on a free port, drives every client against it and prints what happens. Each line that it
 * shows is checked; it ends with exit code 1 at the first that differs.
 *
 * Run: `deno task demo`.
 * @module
 */
import { equals } from "@std/bytes";
import { EXIT, stopSignal } from "../lib/net/cli.ts";
import { type ProgramPath, runCommand } from "../lib/programs.ts";
import { printable } from "../lib/text.ts";
import { type Output, run, type RunningProgram, type RunningServer, start, startServer } from "../tests/harness.ts";

/** What a program is to say: these lines, each exactly or by a pattern where ports and times differ from run to run, or
 * all of it by one pattern. */
type Expected = readonly (string | RegExp)[] | RegExp;
/** Variables of a program's environment. */
type Env = Record<string, string>;

const PSK = { NETLAB_PSK: "pOWmtdvYxO2Ul3y0vLfSm2zCQbFVvqCdKkJb6m0m3hM=" };
const SECRET = { NETLAB_SECRET: "correct horse battery staple" };

/** Ctrl-C or SIGTERM ends the tour where it would go on: what was started is ended, and what was written removed. */
const stop = stopSignal();

/** Prints a line of comment. */
function say(text: string): void {
  console.log(`  # ${text}`);
}

/** Prints what a program said, and checks it. */
function show(text: string, expected: Expected): void {
  stop.throwIfAborted();
  const lines = text.trimEnd().split("\n");
  for (const line of lines) console.log(`  ${printable(line)}`);
  const fits = expected instanceof RegExp ? expected.test(text) : lines.length === expected.length &&
    expected.every((want, i) => typeof want === "string" ? want === lines[i] : want.test(lines[i]!));
  if (!fits) throw new Error(`expected instead:\n  ${[expected].flat().join("\n  ")}`);
}

/** An argument as one would type it. */
function quote(arg: string): string {
  return /^[\w.,:%/-]+$/.test(arg) ? arg : `'${printable(arg)}'`;
}

/** Starts a server for as long as `act` takes, and shows how. */
async function serve(
  path: ProgramPath,
  args: readonly string[],
  act: (server: RunningServer) => Promise<void>,
  env: Env = {},
): Promise<RunningServer> {
  await using server = await startServer(path, args, { env });
  console.log(`  $ ${[runCommand(path), "--port 0", ...args].join(" ")}`);
  show(server.stdout.all[0]!, /^listening on (tcp|udp):\/\/127\.0\.0\.1:\d+$/);
  await act(server);
  return server;
}

/** One scene: a server, and what happens while it runs. */
async function scene(title: string, ...server: Parameters<typeof serve>): Promise<void> {
  console.log(`\n== ${title}`);
  await serve(...server);
}

async function ask(path: ProgramPath, server: RunningServer, args: readonly string[], env: Env): Promise<Output> {
  const where = [server.hostname, `${server.port}`];
  console.log(`  $ ${[runCommand(path), ...where, ...args.map(quote)].join(" ")}`);
  return await run(path, [...where, ...args], { env });
}

/** Runs a client against the server and shows what it prints. */
async function client(
  path: ProgramPath,
  server: RunningServer,
  args: readonly string[],
  expected: Expected,
  env: Env = {},
): Promise<void> {
  const { code, stdout, stderr } = await ask(path, server, args, env);
  if (code !== 0) throw new Error(`${path} ended with ${code}: ${stderr}`);
  show(stdout, expected);
}

/** Runs a program that talks to nobody and shows what it prints. */
async function alone(path: ProgramPath, args: readonly string[], expected: Expected): Promise<void> {
  console.log(`  $ ${[runCommand(path), ...args.map(quote)].join(" ")}`);
  const { code, stdout, stderr } = await run(path, args);
  if (code !== 0) throw new Error(`${path} ended with ${code}: ${stderr}`);
  show(stdout, expected);
}

/** Runs a client that is to fail, and shows its one line on stderr. */
async function failing(
  path: ProgramPath,
  server: RunningServer,
  args: readonly string[],
  expected: RegExp,
  env: Env = {},
): Promise<void> {
  const { code, stderr } = await ask(path, server, args, env);
  if (code !== 1) throw new Error(`${path} ended with ${code}`);
  show(stderr, expected);
}

/** Shows lines of a server's screen, one for each pattern. */
async function screen(server: RunningServer, ...expected: RegExp[]): Promise<void> {
  console.log("  its screen:");
  for (const pattern of expected) show(await server.printed(pattern), [pattern]);
}

/** Shows a line of the server's log. */
async function log(server: RunningServer, expected: RegExp): Promise<void> {
  console.log("  its log:");
  show(await server.logged(expected), [expected]);
}

/** What a server prints for a message: the peer, then the text. */
function from(text: string): RegExp {
  return new RegExp(`^127\\.0\\.0\\.1:\\d+ ${RegExp.escape(text)}$`);
}

/** Runs a client of diffie_hellman, shows what it prints, and gives the fingerprint of the key. */
async function agree(server: RunningServer, args: readonly string[], env: Env = {}): Promise<string> {
  const { code, stdout, stderr } = await ask("clients/diffie_hellman", server, [...args, "-m", "meet me at nine"], env);
  if (code !== 0) throw new Error(`clients/diffie_hellman ended with ${code}: ${stderr}`);
  show(stderr, /^(diffie_hellman: --anonymous: .*\n)?diffie_hellman: key fingerprint .*\n$/);
  show(stdout, ["meet me at nine"]);
  return /fingerprint .*/.exec(stderr)![0];
}

/** Starts a client of JIM at which somebody types, and shows how. */
async function sit(server: RunningServer, name: string): Promise<RunningProgram> {
  const args = [server.hostname, `${server.port}`, "-n", name];
  console.log(`  $ ${[runCommand("clients/jim"), ...args].join(" ")}`);
  const client = start("clients/jim", args);
  show(await client.logged("logged in"), [`jim: logged in as ${name}`]);
  return client;
}

/** Types a line at somebody's client, and shows it. */
async function type(client: RunningProgram, name: string, line: string): Promise<void> {
  console.log(`  ${name} types: ${line}`);
  await client.type(`${line}\n`);
}

/** Shows a line of somebody's screen. */
async function hears(client: RunningProgram, name: string, line: string): Promise<void> {
  console.log(`  ${name}'s screen:`);
  show(await client.printed(line), [line]);
}

async function messenger(server: RunningServer): Promise<void> {
  await client("clients/jim", server, ["-n", "bob", "--once", "presence"], ["200 OK"]);
  say("bob was here and has left: what he is told now waits for him");
  const { stderr } = await ask("clients/jim", server, ["-n", "alice", "--to", "bob", "-m", "tea at nine?"], {});
  show(stderr, ["jim: logged in as alice", "jim: bob is not here: the message waits"]);
  await using bob = await sit(server, "bob");
  await hears(bob, "bob", "alice: tea at nine?");
  await using alice = await sit(server, "alice");
  for (const [name, who, room] of [["alice", alice, "in #tea, a new room"], ["bob", bob, "in #tea"]] as const) {
    await type(who, name, "/join #tea");
    show(await who.logged("in #tea"), [`jim: ${room}`]);
  }
  await type(alice, "alice", "is the kettle on?");
  await hears(bob, "bob", "#tea alice: is the kettle on?");
  await type(bob, "bob", "it is");
  await hears(alice, "alice", "#tea bob: it is");
}

async function secrets(folder: string): Promise<void> {
  const anonymous = ["--anonymous", "insecure"];
  await scene(
    "diffie_hellman: a key agreed on in the open",
    "servers/diffie_hellman",
    anonymous,
    async (server) => {
      const fingerprint = await agree(server, anonymous);
      await screen(server, from(`key ${fingerprint}`), from("meet me at nine"));
      say("both ends have the same fingerprint; with someone in between they do not, and he reads it all");
      await serve("servers/dh_mitm", ["--to", `127.0.0.1:${server.port}`], async (mitm) => {
        const fingerprint = await agree(mitm, anonymous);
        await screen(
          mitm,
          from(`the client's key ${fingerprint}`),
          / the server's key fingerprint /,
          / client: meet me/,
        );
      });
    },
  );

  const caught = async (server: RunningServer, args: readonly string[], env: Env = {}) => {
    await agree(server, args, env);
    say("someone in between is now noticed by both ends");
    await serve("servers/dh_mitm", ["-q", "--to", `127.0.0.1:${server.port}`], async (mitm) => {
      const expected = /^diffie_hellman: agree on a key: Cannot verify the server: /;
      await failing("clients/diffie_hellman", mitm, [...args, "-m", "meet me at nine"], expected, env);
    });
    await log(server, /closed: Cannot verify the client: /);
  };
  const shared = (server: RunningServer) => caught(server, [], PSK);
  await scene("diffie_hellman, with a shared key", "servers/diffie_hellman", [], shared, PSK);
  const sign = (own: string, peer: string) => ["--sign", `${folder}/${own}.pem`, "--peer", `${folder}/${peer}.pem.pub`];
  for (const name of ["alice", "bob"]) await run("clients/diffie_hellman", ["--sign", `${folder}/${name}.pem`]);
  await scene(
    "diffie_hellman, with signatures: each end has the other's public key",
    "servers/diffie_hellman",
    sign("alice", "bob"),
    (server) => caught(server, sign("bob", "alice")),
  );

  await scene("rsa: a message for the server only", "servers/rsa", ["--key", `${folder}/rsa.pem`], async (server) => {
    const pin = ["--pin", `${folder}/pinned.pub`];
    await client("clients/rsa", server, [...pin, "-m", "meet me at ten"], ["received 14 bytes"]);
    await screen(server, from("meet me at ten"));
    say("the client has kept the server's key; another server, or someone in between, is refused from now on");
    await serve("servers/rsa", ["--key", `${folder}/other.pem`], async (other) => {
      await failing(
        "clients/rsa",
        other,
        [...pin, "-m", "me too"],
        /^rsa: verify the server: its key is not the one in /,
      );
    });
  });

  console.log("\n== keys: who is who on a secure channel");
  const key = `${folder}/identity.pem`;
  await alone("clients/keys", ["new", key, "--comment", "alice"], [/^np-x25519 [\w+/]{43}= alice$/]);
  say("what people compare at first contact:");
  await alone("clients/keys", ["fingerprint", key], [/^SHA256:[\w+/]{43}$/]);

  await Deno.copyFile(`${key}.pub`, `${folder}/authorized`);
  await scene(
    "secure_echo: the same echo inside a secure channel, for those on a list",
    "servers/secure_echo",
    ["--identity", `${folder}/server.pem`, "--authorized", `${folder}/authorized`],
    async (server) => {
      const trust = ["--known-hosts", `${folder}/known_hosts`, "--trust", "accept-new"];
      const alice = ["--identity", key, ...trust, "-m", "meet me at noon"];
      await client("clients/secure_echo", server, alice, ["meet me at noon"]);
      await screen(server, from("meet me at noon"));
      say("a stranger, with a key that is not on the list, sees the connection close");
      const mallory = ["--identity", `${folder}/mallory.pem`, ...trust, "-m", "me too"];
      const refused = /(^|\n)secure_echo: make the channel secure: .*\n$/;
      await failing("clients/secure_echo", server, mallory, refused);
      say("someone on the way sees sizes and times; the texts are nowhere in what passes");
      await serve("servers/wiretap", ["--to", `127.0.0.1:${server.port}`], async (tap) => {
        await client("clients/secure_echo", tap, alice, ["meet me at noon"]);
        await screen(tap, /^\d\d:\d\d:\d\d\.\d{3} #1 -> \d+ bytes at 0/, /\|NPS1\.Noise_XX_25\|$/);
        if (tap.stdout.all.some((line) => line.includes("meet me"))) throw new Error("the wiretap reads the text");
      });
    },
  );
}

async function files(folder: string): Promise<void> {
  await Deno.mkdir(`${folder}/shared`);
  const [photo, env] = [`${folder}/photo.jpg`, { XDG_CONFIG_HOME: folder }];
  await Deno.writeFile(photo, crypto.getRandomValues(new Uint8Array(60_000)));
  await scene(
    "files: commands, and files that arrive",
    "servers/files",
    ["--root", `${folder}/shared`],
    async (server) => {
      await client("clients/files", server, ["echo", "hello"], ["hello"], env);
      await client(
        "clients/files",
        server,
        ["put", photo],
        /^photo\.jpg: 60000 bytes in .*\bsha256=[0-9a-f]{64}\n$/,
        env,
      );
      say("the link breaks after 30,000 bytes of each connection: the client goes on by itself, from where it was");
      await serve(
        "servers/wiretap",
        ["-q", "--cut-after", "30000", "--to", `127.0.0.1:${server.port}`],
        async (tap) => {
          const got = /^photo\.jpg: .*\bresumed from \d+, \d breaks?\b.*\n$/;
          await client("clients/files", tap, ["get", "photo.jpg", `${folder}/again.jpg`], got, env);
        },
      );
      const [sent, arrived] = await Promise.all([photo, `${folder}/again.jpg`].map((path) => Deno.readFile(path)));
      if (!equals(sent!, arrived!)) throw new Error("the file has changed on its way");
      await screen(server, /^127\.0\.0\.1:\d+ DOWNLOAD photo\.jpg \d+ PREFIX=/);
    },
  );
}

async function tour(): Promise<void> {
  await scene("tcp_echo: one client at a time", "servers/tcp_echo", [], async (server) => {
    await client("clients/tcp_echo", server, ["-m", "hello", "-m", "wörld"], ["hello", "wörld"]);
    await screen(server, from("hello"), from("wörld"));
    say("what a stranger sends is shown, never obeyed: an escape sequence stays text");
    await client("clients/tcp_echo", server, ["-m", "\x1b[2Jcleared"], ["\x1b[2Jcleared"]);
    await screen(server, from("\\x1b[2Jcleared"));
    say('TCP carries bytes, not messages: three writes may come back in any number of reads ("sticky packets")');
    await client(
      "clients/framed_echo",
      server,
      ["--sticky", "-m", "one", "-m", "two", "-m", "three"],
      /^(read \d+: \d+ bytes: message .*\n)+messages: 3, reads: \d+, .*\n$/,
    );
  });

  await scene("framed_echo: a length before each message cures it", "servers/framed_echo", [], async (server) => {
    await client("clients/framed_echo", server, ["-m", "one", "-m", "two", "-m", "three"], ["one", "two", "three"]);
    await screen(server, from("one"), from("two"), from("three"));
    say("the other byte order: the length 5 reads as 83,886,080, which is refused before a byte of it is stored");
    await failing(
      "clients/framed_echo",
      server,
      ["--endian", "little", "-m", "hello"],
      /^framed_echo: exchange messages: /,
    );
    await log(server, /closed: Cannot accept frame of 83886080 bytes: limit is 1048576 bytes$/);
  });

  for (
    const [title, path, args] of [
      ["thread_echo: several clients at once, by threads", "servers/thread_echo", ["--workers", "2"]],
      ["selector_echo: many connections in one thread", "servers/selector_echo", []],
    ] as const
  ) {
    await scene(title, path, args, async (server) => {
      say("one client holds a connection and says nothing; the next one is served all the same");
      using _idle = await server.connect();
      await client("clients/tcp_echo", server, ["-m", "me too"], ["me too"]);
    });
  }

  await scene("udp_echo: one datagram is one message", "servers/udp_echo", [], async (server) => {
    await client("clients/udp_echo", server, ["-m", "one", "-m", "two"], ["one", "two"]);
    await screen(server, from("one"), from("two"));
    await client("clients/udp_echo", server, ["--count", "200"], [/^sent 200, received 200, lost 0 \(0%\), .* ms$/]);
    say("the wiretap loses two fifths of the datagrams each way: whoever wants an answer asks again");
    await serve(
      "servers/wiretap",
      ["-q", "--udp", "--drop", "40%", "--to", `127.0.0.1:${server.port}`],
      async (tap) => {
        const patient = ["--timeout", "60ms", "--retries", "30", "-m", "still", "-m", "there"];
        await client("clients/udp_echo", tap, patient, ["still", "there"]);
      },
    );
  });

  for (const name of ["chat", "udp_chat"] as const) {
    await scene(`${name}: a client and an operator talk by turns`, `servers/${name}`, [], async (server) => {
      say("the operator's terminal, here a pipe: one line to say, then q");
      await server.type("hello, client\nq\n");
      await client(`clients/${name}`, server, ["-m", "hello", "-m", "how are you"], ["hello, client"]);
      await screen(server, from("hello"), from("how are you"));
    });
  }

  await scene("jim: a messenger", "servers/jim", ["--db", ":memory:"], messenger);

  await scene(
    "wiretap: see the bytes of both directions, and break them",
    "servers/tcp_echo",
    ["-q"],
    async (server) => {
      const args = ["--to", `127.0.0.1:${server.port}`, "--split", "3"];
      await serve("servers/wiretap", args, async (tap) => {
        await client("clients/tcp_echo", tap, ["-m", "secret?"], ["secret?"]);
        say("in clear on the wire, and cut to pieces of 3 bytes on its way:");
        await screen(tap, /^\d\d:\d\d:\d\d\.\d{3} #1 -> 7 bytes at 0/, / 73 65 63 72 65 74 3f +\|secret\?\|$/);
      });
    },
  );

  const verify = async (server: RunningServer) => {
    await client("clients/hmac_auth", server, ["--mutual", "-m", "it is me"], ["welcome", "it is me"], SECRET);
    say("a guess is answered by silence");
    const guess = { NETLAB_SECRET: "a guess" };
    await failing("clients/hmac_auth", server, ["--mutual", "-m", "me too"], /^hmac_auth: prove who we are: .*/, guess);
    await log(server, /closed: Cannot verify the client: wrong answer$/);
  };
  await scene("hmac_auth: who knows the secret is let in", "servers/hmac_auth", ["--mutual"], verify, SECRET);

  const folder = await Deno.makeTempDir({ prefix: "netlab-" });
  try {
    await files(folder);
    await secrets(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) {
  console.log("netlab: every line below comes from real programs that talk over real sockets on this machine.");
  const began = performance.now();
  try {
    await tour();
  } catch (thrown) {
    if (stop.aborted) {
      console.error("demo: interrupted");
      Deno.exit(EXIT.failed);
    }
    const error = thrown instanceof SuppressedError ? thrown.suppressed : thrown; // not what came of it at the clean-up
    console.error(`demo: this is not what the tour shows: ${error instanceof Error ? error.message : error}`);
    Deno.exit(EXIT.failed);
  }
  console.log(`\nEverything was as shown, in ${((performance.now() - began) / 1000).toFixed(1)} s.`);
}
