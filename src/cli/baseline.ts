import type { Dataset } from "../data/dataset.js";
import { hasTwoLabels } from "../train/metrics.js";
import type { Metrics } from "../train/types.js";

/**
 * Metrics of the best guess that looks at no feature: the mean label of the training rows (for the log loss the log
 * odds of their positive class, for accuracy and F1 their more frequent class). A model should beat it.
 */
export function constantMetrics(train: Dataset, evaluated: Dataset): Metrics {
  const mean = meanOf(train.labels);
  let squares = 0;
  let absolutes = 0;
  for (const label of evaluated.labels) {
    squares += (label - mean) ** 2;
    absolutes += Math.abs(label - mean);
  }
  const rows = evaluated.rows;
  const metrics: Metrics = { rows, rmse: Math.sqrt(squares / rows), mae: absolutes / rows };
  if (!hasTwoLabels(train, train) || !hasTwoLabels(evaluated, train)) return metrics;

  // The share of the larger label follows from the mean.
  const { labelMin, labelMax } = train;
  const likely = (mean - labelMin) / (labelMax - labelMin);
  const positives = (meanOf(evaluated.labels) - labelMin) / (labelMax - labelMin);
  const guessesPositive = likely > 0.5;
  return {
    ...metrics,
    logloss: -crossTerm(positives, likely) - crossTerm(1 - positives, 1 - likely),
    auc: positives > 0 && positives < 1 ? 0.5 : Number.NaN,
    accuracy: guessesPositive ? positives : 1 - positives,
    f1: guessesPositive ? (2 * positives) / (1 + positives) : 0,
  };
}

function meanOf(labels: Float32Array): number {
  let sum = 0;
  for (const label of labels) sum += label;
  return sum / labels.length;
}

/** p log q, 0 for p = 0. */
function crossTerm(p: number, q: number): number {
  return p === 0 ? 0 : p * Math.log(q);
}
