import type { Explanation, ModelConfig } from "ifm-wasm/worker";
import { barTable } from "./bars.js";
import { type Names, type Row, slotText } from "./data.js";
import { formatNumber, formatPercent, formatSigned, h } from "./dom.js";
import { type HeatCell, heatMap } from "./heatmap.js";

/** Pairs that are listed. */
const LISTED = 8;
/** Slots up to which a heat map has room for their names. */
const MOST_SLOTS = 40;

/** Why a row has its score, as a page. */
export function whyView(config: ModelConfig, explanation: Explanation, names: Names, row: Row): HTMLElement {
  const { score, bias, constant, linear, pairs, network } = explanation;
  const add = (values: number[]) => values.reduce((sum, value) => sum + value, 0);
  const slots = row.features.map((_, slot) => names.field(slot));
  const overPairs = network?.of === "pairs";
  const contributionOf = (p: number) => (overPairs ? network.contributions[p]! : pairs[p]!.contribution);

  const terms: [name: string, value: number][] = [
    ["bias", bias],
    ["features", add(linear)],
    ["pairs", overPairs ? add(network.contributions) : add(pairs.map(({ contribution }) => contribution))],
  ];
  if (constant !== 0) terms.push(["batch norm", constant]);
  if (network) terms.push(["network", network.baseline + (overPairs ? 0 : add(network.contributions))]);
  const equation = h(
    "p",
    { class: "equation" },
    ...terms.flatMap(([name, value]) => [
      h("span", { class: "term" }, h("b", {}, formatSigned(value)), h("small", {}, name)),
    ]),
    h("span", { class: "term sum" }, h("b", {}, `= ${formatNumber(score, 3)}`), h("small", {}, "score ŷ")),
  );
  const probability = 1 / (1 + Math.exp(-score));
  const outcome = row.label > 0 ? names.labels?.[0] : names.labels?.[1];
  const headline = h(
    "p",
    { class: "headline" },
    config.loss === "logistic" && h("strong", {}, formatPercent(probability)),
    config.loss === "logistic" && h("span", {}, `for ${names.labels?.[0] ?? "the higher label"}; `),
    h("span", {}, outcome ? `it was ${outcome}` : `its label is ${row.label}`),
  );

  const bySlot = linear.map((value, slot) => ({
    label: names.field(slot),
    detail: slotText(names, row, slot),
    value: value + (network?.of === "slots" ? network.contributions[slot]! : 0),
  }));
  const strongest = pairs
    .map(({ s, t, weight }, p) => ({ s, t, weight, value: contributionOf(p) }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value))
    .slice(0, LISTED);
  const byPair = strongest.map(({ s, t, weight, value }) => ({
    label: `${names.field(s)} × ${names.field(t)}`,
    detail: `${slotText(names, row, s)} × ${slotText(names, row, t)}${config.model === "fm" ? "" : `, weight ${formatPercent(weight)}`}`,
    value,
  }));
  const largest = Math.max(...[...bySlot, ...byPair].map(({ value }) => Math.abs(value)));
  const ofSlots =
    network?.of === "slots"
      ? "What each feature adds by itself and by the network"
      : "What each feature adds by itself";
  const bars = h(
    "div",
    { class: "pair-of-figures" },
    barTable(ofSlots, ["feature", "adds to the score"], bySlot, largest),
    barTable(`What the ${byPair.length} strongest pairs add`, ["pair", "adds to the score"], byPair, largest),
  );

  const cells = (value: (p: number) => number): HeatCell[] => {
    return pairs.map(({ s, t }, p) => ({ row: t, column: s, value: value(p) }));
  };
  const maps = h("div", { class: "pair-of-figures" });
  if (slots.length <= MOST_SLOTS && pairs.length > 0) {
    if (config.model !== "fm") {
      maps.append(
        heatMap({
          caption: "Which pairs it looks at: weights T of the attention",
          labels: slots,
          cells: cells((p) => pairs[p]!.weight),
          scale: "sequential",
          format: formatPercent,
        }),
      );
    }
    maps.append(
      heatMap({
        caption: "What the pairs add to the score",
        labels: slots,
        cells: cells(contributionOf),
        scale: "diverging",
        format: formatSigned,
      }),
    );
  }
  return h("div", {}, headline, equation, bars, maps);
}
