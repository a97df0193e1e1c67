import { UsageError } from "../../lib/errors.ts";
import { parseCommandLine } from "../../lib/net/cli.ts";
import {
  OPTIONAL_SECURE_CLIENT_OPTIONS,
  OPTIONAL_SECURE_SERVER_OPTIONS,
  type SecureServerValues,
  serverSecurity,
  wantsSecure,
} from "../../lib/net/secure_options.ts";
import { assertEquals, assertRejects, assertThrows } from "../assert.ts";

const server = (...args: string[]) =>
  parseCommandLine(args, { path: "servers/tcp_echo", options: OPTIONAL_SECURE_SERVER_OPTIONS, positionals: {} });
const client = (...args: string[]) =>
  parseCommandLine(args, { path: "clients/tcp_echo", options: OPTIONAL_SECURE_CLIENT_OPTIONS, positionals: {} });

Deno.test("wantsSecure(): an option that is of no use in clear is refused without --secure, never ignored", () => {
  assertEquals(wantsSecure(server(), OPTIONAL_SECURE_SERVER_OPTIONS), false);
  assertEquals(wantsSecure(server("--secure", "--authorized", "f"), OPTIONAL_SECURE_SERVER_OPTIONS), true);
  assertEquals(
    wantsSecure({ ...client(), message: ["hello"], port: 1 } as never, OPTIONAL_SECURE_CLIENT_OPTIONS),
    false,
  );
  const values: Record<string, string> = {
    "pattern": "XX",
    "cipher": "aes",
    "backend": "auto",
    "padding": "none",
    "trust": "ask",
    "max-session": "1h",
    "expect-fingerprint": `SHA256:${"A".repeat(43)}`,
  };
  for (const name of ["identity", "known-hosts", "psk-file", ...Object.keys(values)]) {
    const given = client(`--${name}`, values[name] ?? "file");
    assertThrows(() => wantsSecure(given, OPTIONAL_SECURE_CLIENT_OPTIONS), UsageError, `--${name} needs --secure`);
  }
  for (const args of [["--authorized", "f"], ["--allow-any-client"]]) {
    assertThrows(() => wantsSecure(server(...args), OPTIONAL_SECURE_SERVER_OPTIONS), UsageError, "needs --secure");
  }
});

Deno.test("the options of a secure channel: values that make no sense are refused", () => {
  const print = `SHA256:${"A".repeat(43)}`;
  assertEquals(client("--expect-fingerprint", print).expectFingerprint, print);
  for (const wrong of ["A".repeat(43), `${print}=`, "SHA256:", `${print.slice(0, -1)}*`]) {
    assertThrows(() => client("--expect-fingerprint", wrong), UsageError, "is no fingerprint");
  }
  assertEquals(client("--padding", "fixed:256").padding, { multiple: 256 });
  assertEquals(client("--padding", "padme").padding, "padme");
  for (const wrong of ["", "fixed", "fixed:0", "fixed:-1", "all"]) {
    assertThrows(() => client(`--padding=${wrong}`), UsageError, "is no padding");
  }
  assertThrows(() => client("--pattern", "NN"), UsageError, "is not one of XX, XK, IK, NK, XXpsk3, NNpsk0");
  assertThrows(() => client("--authorized", "file"), UsageError, "unknown option");
});

Deno.test("serverSecurity(): who may come in is said, and once", async () => {
  const refuses = (args: string[], message: string) =>
    assertRejects(() => serverSecurity(server(...args) as SecureServerValues, () => {}), UsageError, message);
  await refuses([], "nothing says which clients may come in");
  await refuses(["--pattern", "IK"], "nothing says which clients may come in");
  await refuses(["--authorized", "f", "--allow-any-client"], "not both");
  await refuses(["--pattern", "NK"], "it needs --allow-any-client");
  await refuses(["--pattern", "NK", "--authorized", "f"], "clients have no key with NK");
  await refuses(["--pattern", "XX", "--psk-file", "f", "--allow-any-client"], "XX has no pre-shared key");
});
