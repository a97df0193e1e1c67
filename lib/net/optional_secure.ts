/**
 * Connections of programs that are secure with `--secure`, and plain without.
 * @module
 */
import { formatAddress } from "../address.ts";
import type { ProgramPath } from "../programs.ts";
import type { OptionValues } from "./cli.ts";
import type { Log } from "./log.ts";
import { connectSecure, secured } from "./secure.ts";
import {
  clientSecurity,
  OPTIONAL_SECURE_CLIENT_OPTIONS,
  OPTIONAL_SECURE_SERVER_OPTIONS,
  serverSecurity,
  wantsSecure,
} from "./secure_options.ts";
import { type Connection, connectTcp, type ConnectTcpOptions, type TcpConnection } from "./tcp.ts";

/** Serves one connection. */
type Handler<C extends Connection> = (connection: C) => Promise<void>;

/**
 * What makes a handler of connections one of plain connections: with `--secure` it makes each one secure first.
 * @throws {UsageError} if the options do not go together
 */
export async function optionalSecurity(
  values: OptionValues<typeof OPTIONAL_SECURE_SERVER_OPTIONS>,
  { application, log }: { readonly application: string; readonly log: Log },
): Promise<(handle: Handler<Connection>) => Handler<TcpConnection>> {
  if (!wantsSecure(values, OPTIONAL_SECURE_SERVER_OPTIONS)) return (handle) => handle;
  const security = await serverSecurity(values, (line) => log.write("info", line));
  log.write("debug", `${security.backend.name} does the encryption`);
  return (handle) => secured(handle, security, { application, log });
}

/** How {@linkcode connectOptionallySecured} connects. */
export interface OptionallySecuredOptions extends ConnectTcpOptions {
  /** The program that connects. */
  readonly path: ProgramPath;
  /** What is spoken inside the channel, `chat/1`. */
  readonly application: string;
}

/**
 * A client's connection, with `--secure` inside the channel.
 * @throws {AttemptError} if there is none to be had, or the server is not the right one
 * @throws {UsageError} if the options do not go together
 */
export async function connectOptionallySecured(
  { path, application, ...target }: OptionallySecuredOptions,
  values: OptionValues<typeof OPTIONAL_SECURE_CLIENT_OPTIONS>,
): Promise<Connection & AsyncDisposable> {
  if (!wantsSecure(values, OPTIONAL_SECURE_CLIENT_OPTIONS)) return await connectTcp(target);
  const security = await clientSecurity(values, { host: formatAddress(target), path });
  return await connectSecure(await connectTcp(target), security, { application });
}
