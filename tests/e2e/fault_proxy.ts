/**
 * A proxy that breaks connections at chosen places.
 * @module
 */
import { writeAll } from "../../lib/net/tcp.ts";
import type { Target } from "./hostile.ts";

/** What the proxy does to each connection in turn; those after the last one are left alone. */
export interface Fault {
  /** After so many bytes from the client, or from the server. */
  readonly side: "client" | "server";
  readonly after: number;
  /** Closes both sockets, passes nothing on any more, or goes on once `happened` has ended. */
  readonly kind: "cut" | "freeze" | "pause";
  /** Called when it happens. */
  readonly happened?: () => void | Promise<void>;
}

/** Both directions of a connection. */
interface Link {
  /** What happens now, or has: until it is over, no side is told that the other has gone. */
  fault: Promise<void>;
}

async function happen({ happened }: Fault): Promise<void> {
  await happened?.();
}

/** Shown all that passes: of which connection (1, 2...), from which side. */
export type Watch = (connection: number, side: Fault["side"], bytes: Uint8Array) => void;

/** A proxy in this process. */
export class FaultProxy implements Disposable, Target {
  readonly hostname = "127.0.0.1";
  readonly port: number;
  /** Connections that have come. */
  connections = 0;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #open = new Set<Deno.TcpConn>();
  #over = false;
  readonly #to: () => Target;
  readonly #faults: Fault[];
  readonly #watch: Watch;

  /** `to` is asked for each connection: the server may have been restarted. */
  constructor(to: () => Target, faults: readonly Fault[], watch: Watch = () => {}) {
    this.#to = to;
    this.#watch = watch;
    this.#faults = [...faults];
    this.port = this.#listener.addr.port;
    this.#accept();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    this.#listener.close();
    for (const conn of this.#open) close(conn);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) this.#relay(client).catch(() => close(client));
  }

  async #relay(client: Deno.TcpConn): Promise<void> {
    const number = ++this.connections;
    const fault = this.#faults.shift();
    const { hostname, port } = this.#to();
    this.#open.add(client);
    const server = await Deno.connect({ hostname, port });
    if (this.#over) return close(server);
    this.#open.add(server);
    const link: Link = { fault: Promise.resolve() };
    const pump = (side: Fault["side"], from: Deno.TcpConn, to: Deno.TcpConn) =>
      this.#pump(from, to, {
        link,
        fault: fault?.side === side ? fault : undefined,
        watch: (bytes) => this.#watch(number, side, bytes),
      });
    await Promise.all([pump("client", client, server), pump("server", server, client)]);
  }

  async #pump(
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    { link, fault, watch }: { link: Link; fault: Fault | undefined; watch: (bytes: Uint8Array) => void },
  ): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (let left = fault?.after ?? Infinity; left > 0;) {
        const count = await from.read(buffer.subarray(0, Math.min(buffer.length, left)));
        if (count === null) {
          await link.fault;
          return await to.closeWrite();
        }
        watch(buffer.subarray(0, count));
        await writeAll(to, buffer.subarray(0, count));
        left -= count;
        if (left > 0 || fault?.kind !== "pause") continue;
        await (link.fault = happen(fault));
        left = Infinity;
      }
      if (fault !== undefined) await (link.fault = happen(fault));
      if (fault?.kind === "freeze") return;
    } catch {
      // one side has gone: so does the other
    }
    await link.fault.catch(() => {});
    for (const conn of [from, to]) {
      close(conn);
      this.#open.delete(conn);
    }
  }
}

function close(conn: Deno.TcpConn): void {
  try {
    conn.close();
  } catch {
    // it is closed
  }
}
