import { checkWritable, writeFileAtomic } from "../atomic-file.js";
import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import type { Explanation } from "../model/explanation.js";
import { Model } from "../model/model.js";
import { outputColors } from "./colors.js";
import { readRows } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseOverwrite, refuseSecondStdin } from "./files.js";
import { columns, count, plain, prediction } from "./format.js";
import { heatMap, page } from "./heat-map.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { ExplainValues } from "./options.js";

/** Pairs that the table has without --all. */
const PAIRS_SHOWN = 15;
/** Columns of the picture of the largest contribution. */
const BAR_COLUMNS = 20;

/** A slot of the row that is explained. */
export interface SlotName {
  field: number | undefined;
  feature: number;
  value: number;
  known: boolean;
}

/** `ifm-wasm explain MODEL FILE --row N`. Returns the exit code. */
export async function explain(modelFile: string, file: string, options: ExplainValues, io: Io): Promise<number> {
  const { row = 1, output } = options;
  refuseSecondStdin([modelFile, file]);
  if (output !== undefined) {
    if (!/\.(svg|html)$/i.test(output)) {
      throw new IfmError("IFM_USAGE", `--output: expected a name that ends in .svg or .html, got "${output}"`);
    }
    refuseOverwrite(output, [modelFile, file]);
    await checkWritable(output);
  }
  const model = await Model.load(modelFile);
  try {
    const { data } = await readRows(file, options);
    if (row > data.rows) {
      throw new IfmError("IFM_USAGE", `--row: expected a row from 1 to ${count(data.rows)}, got ${row}`, { file });
    }
    const slots = slotsOf(model, data, row - 1);
    const [features, values] = [slots.map(({ feature }) => feature), slots.map(({ value }) => value)];
    const why = model.explain({ features, values });
    const label = data.labels[row - 1];
    if (output !== undefined) {
      const picture = heatMap(slots, why, `${model.config.model}: row ${row} of ${file}`);
      await writeFileAtomic(output, Buffer.from(/svg$/i.test(output) ? picture : page(picture)));
    }
    if (options.json) {
      io.out.write(jsonLine({ row, label, model: model.config.model, slots, ...why }));
    } else {
      io.out.write(describe(slots, why, { row, label, all: options.all === true }, outputColors(io).bold));
    }
    return EXIT.done;
  } finally {
    model.dispose();
  }
}

function slotsOf({ config }: Model, { rowPtr, features, values }: Dataset, row: number): SlotName[] {
  const first = rowPtr[row];
  return Array.from(features.subarray(first, rowPtr[row + 1]), (feature, slot) => ({
    field: config.model === "fm" ? undefined : config.fieldOfSlot[slot],
    feature,
    value: values?.[first + slot] ?? 1,
    known: feature < config.features,
  }));
}

/** What each pair adds, whatever the way. */
export function pairShares({ pairs, network }: Explanation): { s: number; t: number; weight: number; share: number }[] {
  const ofPairs = network?.of === "pairs" ? network.contributions : [];
  return pairs.map(({ s, t, weight, contribution }, p) => ({ s, t, weight, share: contribution + (ofPairs[p] ?? 0) }));
}

/** What a slot is called: `field 3: 217`, `217 × 0.5`. */
export function nameOf({ field, feature, value, known }: SlotName): string {
  const times = value === 1 ? "" : ` × ${plain(value)}`;
  return `${field === undefined ? "" : `field ${field}: `}${feature}${times}${known ? "" : " (unknown)"}`;
}

interface Facts {
  row: number;
  label: number;
  all: boolean;
}

function describe(slots: SlotName[], why: Explanation, { row, label, all }: Facts, bold: (text: string) => string) {
  const { network } = why;
  const pairs = pairShares(why).sort((a, b) => Math.abs(b.share) - Math.abs(a.share));
  const sum = (terms: number[]) => terms.reduce((total, term) => total + term, 0);
  const ofSlots = network?.of === "slots" ? network.contributions : undefined;
  const total: [string, number][] = [
    ["bias", why.bias],
    ["linear", sum(why.linear)],
    ["pairs", sum(pairs.map(({ share }) => share))],
  ];
  if (why.constant !== 0) total.push(["batch norm", why.constant]);
  if (network) total.push(["network, of zeros", network.baseline]);
  if (ofSlots) total.push(["network, integrated gradients", sum(ofSlots)]);
  const most = Math.max(...pairs.map(({ share }) => Math.abs(share)), 0);
  const slotTable = slots.map((slot, s) => [
    String(s),
    nameOf(slot),
    term(why.linear[s]),
    ...(ofSlots ? [term(ofSlots[s])] : []),
  ]);
  const shown = all ? pairs : pairs.slice(0, PAIRS_SHOWN);
  const pairTable = shown.map(({ s, t, weight, share }) => [
    `${s} × ${t}`,
    `${nameOf(slots[s])} × ${nameOf(slots[t])}`,
    weight.toFixed(4),
    term(share, decimalsFor(most)),
    bar(share, most),
  ]);
  const pairTitle = network?.of === "pairs" ? "Pairs, integrated gradients of the network" : "Pairs";
  const left = pairs.length - shown.length;
  return [
    section(
      bold(`Row ${row}: score ${prediction(why.score)}, label ${plain(label)}`),
      columns(
        total.map(([name, x]) => [name, term(x)]),
        [1],
      ),
    ),
    section(
      bold("Slots"),
      columns([["slot", "feature", "linear", ...(ofSlots ? ["network"] : [])], ...slotTable], [0, 2, 3]),
    ),
    section(
      bold(left > 0 ? `${pairTitle}, the ${shown.length} largest of ${count(pairs.length)}` : pairTitle),
      columns([["slots", "features", "weight", "adds", ""], ...pairTable], [2, 3]),
    ),
  ].join("\n");
}

function section(title: string, lines: string[]): string {
  return `${title}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

/** Decimals that show contributions of this size with three digits: four, or more where all are small. */
export function decimalsFor(most: number): number {
  return most > 0 ? Math.min(12, Math.max(4, 2 - Math.floor(Math.log10(most)))) : 4;
}

/** A contribution with its sign: `+0.0312`. */
export function term(value: number, decimals = 4): string {
  const text = Math.abs(value).toFixed(decimals);
  return `${value < 0 && Number(text) !== 0 ? "-" : "+"}${text}`;
}

function bar(share: number, most: number): string {
  const length = most === 0 ? 0 : Math.round((Math.abs(share) / most) * BAR_COLUMNS);
  return (share < 0 ? "▒" : "█").repeat(length);
}
