/**
 * One demand over many programs: what every server or client must do is one test that asks them all at the same time.
 * @module
 */
import { type ProgramPath, PROGRAMS } from "../lib/programs.ts";

/** A test over all of `subjects` at once; when one fails, its name comes with the reason. `skip` says why it cannot run. */
export function testEach<Subject extends { readonly path: ProgramPath }>(
  subjects: readonly Subject[],
  name: string,
  check: (subject: Subject) => Promise<void>,
  skip?: string,
): void {
  const reason = skip === undefined ? "" : ` (skipped: ${skip})`;
  Deno.test({ name: name + reason, ignore: skip !== undefined }, async () => {
    const results = await Promise.allSettled(subjects.map(check));
    const failures = results.flatMap((result, i) =>
      result.status === "rejected" ? [new Error(subjects[i]!.path, { cause: result.reason })] : []
    );
    if (failures.length > 0) throw failures.length === 1 ? failures[0] : new AggregateError(failures);
  });
}

/** Every program of the table in `folder`. */
export function programsIn(folder: "servers" | "clients"): ProgramPath[] {
  return (Object.keys(PROGRAMS) as ProgramPath[]).filter((path) => path.startsWith(`${folder}/`));
}
