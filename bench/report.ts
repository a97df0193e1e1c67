/**
 * What the benchmark says: tables that read as well on a terminal as in Markdown, and which targets are met.
 * @module
 */
import { median } from "./rounds.ts";

/** Rows of text under a head. */
export interface Table {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A demand on one figure. */
export interface Target {
  readonly demand: string;
  /** The most that the median may be, or the least. */
  readonly limit: number;
  /** Which of both; `at most` when absent. */
  readonly bound?: "at most" | "at least";
  /** What follows the number: `×`, `KiB`, `ms`. */
  readonly unit: string;
  /** The figure round by round; empty if a contender was left out. */
  readonly values: readonly number[];
}

/** One part of the benchmark. */
export interface Report {
  readonly title: string;
  /** How it is measured. */
  readonly text: string;
  readonly tables: readonly Table[];
  readonly targets: readonly Target[];
}

/** A number with three digits that count, or as many whole ones as it has; a dash for none. */
export function digits(value: number): string {
  if (Number.isNaN(value)) return "-";
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : `${Number(value.toPrecision(3))}`;
}

/** The part as Markdown. */
export function formatReport({ title, text, tables }: Report): string {
  return [`## ${title}`, text, ...tables.map(formatTable)].join("\n\n");
}

/** The targets as a table, and a sentence for each one that is missed. */
export function formatTargets(targets: readonly Target[]): string {
  const rows = targets.map((target) => {
    const { demand, unit, values } = target;
    const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)].map(digits);
    const measured = values.length === 0 ? "-" : `${middle} ${unit} (${least} to ${most})`;
    return [demand, asked(target), measured, verdict(target)];
  });
  const table = formatTable({ caption: "", head: ["what", "asked", "median (lowest to highest)", ""], rows });
  const misses = targets.filter((target) => verdict(target) === "missed").map((target) => {
    const { demand, unit, values } = target;
    return `**Missed:** ${demand}: ${digits(median(values))} ${unit} where ${asked(target)} is asked.`;
  });
  return ["## Targets", table, ...misses].join("\n\n");
}

function asked({ limit, bound = "at most", unit }: Target): string {
  return `${bound} ${limit} ${unit}`;
}

function verdict({ limit, bound, values }: Target): "met" | "missed" | "not measured" {
  if (values.length === 0) return "not measured";
  const middle = median(values);
  return (bound === "at least" ? middle >= limit : middle <= limit) ? "met" : "missed";
}

function formatTable({ caption, head, rows }: Table): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]!.length), 3));
  const pad = (cell: string, column: number) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!);
  const line = (cells: readonly string[]) => `| ${cells.map(pad).join(" | ")} |`;
  const rule = widths.map((width, column) => column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`);
  const lines = [head, rule, ...rows].map(line).join("\n");
  return caption === "" ? lines : `${caption}\n\n${lines}`;
}
