/**
 * Connections of programs that are secure with `--secure`, and plain without.
 * @module
 */
import { formatAddress } from "../address.ts";
import { programName, type ProgramPath } from "../programs.ts";
import { type OptionValues, suspect } from "./cli.ts";
import type { Log } from "./log.ts";
import { connectSecure, secured } from "./secure.ts";
import {
  clientSecurity,
  OPTIONAL_SECURE_CLIENT_OPTIONS,
  OPTIONAL_SECURE_SERVER_OPTIONS,
  serverSecurity,
  wantsSecure,
} from "./secure_options.ts";
import { connectTcp, type ConnectTcpOptions, type SocketConnection, type TcpConnection } from "./tcp.ts";

/** What it may mean that a server ends a connection in clear before it has said a byte. */
const SILENCE_HINT = "does the server want --secure?";

/** What a program and its counterpart speak inside the channel: `chat/1`. */
function applicationOf(path: ProgramPath): string {
  return `${programName(path)}/1`;
}

/** Serves one connection. */
type Handler<Connection> = (connection: Connection) => Promise<void>;

/**
 * What makes a handler of connections one of plain connections: with `--secure` it makes each one secure first.
 * @throws {UsageError} if the options do not go together
 */
export async function optionalSecurity(
  values: OptionValues<typeof OPTIONAL_SECURE_SERVER_OPTIONS>,
  { path, log }: { readonly path: ProgramPath; readonly log: Log },
): Promise<(handle: Handler<SocketConnection>) => Handler<TcpConnection>> {
  if (!wantsSecure(values, OPTIONAL_SECURE_SERVER_OPTIONS)) return (handle) => handle;
  const security = await serverSecurity(values, (line) => log.write("info", line));
  log.write("debug", `${security.backend.name} does the encryption`);
  return (handle) => secured(handle, security, { application: applicationOf(path), log });
}

/** How {@linkcode connectOptionallySecured} connects. */
export interface OptionallySecuredOptions extends ConnectTcpOptions {
  /** The program that connects. */
  readonly path: ProgramPath;
}

/**
 * A client's connection, with `--secure` inside the channel.
 * @throws {AttemptError} if there is none to be had, or the server is not the right one
 * @throws {UsageError} if the options do not go together
 */
export async function connectOptionallySecured(
  { path, ...target }: OptionallySecuredOptions,
  values: OptionValues<typeof OPTIONAL_SECURE_CLIENT_OPTIONS>,
): Promise<SocketConnection> {
  if (!wantsSecure(values, OPTIONAL_SECURE_CLIENT_OPTIONS)) return suspectSilence(await connectTcp(target));
  const security = await clientSecurity(values, { host: formatAddress(target), path });
  return await connectSecure(await connectTcp(target), security, { application: applicationOf(path) });
}

/** Looks at what the first read brings: of a server that wants a channel, the end, as a FIN or as a reset. */
function suspectSilence(connection: TcpConnection): TcpConnection {
  const read = connection.read.bind(connection);
  connection.read = async (buffer) => {
    connection.read = read;
    try {
      const count = await read(buffer);
      suspect(count === null ? SILENCE_HINT : undefined);
      return count;
    } catch (error) {
      if (error instanceof Deno.errors.ConnectionReset) suspect(SILENCE_HINT);
      throw error;
    }
  };
  return connection;
}
