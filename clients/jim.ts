#!/usr/bin/env -S deno run -N -R -E=NETLAB_JIM_PASSWORD
/**
 * The client of the JIM messenger: what is typed goes to the current addressee, commands begin with `/`, what others say
 * never tears the line being typed. It connects anew by itself, shows what it missed, and nothing twice.
 *
 * Run: `deno run -N -R -E=NETLAB_JIM_PASSWORD clients/jim.ts -n alice`. Its server: servers/jim.ts, or any server of the
 * course. Protocol: docs/protocols/jim.md.
 * @module
 */
import { UsageError } from "../lib/errors.ts";
import { DIALECTS } from "../lib/jim/dialects.ts";
import { addresseeFault, userNameFault } from "../lib/jim/names.ts";
import { flag, oneOf, option, text } from "../lib/net/cli.ts";
import { runClient, serverHint, timeoutOption } from "../lib/net/client.ts";
import { converseOverJim, presentOnce } from "../lib/net/jim/client.ts";
import { connectOptionallySecured } from "../lib/net/optional_secure.ts";
import { readPrivateFile } from "../lib/net/secret.ts";
import { OPTIONAL_SECURE_CLIENT_OPTIONS } from "../lib/net/secure_options.ts";

const PATH = "clients/jim";
/** The variable that is read when there is no `--password-file`. */
const VARIABLE = "NETLAB_JIM_PASSWORD";
const DIALECT_NAMES = DIALECTS.map(({ name }) => name);

const OPTIONS = {
  name: option({ short: "n", value: "NAME", parse: checkedBy(userNameFault), help: "who you are" }),
  to: option({
    value: "NAME",
    parse: checkedBy(addresseeFault),
    help: "whom lines are for that are no commands: a user, #room or #all",
  }),
  passwordFile: option({
    value: "FILE",
    parse: text,
    help: `the password, a file that only its owner can read; without it: $${VARIABLE}, or a question at a terminal`,
  }),
  register: flag({ help: "make an account of that name and password first" }),
  once: option({ value: "presence", parse: oneOf("presence"), help: "send one presence, show the answer, and end" }),
  json: flag({ help: "show each object that comes, as a line of JSON" }),
  dialect: option({
    value: "NAME",
    parse: (given) => DIALECTS[DIALECT_NAMES.indexOf(oneOf(...DIALECT_NAMES)(given))]!,
    default: "A",
    help: `how the server spells it: ${DIALECT_NAMES.join(", ")}`,
  }),
  timeout: { ...timeoutOption("10s"), help: "how long connecting may take, and the answer to --once; 0: for ever" },
  ...OPTIONAL_SECURE_CLIENT_OPTIONS,
};

/** A name in NFC, where nothing is wrong with it. */
function checkedBy(faultOf: (name: string) => string | undefined): (given: string) => string {
  return (given) => {
    const name = given.normalize("NFC");
    const fault = faultOf(name);
    if (fault === undefined) return name;
    throw new UsageError(`${JSON.stringify(given)} ${fault}`);
  };
}

async function loadPassword(file: string | undefined): Promise<string | undefined> {
  return file === undefined ? Deno.env.get(VARIABLE) || undefined : await readPrivateFile(file, "the password");
}

if (import.meta.main) {
  await runClient({ path: PATH, options: OPTIONS }, async (options) => {
    const { host: hostname, port, timeout, message: messages, name, to, once } = options;
    if (name === undefined) throw new UsageError("who are you? -n NAME");
    const target = { hostname, port, timeout, hint: serverHint("servers/jim", port) };
    const connect = () => connectOptionallySecured({ ...target, path: PATH }, options);
    if (once !== undefined) return await presentOnce({ ...options, connect, name });
    const password = await loadPassword(options.passwordFile);
    return await converseOverJim({
      ...options,
      path: PATH,
      connect,
      messages,
      name,
      to,
      password,
    });
  });
}
