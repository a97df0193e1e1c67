import { nobleBackend } from "../../lib/ciphers_noble.ts";
import { portableBackend } from "../../lib/ciphers_portable.ts";
import { testBackend } from "../backends.ts";

testBackend("noble", nobleBackend);
testBackend("portable", portableBackend);
