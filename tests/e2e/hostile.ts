/**
 * Clients that misbehave, as small functions.
 * @module
 */
import net from "node:net";
import { type Connection, writeAll } from "../../lib/net/tcp.ts";
import { inTime } from "../harness.ts";

/** The address of a server. */
export interface Target {
  readonly hostname: string;
  readonly port: number;
}

/** How long a socket must take nothing before it is full, in ms. */
const FULL_MS = 1000;
/** Resets that are under way at the same time: fewer than a backlog holds. */
const RESETS_AT_ONCE = 50;

/** Connects and resets (RST) at once, so many times. */
export async function resetAtOnce({ hostname, port }: Target, times: number): Promise<void> {
  let left = times;
  const resetInTurn = async () => {
    while (left-- > 0) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const socket = net.connect(port, hostname, () => socket.resetAndDestroy());
      socket.once("error", reject).once("close", () => resolve());
      await promise;
    }
  };
  await inTime(Promise.all(Array.from({ length: RESETS_AT_ONCE }, resetInTurn)), "the resets");
}

/**
 * Sends `message` again and again and never reads; resolves when the socket takes no more, or at `limit` bytes. What is
 * under way then ends with the connection.
 */
export async function sendWithoutReading(connection: Connection, message: Uint8Array, limit: number): Promise<void> {
  let full = false;
  let taken = true;
  const send = async () => {
    for (let sent = 0; sent < limit && !full; sent += message.length) {
      await writeAll(connection, message);
      taken = true;
    }
  };
  const sending = send();
  sending.catch(() => {}); // the connection may be closed in the middle of a write
  const looked = Promise.withResolvers<void>();
  const look = setInterval(() => {
    if (!taken) looked.resolve();
    taken = false;
  }, FULL_MS);
  try {
    await inTime(Promise.race([looked.promise, sending]), "the socket to be full");
  } finally {
    clearInterval(look);
    full = true;
  }
}
