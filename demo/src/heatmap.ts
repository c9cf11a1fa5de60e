import { diverging, sequential } from "./colors.js";
import { h } from "./dom.js";
import { theme } from "./theme.js";

export interface HeatCell {
  /** Rows come after columns: row > column. */
  row: number;
  column: number;
  value: number;
}

export interface HeatMapOptions {
  caption: string;
  labels: string[];
  cells: HeatCell[];
  /** 0 … the largest, or − the largest … the largest. */
  scale: "sequential" | "diverging";
  format(value: number): string;
}

/**
 * Half a matrix as a table: what is seen as colour is there as numbers for those who listen, and arrow keys go from cell
 * to cell. What a cell is stands in the corner that the half leaves free.
 */
export function heatMap({ caption, labels, cells, scale, format }: HeatMapOptions): HTMLElement {
  const largest = cells.reduce((most, { value }) => Math.max(most, Math.abs(value)), 0) || 1;
  const colorOf = (value: number) => (scale === "sequential" ? sequential : diverging)(theme(), value / largest);
  const readout = h("p", { class: "readout", "aria-hidden": "true" });
  const byPlace = new Map(cells.map((cell) => [`${cell.row},${cell.column}`, cell]));
  const strongest = cells.reduce<HeatCell | undefined>(
    (most, cell) => (!most || Math.abs(cell.value) > Math.abs(most.value) ? cell : most),
    undefined,
  );
  const tell = (cell: HeatCell | undefined) => {
    if (!cell) return;
    readout.replaceChildren(h("b", {}, format(cell.value)), ` ${labels[cell.column]} × ${labels[cell.row]}`);
  };

  const rows = labels.slice(1).map((label, i) => {
    const row = i + 1;
    const tds = labels.slice(0, row).map((_, column) => {
      const cell = byPlace.get(`${row},${column}`);
      const td = h("td", { "data-place": `${row},${column}`, tabindex: cell === strongest ? 0 : -1 });
      if (!cell) return td;
      td.style.backgroundColor = colorOf(cell.value);
      td.append(h("span", { class: "visually-hidden" }, format(cell.value)));
      td.addEventListener("pointerenter", () => tell(cell));
      td.addEventListener("focus", () => tell(cell));
      return td;
    });
    return h("tr", {}, h("th", { scope: "row" }, label), ...tds);
  });
  const feet = labels.slice(0, -1).map((label) => h("th", { scope: "col" }, h("span", {}, label)));
  const table = h(
    "table",
    { class: "heat" },
    h("caption", { class: "visually-hidden" }, caption),
    h("colgroup", {}, h("col", { class: "names" }), h("col", { span: labels.length - 1 })),
    h("tbody", {}, ...rows, h("tr", { class: "feet" }, h("td", { "aria-hidden": "true" }), ...feet)),
  );
  table.addEventListener("keydown", moveFocus);
  tell(strongest);

  const ends = scale === "sequential" ? [0, largest] : [-largest, 0, largest];
  const steps = Array.from({ length: 24 }, (_, i) => {
    const step = h("i");
    step.style.backgroundColor = colorOf(scale === "sequential" ? (i / 23) * largest : ((2 * i) / 23 - 1) * largest);
    return step;
  });
  const legend = h(
    "div",
    { class: "heat-legend", "aria-hidden": "true" },
    h("div", { class: "ramp" }, ...steps),
    h("div", { class: "ramp-ends" }, ...ends.map((value) => h("span", {}, format(value)))),
  );
  return h(
    "figure",
    { class: "heat-figure" },
    h("figcaption", {}, caption),
    h("div", { class: "heat-body" }, h("div", { class: "heat-corner" }, legend, readout), table),
  );
}

const STEPS: Record<string, [row: number, column: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** One cell is in the order of the tab key; arrows move which. */
function moveFocus(event: KeyboardEvent): void {
  const step = STEPS[event.key];
  const from = event.target as HTMLElement;
  const place = from.dataset.place?.split(",").map(Number);
  if (!step || !place) return;
  event.preventDefault();
  const table = event.currentTarget as HTMLElement;
  const to = table.querySelector<HTMLElement>(`[data-place="${place[0]! + step[0]},${place[1]! + step[1]}"]`);
  if (!to) return;
  from.tabIndex = -1;
  to.tabIndex = 0;
  to.focus();
}
