import { type ModelConfig, validateModelConfig } from "../config.js";
import { type Dataset, placeOf } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { layoutOf } from "../model/layout.js";
import type { Model } from "../model/model.js";
import { checkFixedSlots, type Session } from "../wasm/session.js";
import type { InitReport } from "./types.js";

/** Sizes that make tensors of two kinds of model fit each other, so that they are taken over with the weights. */
const SHARED_SHAPE = ["features", "factors"] as const satisfies (keyof ModelConfig)[];
const SHARED_ATTENTION = [
  "attentionFactors",
  "fieldFactors",
  "activation",
  "temperature",
  "temperatureOn",
  "fieldOfSlot",
  "fields",
] as const satisfies (keyof ModelConfig)[];

/**
 * The configuration of a model to be trained: what was said, else what the initial model has, else what the data show,
 * else the defaults.
 *
 * An initial model of the same kind gives everything that shapes it; one of another kind the sizes of the tensors that
 * both have.
 *
 * @throws IfmError IFM_USAGE for values out of range, IFM_DATA for rows that do not fit
 */
export function configureModel(said: Partial<ModelConfig>, data: Dataset, init: Model | undefined): ModelConfig {
  const model = said.model ?? init?.config.model ?? "ifm";
  const given: Record<string, unknown> = {};
  if (init?.config.model === model) Object.assign(given, init.config);
  else if (init) {
    for (const key of SHARED_SHAPE) given[key] = init.config[key];
    if (init.config.model !== "fm" && model !== "fm") for (const key of SHARED_ATTENTION) given[key] = init.config[key];
  }
  for (const [key, value] of Object.entries(said)) if (value !== undefined) given[key] = value;
  if (said.fieldOfSlot && said.fields === undefined) delete given.fields;
  given.model = model;
  given.features ??= Math.max(1, data.featureCount);
  if (model !== "fm") {
    given.fieldOfSlot ??= Array.from({ length: commonestSlots(data) }, (_, slot) => slot);
    const slots = given.fieldOfSlot;
    if (Array.isArray(slots)) checkFixedSlots(data, slots.length, model);
  }
  return validateModelConfig(given);
}

/** How many slots most rows have: a row with another number is the odd one out, also where it is the longest. */
function commonestSlots(data: Dataset): number {
  const rowsWith = new Uint32Array(data.maxSlots + 1);
  for (let r = 0; r < data.rows; r++) rowsWith[data.rowPtr[r + 1]! - data.rowPtr[r]!]!++;
  const most = rowsWith.reduce((most, rows) => Math.max(most, rows), 0);
  // Where two numbers are equally common, the first row decides.
  const first = data.rowPtr[1]! - data.rowPtr[0]!;
  return rowsWith[first] === most ? first : rowsWith.indexOf(most);
}

/**
 * The logistic loss knows two labels, written 0/1 or -1/1, in all data sets of a run alike.
 *
 * @param low the smaller label of the run
 * @throws IfmError IFM_DATA
 */
export function checkLabels(config: ModelConfig, data: Dataset, low: number): void {
  if (config.loss !== "logistic") return;
  const row = data.labels.findIndex((label) => label !== 1 && label !== low);
  if (row === -1) return;
  throw new IfmError("IFM_DATA", `row ${row + 1}: expected a label ${low} or 1, found ${data.labels[row]}`, {
    ...placeOf(data, row),
    hint: "the logistic loss needs two labels, 0 and 1 or -1 and 1; use --loss squared for other numbers",
  });
}

/**
 * Copies the tensors of an initial model that fit. A table may be shorter than the new one: the rows it has are taken.
 */
export function takeTensors(session: Session, init: Model): InitReport {
  const report: InitReport = { model: init.config.model, taken: [], left: [], fresh: [] };
  const own = new Map(session.layout.tensors.map((spec) => [spec.name, spec]));
  for (const theirs of layoutOf(init.config).tensors) {
    const spec = own.get(theirs.name);
    if (!spec) {
      report.left.push({ name: theirs.name, reason: `${session.config.model} has no such tensor` });
      continue;
    }
    const fits = spec.cols === theirs.cols && (spec.byFeature ? spec.rows >= theirs.rows : spec.rows === theirs.rows);
    if (!fits) {
      report.left.push({ name: spec.name, reason: `shape [${theirs.shape}] there, [${spec.shape}] here` });
      continue;
    }
    session.write(spec, init.tensor(spec.name));
    report.taken.push(spec.name);
  }
  report.fresh = [...own.keys()].filter((name) => !report.taken.includes(name));
  return report;
}
