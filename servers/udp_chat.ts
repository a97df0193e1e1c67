#!/usr/bin/env -S deno run -N
/**
 * A talk by turns over UDP: one datagram is one message, and there are no connections. The operator answers whoever wrote
 * last; the prompt and each line on the screen show who that is.
 *
 * Run: `deno run -N servers/udp_chat.ts`. Talk to it: clients/udp_chat.ts or nc -u. Protocol: docs/protocols/chat.md.
 * @module
 */
import { formatAddress } from "../lib/address.ts";
import { isGoodbye } from "../lib/chat.ts";
import { Chat, Operator, RAW_OPTION } from "../lib/net/chat.ts";
import { reason } from "../lib/net/failure.ts";
import type { Log } from "../lib/net/log.ts";
import { runDatagramServer } from "../lib/net/server.ts";
import { bindUdp, receiveDatagrams } from "../lib/net/udp.ts";

/** Where and how the operator talks. */
export interface AnswerOptions {
  readonly socket: Deno.DatagramConn;
  readonly log: Log;
  readonly raw: boolean;
}

/** Lets the operator talk with whoever wrote last, until the operator is told to stop. */
export async function answerLast(operator: Operator, { socket, log, raw }: AnswerOptions): Promise<void> {
  let chat: Chat | undefined;
  let speaking = Promise.resolve();
  const begin = (peer: string, address: Deno.NetAddr) => {
    const send = async (bytes: Uint8Array) => void await socket.send(bytes, address);
    const begun = new Chat({ ...operator.meet(peer), raw, datagrams: true, send });
    speaking = begun.speak().catch((error) => log.write("warn", reason(error), peer)).finally(() => {
      begun.close();
      if (chat === begun) operator.wait();
    });
    return begun;
  };
  const silent = new AbortController(); // after the last goodbye
  const stop = () => speaking.then(() => silent.abort());
  if (operator.signal.aborted) stop();
  operator.signal.addEventListener("abort", stop, { once: true });
  await receiveDatagrams(socket, async (datagram, address) => {
    const peer = formatAddress(address);
    if (chat === undefined || chat.over || chat.peer !== peer) {
      if (isGoodbye(datagram)) return; // to a talk that is over
      chat?.close();
      chat = begin(peer, address);
    }
    try {
      await chat.hear(datagram);
    } catch (error) {
      chat.close(); // what broke the talk is still in it: the next datagram begins another one
      throw error;
    }
  }, { signal: silent.signal, log });
}

if (import.meta.main) {
  await runDatagramServer({ path: "servers/udp_chat", options: RAW_OPTION }, async ({ host, port, raw }, context) => {
    const socket = bindUdp({ hostname: host, port });
    context.listening(socket.addr as Deno.NetAddr);
    using operator = await Operator.open(context);
    await answerLast(operator, { socket, raw, log: context.log });
  });
}
