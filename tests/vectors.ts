/**
 * Public test vectors. They are data from elsewhere and no part of the project: the tests find them in `../shared/vectors`
 * beside the checkout or at `$NETLAB_VECTORS`, and are skipped with the reason where there are none.
 * @module
 */
import { ROOT } from "./harness.ts";

/** The folder of the vectors. */
export const VECTORS = Deno.env.get("NETLAB_VECTORS") ?? `${ROOT}../shared/vectors`;

/** A test that needs vector files. */
export function testWithVectors(
  files: readonly string[],
  name: string,
  fn: (...contents: unknown[]) => void | Promise<void>,
): void {
  const missing = files.filter((file) => !exists(`${VECTORS}/${file}`));
  const reason = missing.length === 0 ? "" : ` (skipped: no ${missing.join(", ")}; NETLAB_VECTORS names their folder)`;
  Deno.test({
    name: name + reason,
    ignore: missing.length > 0,
    fn: () => fn(...files.map((file) => JSON.parse(Deno.readTextFileSync(`${VECTORS}/${file}`)))),
  });
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
