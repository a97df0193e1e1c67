#!/usr/bin/env -S deno run -N -R -W -S=statfs
/**
 * The command and file server: ECHO, TIME, CLOSE and more as lines that anyone can type, uploads and downloads that go on
 * where they broke off, all connections in one thread. A file appears under its name when it is whole, verified and durable.
 *
 * Run: `deno run -N -R -W -S=statfs servers/files.ts --root shared`. Talk to it: clients/files.ts, or nc or telnet:
 * `printf 'TIME\nQUIT\n' | nc 127.0.0.1 9008`. Protocol: docs/protocols/files.md.
 * @module
 */
import { UsageError } from "../lib/errors.ts";
import { duration, integer, option, type OptionValues, size, text } from "../lib/net/cli.ts";
import { Folder } from "../lib/net/files/folder.ts";
import { PEER_TIMEOUTS } from "../lib/net/files/peer.ts";
import { serveFiles } from "../lib/net/files/serve.ts";
import { FileService } from "../lib/net/files/service.ts";
import { optionalSecurity } from "../lib/net/optional_secure.ts";
import { OPTIONAL_SECURE_SERVER_OPTIONS } from "../lib/net/secure_options.ts";
import { runServer, type ServerContext, type ServerOptions } from "../lib/net/server.ts";
import { serveTcp } from "../lib/net/tcp.ts";

const OPTIONS = {
  root: option({ value: "DIR", parse: text, help: "the folder of the files (needed); nothing outside it is touched" }),
  maxFile: option({ value: "SIZE", parse: size, default: "1024GiB", help: "largest file" }),
  quota: option({ value: "SIZE", parse: size, default: "0", help: "what all files may take; 0: whatever fits" }),
  rate: option({
    value: "SIZE",
    parse: size,
    default: "0",
    help: "bytes a second of one transfer; 0: as fast as it goes",
  }),
  minRate: option({
    value: "SIZE",
    parse: size,
    default: "1KiB",
    help: "bytes a second that an upload must reach; 0: any",
  }),
  maxPerIp: option({
    value: "N",
    parse: integer(1, 1_000_000),
    help: "connections of one address; further ones are refused",
  }),
  partialsTtl: option({
    value: "DURATION",
    parse: duration,
    default: "7d",
    help: "how long a broken upload is kept; 0: for ever",
  }),
  ...OPTIONAL_SECURE_SERVER_OPTIONS,
};

/** Serves the files of a folder until the signal, then until what was under way is done or put down. */
async function serve(options: OptionValues<typeof OPTIONS> & ServerOptions, context: ServerContext): Promise<void> {
  const { root, host: hostname, port, maxConnections, idleTimeout: idle } = options;
  if (root === undefined) throw new UsageError("there is no folder to serve", { hint: "name one: --root DIR" });
  if (options.rate !== 0 && options.minRate >= options.rate) {
    throw new UsageError("no upload may be as fast as --min-rate wants it", { hint: "--min-rate below --rate, or 0" });
  }
  const secure = await optionalSecurity(options, { path: "servers/files", log: context.log });
  const listener = Deno.listen({ hostname, port });
  using folder = await Folder.open(root);
  using service = new FileService(folder, {
    limits: { ...options, timeouts: { ...PEER_TIMEOUTS, idle } },
    log: context.log,
  });
  context.signal.addEventListener("abort", () => service.stop());
  context.listening(listener.addr);
  const handle = secure((connection) => serveFiles(service, connection, context.signal));
  await serveTcp(listener, handle, { ...context, maxConnections }); // each wait has its own deadline: none for all
  await service.ended();
}

if (import.meta.main) await runServer({ path: "servers/files", options: OPTIONS }, serve);
