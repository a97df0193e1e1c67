/**
 * Conversations without sockets: a fake link that joins two of them, or feeds one with recorded bytes.
 * @module
 */
import { concat } from "@std/bytes";
import type { Conversation } from "../lib/conversation.ts";

/** What each end sent, in full. */
export interface Transcript {
  readonly sent: readonly [Uint8Array, Uint8Array];
}

/** Lets two conversations talk until both have ended; what one throws is thrown. */
export function link(a: Conversation<unknown>, b: Conversation<unknown>): Transcript {
  const ends = [a, b].map((conversation) => ({ conversation, need: 0, done: false, inbox: new Uint8Array() }));
  const sent = [new Uint8Array(), new Uint8Array()] as [Uint8Array, Uint8Array];
  const step = (i: 0 | 1, received: Uint8Array) => {
    const end = ends[i]!;
    const { done, value } = end.conversation.next(received);
    end.done = done ?? false;
    end.need = !done && "need" in value ? value.need : 0;
    if (done || !("send" in value)) return;
    sent[i] = concat([sent[i], value.send]);
    ends[1 - i]!.inbox = concat([ends[1 - i]!.inbox, value.send]);
  };
  for (let moved = true; moved;) {
    moved = false;
    for (const i of [0, 1] as const) {
      const end = ends[i]!;
      if (end.done || end.inbox.length < end.need) continue;
      const received = end.inbox.subarray(0, end.need);
      end.inbox = end.inbox.subarray(end.need);
      step(i, received);
      moved = true;
    }
  }
  if (ends.some(({ done }) => !done)) throw new Error("both ends wait for the other");
  return { sent };
}

/** Feeds a conversation with what a peer sends, whatever that is; resolves to what it sent itself. */
export function feed(conversation: Conversation<unknown>, bytes: Uint8Array): Uint8Array {
  const sent: Uint8Array[] = [];
  let received = new Uint8Array();
  for (;;) {
    const { done, value } = conversation.next(received);
    if (done) return concat(sent);
    received = new Uint8Array();
    if ("send" in value) sent.push(value.send);
    else if (bytes.length < value.need) throw new RangeError(`the peer sent ${bytes.length} of ${value.need} bytes`);
    else [received, bytes] = [bytes.slice(0, value.need), bytes.subarray(value.need)];
  }
}
