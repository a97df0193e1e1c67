/**
 * The frame of every server program: the options of the contract, the `listening on` line, the log and the stop signal.
 * @module
 */
import { formatAddress } from "../address.ts";
import { programName, type ProgramPath, PROGRAMS } from "../programs.ts";
import {
  type CommandLine,
  duration,
  flag,
  host,
  integer,
  oneOf,
  option,
  type OptionTable,
  type OptionValues,
  runProgram,
  stopSignal,
} from "./cli.ts";
import { AttemptError, isNetworkError } from "./failure.ts";
import { Log } from "./log.ts";

/** The most connections at a time, unless `--max-connections` says otherwise. */
const MAX_CONNECTIONS = 10_000;

// deno-lint-ignore explicit-module-boundary-types
function listenOptions(port: number) {
  return {
    host: option({ short: "a", value: "ADDR", parse: host, default: "127.0.0.1", help: "address to listen on" }),
    port: option({
      short: "p",
      value: "N",
      parse: integer(0, 65535),
      default: `${port}`,
      help: "port; 0: any free one",
    }),
    quiet: flag({ short: "q", help: "print only the listening line and errors" }),
    logFormat: option({ value: "text|json", parse: oneOf("text", "json"), default: "text", help: "how stderr looks" }),
  };
}

// deno-lint-ignore explicit-module-boundary-types
function connectionOptions(maxConnections: number) {
  return {
    maxConnections: option({
      value: "N",
      parse: integer(1, 1_000_000),
      default: `${maxConnections}`,
      help: "clients at a time; further ones wait",
    }),
    idleTimeout: option({
      value: "DURATION",
      parse: duration,
      default: "5m",
      help: "close what moves no byte; 0: never",
    }),
    verbose: flag({ short: "v", help: "log each connection" }),
  };
}

/** The options that every server has. */
export type ListenOptions = OptionValues<ReturnType<typeof listenOptions>>;
/** The options that every server with connections has. */
export type ServerOptions = ListenOptions & OptionValues<ReturnType<typeof connectionOptions>>;

/** What a server program is given besides its options. */
export interface ServerContext {
  /** Aborted by SIGINT or SIGTERM. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Prints the line that tells where: `listening on tcp://127.0.0.1:9001`. */
  readonly listening: (address: Deno.NetAddr) => void;
}

/** What distinguishes one server's command line. */
export interface ServerProgram<Options extends OptionTable, Positionals extends OptionTable = Record<never, never>> {
  readonly path: ProgramPath;
  readonly options: Options;
  /** What it takes without a dash, if anything: a command to do something else than to serve. */
  readonly positionals?: Positionals;
  /** The default of `--max-connections`; 10,000 if absent. */
  readonly maxConnections?: number;
}

/** Runs a server program from its command line to its exit code, 0 unless `main` resolves to another. */
export function runServer<Options extends OptionTable, Positionals extends OptionTable = Record<never, never>>(
  { path, options, positionals, maxConnections = MAX_CONNECTIONS }: ServerProgram<Options, Positionals>,
  main: (
    options: OptionValues<Options & Positionals> & ServerOptions,
    context: ServerContext,
  ) => Promise<number | void>,
): Promise<never> {
  const table = { ...connectionOptions(maxConnections), ...options };
  return runListener(
    { path, options: table, positionals: positionals ?? {} },
    (values, context) => main(values as unknown as OptionValues<Options & Positionals> & ServerOptions, context),
  );
}

/**
 * The same for a server of datagrams. It takes the options of connections as well, so that all servers can be started alike,
 * but has no connections to limit, close or log.
 */
export function runDatagramServer<Options extends OptionTable>(
  { path, options }: Pick<ServerProgram<Options>, "path" | "options">,
  main: (options: OptionValues<Options> & ListenOptions, context: ServerContext) => Promise<void>,
): Promise<never> {
  const unused = Object.entries(connectionOptions(MAX_CONNECTIONS)).map(([name, option]) => [
    name,
    { ...option, help: "of no effect: UDP has no connections" },
  ]);
  return runListener(
    { path, options: { ...Object.fromEntries(unused), ...options }, positionals: {} },
    (values, context) => main(values as unknown as OptionValues<Options> & ListenOptions, context),
  );
}

/** What servers of both kinds have in common. */
function runListener(
  { path, options, positionals }: CommandLine<OptionTable, OptionTable>,
  main: (values: ListenOptions, context: ServerContext) => Promise<number | void>,
): Promise<never> {
  const table = { ...listenOptions(PROGRAMS[path].port), ...options };
  return runProgram({ path, options: table, positionals }, async (values) => {
    const settings = values as unknown as ListenOptions;
    const log = new Log(programName(path), settings);
    let bound = false;
    const listening = (address: Deno.NetAddr) => {
      bound = true;
      console.log(`listening on ${address.transport}://${formatAddress(address)}`);
    };
    try {
      return await main(settings, { signal: stopSignal(), log, listening });
    } catch (error) {
      const failedToListen = !bound && isNetworkError(error) && !(error instanceof AttemptError);
      throw failedToListen ? listenError(error, settings) : error;
    }
  });
}

/** What kept a server from listening, and who is to blame. */
function listenError(error: unknown, { host, port }: ListenOptions): AttemptError {
  const hint = error instanceof Deno.errors.AddrInUse
    ? `another program listens there; see who: ss -lntup 'sport = :${port}'; or take another: --port N`
    : error instanceof Deno.errors.AddrNotAvailable
    ? "no interface of this machine has that address: --host 0.0.0.0 listens on all"
    : error instanceof Deno.errors.PermissionDenied
    ? "ports below 1024 are the administrator's: --port N"
    : undefined;
  return new AttemptError(`listen on ${formatAddress({ hostname: host, port })}`, error, hint);
}
