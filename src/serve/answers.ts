import type { Explanation } from "../model/explanation.js";
import type { Model } from "../model/model.js";
import { datasetOf, type FeatureRow, tableOfRows } from "../model/slots.js";
import { array, boolean, object, oneOf, optional, whole } from "./check.js";
import type { Limits } from "./limits.js";
import { type Path, wrong } from "./problem.js";
import { readCandidates, readIds, readRow, readSlots, readValues, type Width } from "./rows.js";

/** What a handler needs of a model. */
export type ServedModel = Pick<
  Model,
  "config" | "record" | "tensors" | "predict" | "rank" | "explain" | "unknownFeatures"
>;

/** What a route gives back: JSON, and what is counted. */
export interface Answer {
  json: unknown;
  /** Rows or candidates that were scored. */
  rows: number;
  unknownFeatures: number;
}

const LINKS = ["identity", "sigmoid"] as const;

/** Slots of the model's rows. */
export function widthOf({ config }: Pick<ServedModel, "config">, { maxSlots }: Limits): Width {
  return { most: maxSlots, ...(config.model !== "fm" && { exactly: config.fieldOfSlot.length }) };
}

/** `POST /v1/predict`: scores of rows. */
export function predict(body: unknown, model: ServedModel, limits: Limits): Answer {
  const { rows, link, clip } = object(body, [], ["rows", "link", "clip"]);
  const width = widthOf(model, limits);
  const list = array(rows, ["rows"], limits.maxRows).map((row, r) => readRow(row, ["rows", r], width));
  const { scores, unknownFeatures } = scored(list, model, readFinish(link, clip, model));
  return { json: { scores: Array.from(scores), unknownFeatures }, rows: list.length, unknownFeatures };
}

/** `POST /v1/rank`: candidates of one context, by score. */
export function rank(body: unknown, model: ServedModel, limits: Limits): Answer {
  const keys = ["context", "candidates", "topK", "explain", "link", "clip"] as const;
  const { context, candidates, topK, explain, link, clip } = object(body, [], keys);
  const shared = readSlots(context, ["context"], limits);
  const own = readCandidates(candidates, limits);
  const most = optional(topK, (value) => whole(value, ["topK"], 1, Number.MAX_SAFE_INTEGER));
  const explained = optional(explain, (value) => boolean(value, ["explain"])) ?? false;
  const finish = readFinish(link, clip, model);
  const isTable = "count" in own;
  const rows = isTable ? own.count : own.length;
  if (explained) {
    const longest = isTable ? own.features.length / Math.max(1, rows) : longestOf(own);
    checkExplained(Math.min(most ?? rows, rows), shared.features.length + longest, limits);
  }
  const options = { ...finish, ...(most !== undefined && { topK: most }), explain: explained };
  const { indices, scores, unknownFeatures, explanations } = model.rank(shared, own, options);
  return {
    json: {
      indices: Array.from(indices),
      scores: Array.from(scores),
      unknownFeatures,
      ...(explanations && { explanations }),
    },
    rows,
    unknownFeatures,
  };
}

function longestOf(rows: readonly FeatureRow[]): number {
  return rows.reduce((longest, { features }) => Math.max(longest, features.length), 0);
}

/** An explanation names all pairs of a row: a response of many would be large, and take long to make. */
function checkExplained(rows: number, slots: number, { maxExplained, maxExplainedPairs }: Limits): void {
  if (rows > maxExplained) {
    throw wrong(["topK"], `at most ${maxExplained} candidates to explain`, rows);
  }
  const pairs = (rows * slots * (slots - 1)) / 2;
  if (pairs > maxExplainedPairs) {
    throw wrong(["explain"], `at most ${maxExplainedPairs} pairs in all explanations`, pairs);
  }
}

/** `POST /v1/explain`: why a row has its score. */
export function explain(body: unknown, model: ServedModel, limits: Limits): Answer {
  const { row } = object(body, [], ["row"]);
  const read = readRow(row, ["row"], widthOf(model, limits));
  checkExplained(1, read.features.length, limits);
  const explanation: Explanation = model.explain(read);
  return { json: explanation, rows: 1, unknownFeatures: explanation.unknownFeatures };
}

/**
 * `POST /invocations`: what SageMaker sends to its factorization machines, and what they answer. `score` is a probability
 * where the model was trained on two classes.
 */
export function invocations(body: unknown, model: ServedModel, limits: Limits): Answer {
  const { instances } = object(body, [], ["instances"]);
  const width = widthOf(model, limits);
  const rows = array(instances, ["instances"], limits.maxRows).map((instance, r) => {
    const path: Path = ["instances", r, "data", "features"];
    const { data } = object(instance, path.slice(0, 2), ["data"]);
    const { features } = object(data, path.slice(0, 3), ["features"]);
    // The shape says how many features there are; what lies beyond those of the model is unknown either way.
    const { keys, values } = object(features, path, ["keys", "shape", "values"]);
    const ids = readIds(keys, [...path, "keys"], width);
    return { features: ids, values: readValues(values, [...path, "values"], ids.length) };
  });
  const isClassifier = model.config.loss === "logistic";
  const { scores, unknownFeatures } = scored(rows, model, { link: isClassifier ? "sigmoid" : "identity" });
  const predictions = Array.from(scores, (score) => ({
    score,
    ...(isClassifier && { predicted_label: Number(score > 0.5) }),
  }));
  return { json: { predictions }, rows: rows.length, unknownFeatures };
}

interface Finish {
  link: "identity" | "sigmoid";
  clip?: boolean;
}

function readFinish(link: unknown, clip: unknown, { record }: ServedModel): Finish {
  const clipped = optional(clip, (value) => boolean(value, ["clip"])) ?? false;
  if (clipped && (record.labelMin === undefined || record.labelMax === undefined)) {
    throw wrong(["clip"], "false: the model does not tell the range of its training labels", clip);
  }
  return { link: optional(link, (value) => oneOf(value, ["link"], LINKS)) ?? "identity", clip: clipped };
}

function scored(rows: readonly FeatureRow[], model: ServedModel, finish: Finish) {
  const data = datasetOf(tableOfRows("rows", rows));
  return { scores: model.predict(data, finish), unknownFeatures: model.unknownFeatures(data) };
}
