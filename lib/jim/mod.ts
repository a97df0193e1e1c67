/**
 * JIM, "JSON instant messaging", as pure values: what is said (messages.ts), how it is spelled (dialects.ts, protocol.ts),
 * when it is written (pacing.ts), both ends of a connection (wire.ts) and a whole client (client.ts). See docs/protocols/jim.md.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { jim } from "@netlab/netlab";
 *
 * const wire = new jim.ClientWire();
 * wire.receive(new TextEncoder().encode('{"response":200,"alert":"hello"}'));
 * const said = wire.next();
 * assertEquals(said?.type === "answer" && said.answer, { code: 200, text: "hello" });
 * ```
 * @module
 */
export { type ClientEffect, JimClient, type JimClientOptions } from "./client.ts";
export type { Vocabulary } from "./client_commands.ts";
export * from "./dialects.ts";
export * from "./messages.ts";
export * from "./names.ts";
export * from "./pacing.ts";
export * from "./protocol.ts";
export * from "./wire.ts";
