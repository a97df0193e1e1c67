/**
 * The public part of the library: protocols as pure values. Bytes go in (`receive`), events come out (`next`), and nothing
 * here touches a socket, a file or a clock.
 *
 * A handshake is a {@linkcode Conversation}, whose example shows how to hold one over any socket. `deno doc mod.ts` does not
 * go into {@linkcode files} and {@linkcode jim}: `deno doc --filter files.ReplyReader mod.ts` does.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { encodeFrame, FrameDecoder } from "@netlab/netlab";
 *
 * const decoder = new FrameDecoder();
 * decoder.receive(encodeFrame(new TextEncoder().encode("hello")));
 * assertEquals(new TextDecoder().decode(decoder.next()), "hello");
 * ```
 * @module
 */
export * from "./lib/address.ts";
export * from "./lib/aes.ts";
export * from "./lib/bytes.ts";
export * from "./lib/chat.ts";
export { portableBackend } from "./lib/ciphers_portable.ts";
export * from "./lib/cms.ts";
export * from "./lib/conversation.ts";
export * from "./lib/datagram.ts";
export * from "./lib/datagram_exchange.ts";
export * from "./lib/datagram_probe.ts";
export * from "./lib/der.ts";
export * from "./lib/dh_groups.ts";
export * from "./lib/diffie_hellman.ts";
export * from "./lib/ed25519.ts";
export * from "./lib/errors.ts";
export * as files from "./lib/files/mod.ts";
export * from "./lib/framing.ts";
export * from "./lib/hkdf.ts";
export * from "./lib/hmac_auth.ts";
export * as jim from "./lib/jim/mod.ts";
export * from "./lib/json_stream.ts";
export * from "./lib/noise.ts";
export * from "./lib/noise_primitives.ts";
export * from "./lib/receive_buffer.ts";
export * from "./lib/record_cipher.ts";
export type { NonceBackend, NonceOf } from "./lib/record_nonce.ts";
export * from "./lib/rsa.ts";
export * from "./lib/secure_channel.ts";
export * from "./lib/secure_records.ts";
export * from "./lib/sticky.ts";
export * from "./lib/telnet.ts";
export * from "./lib/text.ts";
export * from "./lib/units.ts";
