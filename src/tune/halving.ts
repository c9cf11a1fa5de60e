import type { Metrics } from "../train/types.js";
import type { Trial } from "./space.js";

/**
 * Successive halving (K. Jamieson and A. Talwalkar, AISTATS 2016), one bracket of Hyperband (L. Li et al., JMLR 18,
 * 2018): all trials are trained for a short time, the best of them longer, the best of these longer still.
 */
export interface Rung {
  /** Trials that are trained. */
  readonly trials: number;
  /** Epochs, from the first on, after which they are compared. */
  readonly epochs: number;
}

/**
 * The rungs of `trials` trials, the last of which ends at `epochs` epochs. From rung to rung, one of `reduce` trials goes
 * on and epochs grow by `reduce`, rounded up; there are as many rungs as whole trials and whole epochs allow.
 */
export function rungsOf(trials: number, epochs: number, reduce: number): Rung[] {
  const rungs: Rung[] = [];
  let divisor = 1;
  while (divisor * reduce <= Math.min(trials, epochs)) divisor *= reduce;
  for (let left = trials; divisor >= 1; left = Math.ceil(left / reduce), divisor /= reduce) {
    rungs.push({ trials: left, epochs: Math.ceil(epochs / divisor) });
  }
  return rungs;
}

/** Epochs that are trained from one rung to the next, by all its trials together; early stopping is not foreseen. */
export function epochsOf(rungs: readonly Rung[]): number[] {
  return rungs.map(({ trials, epochs }, r) => trials * (epochs - (rungs[r - 1]?.epochs ?? 0)));
}

/** How a trial stands at a rung. */
export interface TrialResult extends Trial {
  /** Counted from 1. */
  readonly rung: number;
  /** Epochs trained; fewer than the rung's when training ended early. */
  readonly epochs: number;
  /** Seconds of training, of all epochs together. */
  readonly seconds: number;
  /** What trials are compared by, lower is better; undefined when the trial failed. */
  readonly score?: number;
  /** The epoch whose weights are kept, and its metrics. */
  readonly bestEpoch?: number;
  readonly validation?: Metrics;
  /** Why there is no score, in a word and in a sentence. */
  readonly failed?: "diverged" | "memory";
  readonly message?: string;
}

/**
 * Results, best first: those that came further, then those with the lower score, then the earlier trials. Failed trials
 * are last, whatever rung they had reached.
 */
export function ranked<Result extends TrialResult>(results: readonly Result[]): Result[] {
  return results.toSorted(
    (a, b) =>
      Number(a.score === undefined) - Number(b.score === undefined) ||
      b.rung - a.rung ||
      (a.score ?? 0) - (b.score ?? 0) ||
      a.trial - b.trial,
  );
}

/** Who trains the trials of a study. */
export interface Runner {
  /** A rung begins. */
  begin(rung: number): void;
  /** Trains a trial up to a rung, or knows how that came out. `before` is its result at the rung before. */
  run(trial: Trial, rung: number, before: TrialResult | undefined): Promise<TrialResult>;
  /** Which trials may be asked for again, the surest first; what is left of all others can go. */
  keep(trials: readonly number[]): void;
}

/**
 * Runs a study.
 *
 * @returns the last result of each trial, best first
 */
export async function halve(trials: readonly Trial[], rungs: readonly Rung[], runner: Runner): Promise<TrialResult[]> {
  const last = new Map<number, TrialResult>();
  let running = trials;
  for (let rung = 1; rung <= rungs.length; rung++) {
    // After the last rung, the best is still of use: it is the model.
    const places = rungs[rung]?.trials ?? 1;
    let best: TrialResult[] = [];
    if (running.length > 0) runner.begin(rung);
    for (const [i, trial] of running.entries()) {
      const result = await runner.run(trial, rung, last.get(trial.trial));
      last.set(trial.trial, result);
      if (result.score !== undefined) best = ranked([...best, result]).slice(0, places);
      runner.keep([...running.slice(i + 1), ...best].map(({ trial }) => trial));
    }
    running = best;
  }
  return ranked([...last.values()]);
}
