import { checkDatagramLength, MAX_DATAGRAM } from "../../lib/datagram.ts";
import { UsageError } from "../../lib/errors.ts";
import { assertThrows } from "../assert.ts";

Deno.test("checkDatagramLength() lets pass 0 to 65507 bytes", () => {
  for (const length of [0, 1, 1472, MAX_DATAGRAM]) checkDatagramLength(length);
});

Deno.test("checkDatagramLength() refuses 65508 bytes and says why", () => {
  assertThrows(
    () => checkDatagramLength(65_508),
    UsageError,
    "65508 bytes do not fit a datagram: 65507 is the most (IPv4: 65535 less headers of 20 and 8 bytes)",
  );
});
