/**
 * Bar charts as SVG, for the documents that show measurements.
 * @module
 */
import { init } from "echarts";

/** What a chart shows: one bar for each category and series. */
export interface BarChart {
  readonly title: string;
  /** What the value axis measures, with its unit. */
  readonly axis: string;
  readonly categories: readonly string[];
  /** The values by series name, one a category; null where there is none. */
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
  /** A logarithmic value axis, for values that differ by orders of magnitude. */
  readonly logarithmic?: boolean;
}

/** The chart as an SVG document of 720 x 320 pixels that is readable on light and dark pages. */
export function renderBarChart({ title, axis, categories, series, logarithmic = false }: BarChart): string {
  const chart = init(null, null, { renderer: "svg", ssr: true, width: 720, height: 320 });
  chart.setOption({
    animation: false,
    backgroundColor: "#fff",
    color: ["#2f6fab", "#d9822b", "#6a9f58", "#999"],
    title: { text: title, left: "center" },
    legend: { bottom: 0 },
    grid: { left: 50, right: 20, top: 60, bottom: 80 },
    xAxis: { type: "category", data: [...categories], axisLabel: { interval: 0, width: 60, overflow: "break" } },
    yAxis: { type: logarithmic ? "log" : "value", name: axis, nameTextStyle: { align: "left" } },
    series: Object.entries(series).map(([name, data]) => ({
      name,
      type: "bar" as const,
      data: data.map((value) => value ?? "-"),
      label: { show: true, position: "top" as const },
    })),
  });
  try {
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}
