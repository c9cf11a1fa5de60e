import cliProgress from "cli-progress";
import type { Progress } from "../train/types.js";
import { count, duration } from "./format.js";
import type { Stream } from "./io.js";

const BAR_COLUMNS = 24;

/** What stands before and after a bar. */
export interface BarText {
  label: string;
  rate: string;
}

/** A line that shows how far the running epoch is: rows, rows per second and the time until training ends at most. */
export class ProgressBar {
  readonly #bar: cliProgress.SingleBar;
  /** Epoch of the bar on the screen. */
  #epoch: number | undefined;

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

  /** @param text what stands before and after the bar of an epoch */
  show(progress: Progress, text: BarText = epochText(progress)): void {
    const { phase, epoch, rows, totalRows } = progress;
    if (phase === "evaluate") {
      // Evaluation is short and tells no rows; the bar of the epoch stays.
      this.#bar.update({ rate: "  evaluating" });
      return;
    }
    if (this.#epoch === epoch) {
      this.#bar.update(rows, text);
      return;
    }
    this.hide();
    this.#epoch = epoch;
    this.#bar.start(totalRows, rows, text);
  }

  hide(): void {
    if (this.#epoch === undefined) return;
    this.#bar.stop();
    this.#epoch = undefined;
  }
}

function epochText(progress: Progress): BarText {
  const { epoch, epochs, rowsPerSecond } = progress;
  const left = duration(secondsLeft(progress));
  return { label: `epoch ${epoch}/${epochs}`, rate: `  ${count(rowsPerSecond)} rows/s  ETA ${left}` };
}

/** Time until the last epoch is trained; early stopping and evaluation are not foreseen. */
export function secondsLeft({ epoch, epochs, rows, totalRows, rowsPerSecond }: Progress): number {
  return (totalRows - rows + (epochs - epoch) * totalRows) / rowsPerSecond;
}
