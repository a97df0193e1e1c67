/**
 * The language of the command and file server as pure values: lines (commands.ts, session.ts), replies (replies.ts), names
 * (safe_name.ts) and what is kept of an upload that broke off (partial.ts, upload_rules.ts). See docs/protocols/files.md.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { files } from "@netlab/netlab";
 *
 * assertEquals(files.parseCommand("download a.bin 5 raw"), { verb: "DOWNLOAD", name: "a.bin", offset: 5, raw: true });
 * ```
 * @module
 */
export * from "./commands.ts";
export * from "./partial.ts";
export * from "./replies.ts";
export * from "./safe_name.ts";
export * from "./session.ts";
export * from "./upload_rules.ts";
