import type { ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import type { Cuts, Session, Sums } from "../wasm/session.js";
import type { Metrics } from "./types.js";

/** Smallest and largest label that a model was trained on. */
export interface LabelRange {
  labelMin: number;
  labelMax: number;
}

/**
 * Area under the ROC curve, exact: the share of (positive, negative) pairs in the right order, ties count half.
 * O(N log N). Sorts its arguments.
 *
 * @param positives scores of the positive rows
 * @param negatives scores of the negative rows
 * @returns NaN when one of them is empty
 */
export function areaUnderCurve(positives: Float32Array, negatives: Float32Array): number {
  positives.sort();
  negatives.sort();
  let below = 0; // negatives below the score in hand
  let upTo = 0; // negatives below or equal
  let twice = 0; // twice the sum, an exact integer below 2^53 for any data set that fits in memory
  for (const score of positives) {
    while (below < negatives.length && negatives[below]! < score) below++;
    if (upTo < below) upTo = below;
    while (upTo < negatives.length && negatives[upTo]! === score) upTo++;
    twice += below + upTo;
  }
  return twice / 2 / (positives.length * negatives.length);
}

/** Where predictions and labels are cut, for data of this model. */
export function cutsFor({ loss }: ModelConfig, { labelMin, labelMax }: LabelRange): Cuts {
  const middle = (labelMin + labelMax) / 2;
  return { low: labelMin, high: labelMax, middle, threshold: loss === "logistic" ? 0 : middle };
}

/** Whether every label is one of the two ends of the range. */
export function hasTwoLabels({ labels }: Dataset, { labelMin, labelMax }: LabelRange): boolean {
  return labelMin < labelMax && labels.every((label) => label === labelMin || label === labelMax);
}

/** Collects the scores of a pass by class, for the area under the curve. */
export class RocScores {
  readonly #positives: Float32Array;
  readonly #negatives: Float32Array;
  readonly #middle: number;
  #p = 0;
  #n = 0;

  constructor(data: Dataset, middle: number) {
    const positives = data.labels.reduce((count, label) => count + Number(label > middle), 0);
    this.#positives = new Float32Array(positives);
    this.#negatives = new Float32Array(data.rows - positives);
    this.#middle = middle;
  }

  add(scores: Float32Array, labels: Float32Array): void {
    for (let i = 0; i < scores.length; i++) {
      if (labels[i]! > this.#middle) this.#positives[this.#p++] = scores[i]!;
      else this.#negatives[this.#n++] = scores[i]!;
    }
  }

  /** Area under the curve of everything added since the last call. */
  take(): number {
    const auc = areaUnderCurve(this.#positives.subarray(0, this.#p), this.#negatives.subarray(0, this.#n));
    this.#p = 0;
    this.#n = 0;
    return auc;
  }
}

/** Metrics from the sums over `rows` rows; the last four for two-valued labels, when `auc` is given. */
export function metricsFrom(sums: Sums, rows: number, auc: number | undefined): Metrics {
  const metrics: Metrics = { rows, rmse: Math.sqrt(sums.squared / rows), mae: sums.absolute / rows };
  if (auc === undefined) return metrics;
  const { truePositives, falsePositives, falseNegatives } = sums;
  const wrong = falsePositives + falseNegatives;
  return {
    ...metrics,
    logloss: sums.logistic / rows,
    auc,
    accuracy: (rows - wrong) / rows,
    f1: truePositives === 0 ? 0 : (2 * truePositives) / (2 * truePositives + wrong),
  };
}

/** Scores a data set and says how good the scores are. */
export function evaluate(session: Session, data: Dataset, range: LabelRange): Metrics {
  const cuts = cutsFor(session.config, range);
  const roc = hasTwoLabels(data, range) ? new RocScores(data, cuts.middle) : undefined;
  session.takeSums();
  for (const { first, scores } of session.scoreBlocks(data)) {
    session.addMetrics(cuts);
    roc?.add(scores, data.labels.subarray(first, first + scores.length));
  }
  return metricsFrom(session.takeSums(), data.rows, roc?.take());
}
