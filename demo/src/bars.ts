import { diverging } from "./colors.js";
import { formatSigned, h } from "./dom.js";
import { theme } from "./theme.js";

export interface Bar {
  label: string;
  /** Smaller, behind the label. */
  detail?: string;
  value: number;
}

/** Contributions as bars to the left and right of zero; a table, so that the numbers are heard too. */
export function barTable(caption: string, columns: [string, string], bars: Bar[], largest: number): HTMLElement {
  const rows = bars.map(({ label, detail, value }) => {
    const share = Math.min(1, Math.abs(value) / (largest || 1));
    const bar = h("i", { class: value < 0 ? "bar negative" : "bar positive" });
    bar.style.width = `${(50 * share).toFixed(2)}%`;
    bar.style.backgroundColor = diverging(theme(), Math.sign(value) * 0.78);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", {}, label), detail !== undefined && h("small", {}, detail)),
      h("td", { class: "bar-cell", "aria-hidden": "true" }, bar),
      h("td", { class: "number" }, formatSigned(value)),
    );
  });
  const head = h(
    "tr",
    { class: "visually-hidden" },
    h("th", { scope: "col" }, columns[0]),
    h("td", { "aria-hidden": "true" }),
    h("th", { scope: "col" }, columns[1]),
  );
  return h(
    "figure",
    { class: "bars-figure" },
    h("figcaption", {}, caption),
    h("table", { class: "bars" }, h("thead", {}, head), h("tbody", {}, ...rows)),
  );
}
