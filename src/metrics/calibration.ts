import { IfmError } from "../errors.js";
import { checkCount, checkRows, classesOf, type TrainedLabels } from "./labels.js";

export interface CalibrationOptions extends TrainedLabels {
  /** Bins of equal width; default 10. */
  bins?: number | undefined;
}

/** Rows whose probability is at least `from` and below `to`; in the last bin also 1. */
export interface CalibrationBin {
  from: number;
  to: number;
  rows: number;
  /** Mean probability of the rows; NaN without rows. */
  predicted: number;
  /** Share of the rows that are positive; NaN without rows. */
  observed: number;
}

/** Whether probabilities are what they say. Without rows the two figures are NaN. */
export interface Calibration {
  /** Expected calibration error: Σ over the bins of rows / N · |observed − predicted|. */
  ece: number;
  /** Brier score: mean (probability − y)², y = 1 for positive rows, else 0. */
  brier: number;
  bins: CalibrationBin[];
}

/**
 * Compares probabilities with what happened, in bins of equal width (Naeini, Cooper and Hauskrecht 2015; Guo et al.
 * 2017, "On calibration of modern neural networks"). Positive is the larger of two labels.
 *
 * @param probabilities f32[N], such as `model.predict(data, { link: "sigmoid" })`
 * @param labels        f32[N], of two values
 * @throws IfmError IFM_USAGE when the arrays are of different rows, `bins` is no whole number ≥ 1 or a probability is not
 * from 0 to 1; IFM_DATA when a label is none of the two
 */
export function calibration(
  probabilities: Float32Array,
  labels: Float32Array,
  options: CalibrationOptions = {},
): Calibration {
  const { bins: count = 10 } = options;
  const rows = labels.length;
  checkCount("bins", count);
  checkRows("probabilities", probabilities, rows);
  const { middle, otherRow } = classesOf(labels, options);
  if (otherRow >= 0) {
    throw new IfmError(
      "IFM_DATA",
      `row ${otherRow + 1} has the label ${labels[otherRow]}, expected one of two values`,
      {
        hint: "calibration is of the probability that a row is positive: it needs labels such as 0 and 1",
      },
    );
  }

  const bins = Array.from({ length: count }, () => ({ rows: 0, predicted: 0, observed: 0 }));
  let squared = 0;
  for (let r = 0; r < rows; r++) {
    const p = probabilities[r]!;
    if (p < 0 || p > 1) {
      throw new IfmError("IFM_USAGE", `probabilities: expected numbers from 0 to 1, found ${p} in row ${r + 1}`, {
        hint: 'predict with link: "sigmoid"',
      });
    }
    const y = Number(labels[r]! > middle);
    const bin = bins[Math.min(count - 1, Math.floor(p * count))]!;
    bin.rows++;
    bin.predicted += p;
    bin.observed += y;
    squared += (p - y) ** 2;
  }
  const apart = bins.reduce((sum, { predicted, observed }) => sum + Math.abs(observed - predicted), 0);
  return {
    ece: apart / rows,
    brier: squared / rows,
    bins: bins.map(({ rows, predicted, observed }, b) => {
      return { from: b / count, to: (b + 1) / count, rows, predicted: predicted / rows, observed: observed / rows };
    }),
  };
}
