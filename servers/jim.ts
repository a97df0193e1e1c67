#!/usr/bin/env -S deno run -N -R -W
/**
 * The JIM messenger ("JSON instant messaging"): users with and without accounts, rooms, contacts, messages that wait for
 * who is offline, and a history, all in one SQLite file: what was acknowledged survives whatever happens to the server.
 *
 * Run: `deno run -N -R -W servers/jim.ts --db jim.sqlite`. Talk to it: clients/jim.ts, or any client of the course. Make an
 * account: `deno run -N -R -W servers/jim.ts add-user NAME`. With `--allow-ffi` the keepalive has exact times. Protocol:
 * docs/protocols/jim.md.
 * @module
 */
import { UsageError } from "../lib/errors.ts";
import { LIMITS } from "../lib/jim/messages.ts";
import { countCharacters, userNameFault } from "../lib/jim/names.ts";
import { duration, EXIT, flag, integer, oneOf, option, text } from "../lib/net/cli.ts";
import { ScryptPasswords } from "../lib/net/jim/passwords.ts";
import { JimServer } from "../lib/net/jim/serve.ts";
import { MEMORY, SqliteStore } from "../lib/net/jim/sqlite_store.ts";
import { AttemptError } from "../lib/net/failure.ts";
import { optionalSecurity } from "../lib/net/optional_secure.ts";
import { readPassword } from "../lib/net/password.ts";
import { OPTIONAL_SECURE_SERVER_OPTIONS } from "../lib/net/secure_options.ts";
import { runServer } from "../lib/net/server.ts";
import { serveTcp } from "../lib/net/tcp.ts";

const OPTIONS = {
  db: option({
    value: "FILE",
    parse: text,
    default: "jim.sqlite",
    help: "where everything is kept; :memory: for nowhere",
  }),
  accountsOnly: flag({ help: "nobody logs in without an account" }),
  closed: flag({ help: "nobody makes an account but by add-user" }),
  noStore: flag({ help: "nothing waits for who is offline: its sender gets 410" }),
  strict: flag({ help: `no object of more than ${LIMITS.strictObject} characters` }),
  rate: option({ value: "N", parse: integer(1, 1_000_000), default: "50", help: "requests a second of one client" }),
  idleTimeout: option({
    value: "DURATION",
    parse: duration,
    default: "1m",
    help: "silent for so long: probed, closed half as much later; not logged in: closed; 0: never",
  }),
  stats: option({
    value: "DURATION",
    parse: duration,
    default: "0",
    help: "how often to log the figures; 0: at SIGUSR2",
  }),
  ...OPTIONAL_SECURE_SERVER_OPTIONS,
};
const POSITIONALS = {
  command: option({ value: "add-user", parse: oneOf("add-user"), help: "makes an account in the file, and ends" }),
  name: option({ value: "NAME", parse: text, help: "whose account; the password is typed, or a line of stdin" }),
};

/** How many requests a client may send at once, as a multiple of those it may send in a second. */
const BURST = 4;

/** Makes an account in a file. A server that uses it need not be stopped. */
async function addUser(file: string, name: string): Promise<void> {
  const fault = userNameFault(name);
  if (fault !== undefined) throw new UsageError(`the name ${JSON.stringify(name)} ${fault}`);
  using store = await SqliteStore.open(file);
  const password = await readPassword(`password of ${name}: `);
  if (password === "") throw new UsageError("there is no password", { hint: "type it, or pipe it in as one line" });
  if (countCharacters(password) > LIMITS.password) {
    throw new UsageError(`the password has more than ${LIMITS.password} characters`);
  }
  if (file === MEMORY) throw new UsageError("the account would be kept nowhere", { hint: "name a file: --db FILE" });
  const kept = await new ScryptPasswords().hash(password);
  if (await store.addAccount(name, kept)) return;
  throw new AttemptError(`add ${name}`, new Error("there is an account of that name"));
}

function isLoopback(hostname: string): boolean {
  return /^127\.|^::1$|^localhost$/.test(hostname);
}

if (import.meta.main) {
  const program = { path: "servers/jim", options: OPTIONS, positionals: POSITIONALS } as const;
  await runServer(program, async ({ command, name, ...options }, { signal, log, listening }) => {
    if (command !== undefined) {
      if (name === undefined) throw new UsageError("add-user needs a name: add-user NAME");
      signal.addEventListener("abort", () => Deno.exit(EXIT.failed)); // no account is made in parts
      return await addUser(options.db, name.normalize("NFC"));
    }
    const secure = await optionalSecurity(options, { path: "servers/jim", log });
    using listener = Deno.listen({ hostname: options.host, port: options.port });
    using store = await SqliteStore.open(options.db, { alone: true });
    const rate = { perSecond: options.rate, burst: BURST * options.rate };
    using server = await JimServer.open({ ...options, rate, store, passwords: new ScryptPasswords(), log });
    const logStats = () => log.write("info", server.stats());
    if (options.stats > 0) setInterval(logStats, options.stats);
    if (Deno.build.os !== "windows") Deno.addSignalListener("SIGUSR2", logStats); // SIGUSR1 would open Deno's debugger
    listening(listener.addr);
    if (!options.secure && !isLoopback(listener.addr.hostname)) {
      log.write("warn", "passwords and messages cross the network in clear text: others on it can read them");
    }
    await serveTcp(listener, secure((connection) => server.serve(connection)), {
      signal,
      log,
      maxConnections: options.maxConnections,
    });
  });
}
