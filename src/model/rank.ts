import type { ModelConfig } from "../config.js";
import { IfmError } from "../errors.js";
import type { Explanation } from "./explanation.js";
import type { PredictOptions } from "./model.js";
import {
  type CandidateTable,
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

/** A candidate joined with the context. */
export function joinRow({ context, candidates, contextAt, candidateAt }: Request, candidate: number): FeatureRow {
  const features: number[] = [];
  const values: number[] = [];
  const put = (from: SlotTable, first: number, end: number, places: number[], behind: number) => {
    for (let i = first; i < end; i++) {
      const at = places[i - first] ?? behind + i - first;
      features[at] = from.features[i]!;
      values[at] = from.values?.[i] ?? 1;
    }
  };
  const shared = context.features.length;
  put(context, 0, shared, contextAt, 0);
  put(candidates, candidates.rowPtr[candidate]!, candidates.rowPtr[candidate + 1]!, candidateAt, shared);
  return { features, values };
}
