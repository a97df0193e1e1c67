/**
 * Holds a conversation over a connection.
 * @module
 */
import type { Conversation } from "../conversation.ts";
import { type Connection, readFull, writeAll } from "./tcp.ts";

/** Sends and reads what the conversation asks for, and not a byte more, until it ends. Resolves to its result. */
export async function converse<Result>(
  connection: Pick<Connection, "read" | "write">,
  conversation: Conversation<Result>,
): Promise<Result> {
  for (let received: Uint8Array = new Uint8Array();;) {
    const { done, value } = conversation.next(received);
    if (done) return value;
    if ("send" in value) {
      await writeAll(connection, value.send);
      received = new Uint8Array();
    } else {
      received = new Uint8Array(value.need);
      await readFull(connection, received);
    }
  }
}
