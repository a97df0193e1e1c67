/**
 * @module
 */
import { DiskError } from "../../lib/net/files/disk.ts";
import { assertEquals } from "../assert.ts";

Deno.test("DiskError: a disk and a quota that are full are full, whatever Deno makes of the system's error", () => {
  const withCode = (message: string, code?: string) => Object.assign(new Error(message), { code });
  const full = [
    withCode("No space left on device (os error 28)", "ENOSPC"),
    withCode("There is not enough space on the disk. (os error 112)", "ENOSPC"),
    withCode("Disk quota exceeded (os error 122)"), // as Deno gives it
  ];
  assertEquals(full.map((error) => new DiskError(error).isFull), [true, true, true]);
  const failing = [withCode("Input/output error (os error 5)", "EIO"), withCode("File too large (os error 27)")];
  assertEquals(failing.map((error) => new DiskError(error).isFull), [false, false]);
});
