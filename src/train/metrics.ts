import type { Loss, ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import type { Groups } from "../data/groups.js";
import { areaUnderCurve } from "../metrics/auc.js";
import { groupedAuc } from "../metrics/gauc.js";
import type { Cuts, Session, Sums } from "../wasm/session.js";
import type { Metrics } from "./types.js";

/** Smallest and largest label that a model was trained on. */
export interface LabelRange {
  labelMin: number;
  labelMax: number;
}

/** Where predictions and labels are cut, for data of this model. */
export function cutsFor({ loss }: ModelConfig, { labelMin, labelMax }: LabelRange): Cuts {
  const middle = (labelMin + labelMax) / 2;
  return { low: labelMin, high: labelMax, middle, threshold: loss === "logistic" ? 0 : middle };
}

/** Whether every label is one of the two ends of the range. */
export function hasTwoLabels({ labels }: Dataset, { labelMin, labelMax }: LabelRange): boolean {
  if (!(labelMin < labelMax)) return false;
  let atEnds = 0;
  // With a callback, or a branch that half of the labels take, this and the loop below took a tenth of an evaluation of FM K = 64.
  for (let i = 0; i < labels.length; i++) atEnds += Number(labels[i] === labelMin) + Number(labels[i] === labelMax);
  return atEnds === labels.length;
}

/** Collects the scores of a pass by class, for the area under the curve. */
export class RocScores {
  readonly #positives: Float32Array;
  readonly #negatives: Float32Array;
  readonly #middle: number;
  #p = 0;
  #n = 0;

  constructor(data: Dataset, middle: number) {
    const { labels } = data;
    let positives = 0;
    for (let i = 0; i < labels.length; i++) positives += Number(labels[i]! > middle);
    // One more, for the score that is written behind its list when it belongs to the other.
    this.#positives = new Float32Array(positives + 1);
    this.#negatives = new Float32Array(data.rows - positives + 1);
    this.#middle = middle;
  }

  add(scores: Float32Array, labels: Float32Array): void {
    const [positives, negatives, middle] = [this.#positives, this.#negatives, this.#middle];
    let p = this.#p;
    let n = this.#n;
    // No branch on what cannot be foreseen.
    for (let i = 0; i < scores.length; i++) {
      const positive = Number(labels[i]! > middle);
      positives[p] = scores[i]!;
      negatives[n] = scores[i]!;
      p += positive;
      n += 1 - positive;
    }
    this.#p = p;
    this.#n = n;
  }

  /** The scores so far, of both classes; views. */
  scores(): [positives: Float32Array, negatives: Float32Array] {
    return [this.#positives.subarray(0, this.#p), this.#negatives.subarray(0, this.#n)];
  }

  /** Rows of a class: it never has more scores. */
  most(of: "positives" | "negatives"): number {
    return (of === "positives" ? this.#positives : this.#negatives).length - 1;
  }

  /** Takes so many scores of a class as added; they are to be written there. */
  room(of: "positives" | "negatives", length: number): Float32Array {
    if (of === "positives") this.#p = length;
    else this.#n = length;
    return (of === "positives" ? this.#positives : this.#negatives).subarray(0, length);
  }

  /** Area under the curve of everything added. */
  area(): number {
    return areaUnderCurve(...this.scores());
  }

  clear(): void {
    this.#p = 0;
    this.#n = 0;
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

/** What early stopping watches, lower is better: the log loss, the RMSE or, for `bpr`, 1 − GAUC. */
export function monitored(metrics: Metrics, loss: Loss): number {
  if (loss === "bpr") return 1 - (metrics.gauc ?? Number.NaN);
  return loss === "logistic" ? (metrics.logloss ?? metrics.rmse) : metrics.rmse;
}

export interface EvaluateOptions {
  /** Share of the pairs that is looked at, those with the largest ‖F_p‖ (IFM, DeepIFM); 1 = all. */
  samplePairs?: number;
  /** Gets the scores of the rows, f32[rows]. */
  scores?: Float32Array;
}

/** Scores a data set and says how good the scores are; with groups, also within them. */
export function evaluate(
  session: Session,
  data: Dataset,
  range: LabelRange,
  { samplePairs, scores: out }: EvaluateOptions = {},
  groups?: Groups,
): Metrics {
  const cuts = cutsFor(session.config, range);
  const roc = hasTwoLabels(data, range) ? new RocScores(data, cuts.middle) : undefined;
  const all = out ?? (groups && new Float32Array(data.rows));
  session.takeSums();
  for (const { first, scores } of session.scoreBlocks(data, samplePairs)) {
    session.addMetrics(cuts);
    roc?.add(scores, data.labels.subarray(first, first + scores.length));
    all?.set(scores, first);
  }
  return {
    ...metricsFrom(session.takeSums(), data.rows, roc?.area()),
    ...(all && groups ? { gauc: groupedAuc(all, data.labels, groups, cuts.middle).gauc } : {}),
  };
}
