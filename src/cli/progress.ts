import cliProgress from "cli-progress";
import type { Progress } from "../train/types.js";
import { count, duration } from "./format.js";
import type { Stream } from "./io.js";

const BAR_COLUMNS = 24;

/** A line that shows how far the running epoch is: rows, rows per second and the time until training ends at most. */
export class ProgressBar {
  readonly #bar: cliProgress.SingleBar;
  /** Phase and epoch of the bar on the screen. */
  #shown: string | undefined;

  constructor(stream: Stream) {
    this.#bar = new cliProgress.SingleBar({
      stream,
      format: "{label} {bar} {percentage} %{rate}",
      barsize: BAR_COLUMNS,
      barCompleteChar: "█",
      barIncompleteChar: "░",
      clearOnComplete: true,
      // The cursor stays, and signals stay ours: an exit in the middle then leaves a sane terminal.
      hideCursor: false,
      gracefulExit: false,
      linewrap: null,
    });
  }

  show(progress: Progress): void {
    const { phase, epoch, epochs, rows, totalRows, rowsPerSecond } = progress;
    const label = phase === "train" ? `epoch ${epoch}/${epochs}` : "evaluating";
    // Percentages of an empty set would be NaN.
    const total = Math.max(totalRows, 1);
    const rate = phase === "train" ? `  ${count(rowsPerSecond)} rows/s  ETA ${duration(secondsLeft(progress))}` : "";
    const shown = `${phase} ${epoch}`;
    if (this.#shown === shown) {
      this.#bar.update(rows, { label, rate });
      return;
    }
    this.hide();
    this.#shown = shown;
    this.#bar.start(total, rows, { label, rate });
  }

  hide(): void {
    if (this.#shown === undefined) return;
    this.#bar.stop();
    this.#shown = undefined;
  }
}

/** Time until the last epoch is trained; early stopping and evaluation are not foreseen. */
export function secondsLeft({ epoch, epochs, rows, totalRows, rowsPerSecond }: Progress): number {
  return (totalRows - rows + (epochs - epoch) * totalRows) / rowsPerSecond;
}
