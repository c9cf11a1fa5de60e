import type { Dataset, ModelConfig } from "ifm-wasm/worker";
import { sequential } from "./colors.js";
import { type Names, type Row, rowOf, slotText } from "./data.js";
import { byId, formatCount, formatNumber, formatPercent, h } from "./dom.js";
import { asProbability, firstRows, type Order } from "./scores.js";
import { theme } from "./theme.js";

const ORDERS: [Order, string][] = [
  ["highest", "Highest"],
  ["unsure", "Least sure"],
  ["lowest", "Lowest"],
  ["wrong", "Most wrong"],
  ["file", "As in the file"],
];
const MOST = 200;
const PAGE = 8;

export interface Scored {
  data: Dataset;
  /** Probabilities for the logistic loss, else scores. */
  scores: Float32Array;
  config: ModelConfig;
  names: Names;
}

/** Rows with their scores, one of which can be chosen. */
export class Ranking {
  readonly #container = byId("rows");
  readonly #onChoose: (row: Row, number: number) => void;
  #scored: Scored | undefined;
  #order: Order = "unsure";
  #rows: number[] = [];
  #first = 0;
  #chosen: number | undefined;

  constructor(onChoose: (row: Row, number: number) => void) {
    this.#onChoose = onChoose;
  }

  /** Shows other scores; the row that was chosen stays so, if there still is one. */
  show(scored: Scored, keepChosen: boolean): void {
    this.#scored = scored;
    if (!keepChosen || (this.#chosen ?? 0) >= scored.data.rows) this.#chosen = undefined;
    this.#sort(this.#order === "unsure" && scored.config.loss !== "logistic" ? "highest" : this.#order);
    const chosen = this.#chosen ?? this.#rows[0];
    if (chosen !== undefined) this.#choose(chosen);
  }

  redraw(): void {
    if (this.#scored) this.#draw();
  }

  #sort(order: Order): void {
    const { scores, data, config } = this.#scored!;
    const label = config.loss === "logistic" ? asProbability(data) : (row: number) => data.labels[row]!;
    this.#order = order;
    this.#rows = firstRows(scores, order, MOST, label);
    this.#first = 0;
    this.#draw();
  }

  #choose(number: number): void {
    this.#chosen = number;
    this.#draw();
    const { data } = this.#scored!;
    this.#onChoose(rowOf(data, number), number);
  }

  #draw(): void {
    const { data, config } = this.#scored!;
    // Of probabilities, one half is as unsure as can be.
    const offered = ORDERS.filter(([order]) => order !== "unsure" || config.loss === "logistic");
    const orders = offered.map(([order, text]) => {
      return h(
        "button",
        { type: "button", "aria-pressed": String(order === this.#order), onclick: () => this.#sort(order) },
        text,
      );
    });
    byId("orders").replaceChildren(...orders);
    byId("rows-hint").textContent = `${formatCount(data.rows)} rows of ${data.name}, scored. Choose one to see why.`;
    const list = h("ol", { class: "rows", start: this.#first + 1 });
    for (const number of this.#rows.slice(this.#first, this.#first + PAGE)) list.append(this.#item(number));

    const last = Math.min(this.#first + PAGE, this.#rows.length);
    const page = (by: number, text: string, disabled: boolean) => {
      const turn = () => {
        this.#first += by;
        this.#draw();
      };
      return h("button", { type: "button", class: "quiet", disabled, onclick: turn }, text);
    };
    const input = h("input", {
      type: "number",
      min: 1,
      max: data.rows,
      step: 1,
      "aria-label": "Number of a row",
      placeholder: "row",
    });
    const go = (event: Event) => {
      event.preventDefault();
      if (input.value !== "" && input.validity.valid) this.#choose(input.valueAsNumber - 1);
    };
    const pager = h(
      "div",
      { class: "pager" },
      page(-PAGE, "Previous", this.#first === 0),
      h("span", {}, `${this.#first + 1}–${last} of ${this.#rows.length}`),
      page(PAGE, "Next", last === this.#rows.length),
      h("form", { class: "go", onsubmit: go }, input, h("button", { type: "submit", class: "quiet" }, "Go")),
    );
    this.#container.replaceChildren(list, pager);
  }

  #item(number: number): HTMLElement {
    const { data, scores, config, names } = this.#scored!;
    const row = rowOf(data, number);
    const score = scores[number]!;
    const isProbability = config.loss === "logistic";
    const meter = h("i", { class: "meter", "aria-hidden": "true" });
    if (isProbability) {
      const level = h("i");
      level.style.width = `${(100 * score).toFixed(1)}%`;
      level.style.backgroundColor = sequential(theme(), 0.35 + 0.45 * score);
      meter.append(level);
    }
    const right = isProbability && score > 0.5 === row.label > (data.labelMin + data.labelMax) / 2;
    const button = h(
      "button",
      {
        type: "button",
        class: "row",
        "aria-pressed": String(number === this.#chosen),
        onclick: () => this.#choose(number),
      },
      h("span", { class: "row-score" }, isProbability ? formatPercent(score) : formatNumber(score, 3)),
      isProbability && meter,
      h("span", { class: "row-text" }, row.features.map((_, slot) => slotText(names, row, slot)).join(" · ")),
      h("span", { class: `row-label${isProbability && !right ? " wrong" : ""}` }, this.#labelText(row, right)),
    );
    return h("li", {}, button);
  }

  #labelText(row: Row, right: boolean): string {
    const { config, data } = this.#scored!;
    const label = Number.isInteger(row.label) ? String(row.label).replace("-", "−") : formatNumber(row.label, 2);
    if (config.loss !== "logistic" || data.labelMin === data.labelMax) return `label ${label}`;
    return `label ${label} ${right ? "✓" : "✗"}`;
  }
}
