import { IfmError } from "../errors.js";
import { createTrainer, type Trainer, type TrainerOptions } from "../train/trainer.js";
import type { EpochEvent, StartEvent, TrainEvent } from "../train/types.js";

/** Bytes that paused trainings may hold together. */
const PAUSED_BYTES = 2 ** 30;

/** How far a training is. */
export interface Progressed {
  /** Epochs trained. */
  readonly epochs: number;
  /** Seconds of training. */
  readonly seconds: number;
  /** The epoch whose weights are kept. */
  readonly kept: EpochEvent | undefined;
}

/** A training that rests between epochs: a trainer computes nothing while nobody asks for its next event. */
class Run implements Progressed {
  readonly trainer: Trainer;
  readonly #events: AsyncIterator<TrainEvent>;
  epochs = 0;
  seconds = 0;
  kept: EpochEvent | undefined;
  #ended = false;

  constructor(trainer: Trainer) {
    this.trainer = trainer;
    this.#events = trainer[Symbol.asyncIterator]();
  }

  /** Bytes of its memory and of its copy of the best weights. */
  get bytes(): number {
    return this.trainer.start.memoryBytes + 4 * this.trainer.start.parameters;
  }

  /** Trains until so many epochs are done, or early stopping ends it. */
  async advance(epochs: number): Promise<void> {
    while (!this.#ended && this.epochs < epochs) {
      const { value: event } = (await this.#events.next()) as { value: TrainEvent };
      if (event.event === "epoch") {
        this.epochs = event.epoch;
        this.seconds += event.seconds;
        // As the trainer does: with early stopping off, the last epoch is what is kept.
        if (event.best || this.trainer.start.train.earlyStop === 0) this.kept = event;
      } else if (event.event === "end") {
        if (event.reason === "aborted") throw new IfmError("IFM_ABORTED", "interrupted");
        this.#ended = true;
      }
    }
  }
}

/** The trainings of a study, paused where they can be and made again where not: the same options give the same bits. */
export class Runs {
  readonly #options: (trial: number) => TrainerOptions;
  readonly #onStart: (start: StartEvent) => void;
  readonly #runs = new Map<number, Run>();

  /**
   * @param options what a trial is trained with
   * @param onStart called when a trial begins, also when it begins again
   */
  constructor(options: (trial: number) => TrainerOptions, onStart: (start: StartEvent) => void) {
    this.#options = options;
    this.#onStart = onStart;
  }

  /** The trials that are paused. */
  get paused(): number[] {
    return [...this.#runs.keys()];
  }

  /**
   * Trains a trial until so many epochs are done.
   *
   * @throws IfmError as `createTrainer` and `Trainer`, IFM_ABORTED; the training is then given up
   */
  async advance(trial: number, epochs: number): Promise<Progressed> {
    let run = this.#runs.get(trial);
    if (run === undefined) {
      run = new Run(await createTrainer(this.#options(trial)));
      this.#runs.set(trial, run);
      this.#onStart(run.trainer.start);
    }
    try {
      await run.advance(epochs);
      return run;
    } catch (error) {
      this.#drop(trial);
      throw error;
    }
  }

  /** Writes the model file of a trial after so many epochs. */
  async save(trial: number, epochs: number, path: string): Promise<void> {
    await this.advance(trial, epochs);
    const model = this.#runs.get(trial)!.trainer.model();
    await model.save(path);
    model.dispose();
  }

  /** Gives up all trainings but these; of these the last where memory is short. */
  keep(trials: readonly number[], bytes = PAUSED_BYTES): void {
    const wanted = new Set(trials);
    for (const trial of this.paused) if (!wanted.has(trial)) this.#drop(trial);
    let held = 0;
    for (const trial of trials) {
      held += this.#runs.get(trial)?.bytes ?? 0;
      if (held > bytes) this.#drop(trial);
    }
  }

  dispose(): void {
    this.keep([]);
  }

  #drop(trial: number): void {
    this.#runs.get(trial)?.trainer.dispose();
    this.#runs.delete(trial);
  }
}
