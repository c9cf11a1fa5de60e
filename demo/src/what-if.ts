import type { Dataset, WorkerModel } from "ifm-wasm/worker";
import { sequential } from "./colors.js";
import { featuresInSlot, type Names, type Row } from "./data.js";
import { byId, formatNumber, formatPercent, h, show } from "./dom.js";
import { theme } from "./theme.js";

const MOST_CANDIDATES = 2000;
const LISTED = 10;

/** Ranks what could stand in one slot of a row, the other slots being what they are. */
export class WhatIf {
  readonly #select = byId<HTMLSelectElement>("what-if-field");
  #shown: { model: WorkerModel; data: Dataset; names: Names; row: Row } | undefined;

  constructor() {
    this.#select.addEventListener("change", () => void this.#rank());
  }

  async show(model: WorkerModel, data: Dataset, names: Names, row: Row): Promise<void> {
    this.#shown = { model, data, names, row };
    // Slots mean something when all rows have the same.
    const meaningful = data.minSlots === data.maxSlots && row.features.length > 1;
    show(byId("what-if-card"), meaningful);
    if (!meaningful) return;
    const slots = row.features.map((_, slot) => names.field(slot));
    if (this.#select.options.length !== slots.length || this.#select.options[0]?.text !== slots[0]) {
      this.#select.replaceChildren(...slots.map((name, slot) => h("option", { value: slot }, name)));
      this.#select.value = String(Math.min(4, slots.length - 1));
    }
    await this.#rank();
  }

  redraw(): void {
    void this.#rank();
  }

  async #rank(): Promise<void> {
    const shown = this.#shown;
    if (!shown) return;
    const { model, data, names, row } = shown;
    const slot = Number(this.#select.value);
    const own = row.features[slot]!;
    const common = featuresInSlot(data, slot, MOST_CANDIDATES);
    const features = common.includes(own) ? common : [...common, own];
    const others = row.features.map((_, at) => at).filter((at) => at !== slot);
    const isProbability = model.config.loss === "logistic";
    const ranking = await model.rank(
      { features: others.map((at) => row.features[at]!), values: others.map((at) => row.values[at]!), slots: others },
      { count: features.length, features, values: features.map(() => row.values[slot]!), slots: [slot] },
      { link: isProbability ? "sigmoid" : "identity" },
    );
    if (this.#shown !== shown) return;
    this.#draw(
      slot,
      own,
      Array.from(ranking.indices, (index, i) => ({ id: features[index]!, score: ranking.scores[i]! })),
      isProbability,
      names,
    );
  }

  #draw(
    slot: number,
    own: number,
    ranked: { id: number; score: number }[],
    isProbability: boolean,
    names: Names,
  ): void {
    byId("what-if-hint").textContent =
      `The same row with every other ${names.field(slot)}, ${ranked.length} in all, ranked by the model.`;
    const place = ranked.findIndex(({ id }) => id === own);
    const listed = ranked
      .map((entry, i) => ({ ...entry, rank: i + 1 }))
      .filter(({ rank }) => rank <= LISTED || rank === place + 1);
    const [least, most] = [ranked.at(-1)!.score, ranked[0]!.score];
    const rows = listed.map(({ id, score, rank }) => {
      const share = isProbability ? score : (score - least) / (most - least || 1);
      const bar = h("i", { class: "level" });
      bar.style.width = `${(100 * share).toFixed(1)}%`;
      bar.style.backgroundColor = sequential(theme(), id === own ? 0.75 : 0.42);
      return h(
        "tr",
        id === own ? { class: "own" } : {},
        h("td", { class: "number" }, rank),
        h("th", { scope: "row" }, names.feature(id), id === own && h("small", {}, "as it is")),
        h("td", { class: "level-cell", "aria-hidden": "true" }, bar),
        h("td", { class: "number" }, isProbability ? formatPercent(score) : formatNumber(score, 3)),
      );
    });
    const head = h(
      "tr",
      { class: "visually-hidden" },
      ...["rank", names.field(slot), "", "score"].map((text) =>
        text ? h("th", { scope: "col" }, text) : h("td", { "aria-hidden": "true" }),
      ),
    );
    byId("what-if").replaceChildren(h("table", { class: "levels" }, h("thead", {}, head), h("tbody", {}, ...rows)));
  }
}
