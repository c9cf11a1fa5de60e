import type { ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import type { Explanation } from "./explanation.js";
import type { PredictOptions } from "./model.js";
import {
  type CandidateTable,
  datasetOf,
  type FeatureRow,
  type FeatureSlots,
  positionsOf,
  type SlotTable,
  tableOfCandidates,
  tableOfRows,
} from "./slots.js";

/** How candidates are ranked. */
export interface RankOptions extends Pick<PredictOptions, "link" | "clip"> {
  /** How many candidates the result has; all by default. */
  topK?: number;
  /** Explain each of them. */
  explain?: boolean;
}

/** Candidates by score, highest first; of equal scores the one that was given first comes first. */
export interface Ranking {
  /** Which candidates, by their place among those given. */
  indices: Uint32Array;
  /** Their scores. */
  scores: Float32Array;
  /** Slots whose feature the model does not know: those of the context, once, and of all candidates. */
  unknownFeatures: number;
  /** Of each of `indices`, when asked for. */
  explanations?: Explanation[];
}

/** Context and candidates, checked: where each part stands in a row. */
export interface Request {
  context: SlotTable;
  candidates: SlotTable;
  /** Positions in the row; FM has none. */
  contextAt: number[];
  candidateAt: number[];
}

/** @throws IfmError IFM_DATA */
export function checkRequest(
  { model, fieldOfSlot }: ModelConfig,
  context: FeatureSlots,
  candidates: CandidateTable | readonly FeatureRow[],
): Request {
  const shared = tableOfRows("context", [context]);
  const own = tableOfCandidates(candidates);
  if (model === "fm") return { context: shared, candidates: own, contextAt: [], candidateAt: [] };
  const contextSlots = shared.features.length;
  const width = fieldOfSlot.length - contextSlots;
  const wrong = own.rowPtr.findIndex((first, r) => r < own.count && own.rowPtr[r + 1]! - first !== width);
  if (wrong !== -1 || width < 0) {
    const found = wrong === -1 ? "" : ` and ${own.rowPtr[wrong + 1]! - own.rowPtr[wrong]!} in candidate ${wrong}`;
    throw new IfmError(
      "IFM_DATA",
      `rank: found ${contextSlots} slots in the context${found}, ${model} needs ${fieldOfSlot.length} together`,
      { hint: "one slot a field; fm takes rows of any length" },
    );
  }
  const places = positionsOf(
    fieldOfSlot.length,
    { count: contextSlots, slots: context.slots },
    { count: width, slots: "slots" in candidates ? candidates.slots : undefined },
  );
  return { context: shared, candidates: own, contextAt: places.context, candidateAt: places.candidate };
}

/** The rows of some candidates: each joined with the context. */
export function joinRows({ context, candidates, contextAt, candidateAt }: Request, indices: Uint32Array): Dataset {
  const [shared, own] = [context.rowPtr[1]!, candidates.rowPtr];
  const rowPtr = new Uint32Array(indices.length + 1);
  indices.forEach((index, r) => {
    rowPtr[r + 1] = rowPtr[r]! + shared + own[index + 1]! - own[index]!;
  });
  const features = new Uint32Array(rowPtr.at(-1)!);
  const values = new Float32Array(features.length).fill(1);
  indices.forEach((index, r) => {
    const put = (at: number, from: SlotTable, i: number) => {
      features[rowPtr[r]! + at] = from.features[i]!;
      if (from.values) values[rowPtr[r]! + at] = from.values[i]!;
    };
    for (let i = 0; i < shared; i++) put(contextAt[i] ?? i, context, i);
    const first = own[index]!;
    for (let i = 0; first + i < own[index + 1]!; i++) put(candidateAt[i] ?? shared + i, candidates, first + i);
  });
  return datasetOf({
    count: indices.length,
    rowPtr,
    features,
    values: context.values || candidates.values ? values : null,
  });
}

/** The first of `topK` candidates: by score, then by place. A score that is no number comes last. */
export function topOf(scores: Float32Array, topK: number): Uint32Array {
  const key = (i: number) => (Number.isNaN(scores[i]) ? -Infinity : scores[i]!);
  const order = Uint32Array.from(scores, (_, i) => i).sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    return x > y ? -1 : x < y ? 1 : a - b;
  });
  return order.subarray(0, topK);
}
