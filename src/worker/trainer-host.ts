import {
  createTrainer,
  type Model,
  type Progress,
  type StartEvent,
  type Trainer,
  type TrainerOptions,
} from "../api.js";
import type { ProgressEvent, WorkerEvent } from "./protocol.js";
import { TELL_MILLISECONDS } from "./rows.js";

/**
 * A trainer whose events are asked for one by one.
 *
 * Like the trainer itself it does not go on behind an epoch before the next event is asked for: what the page does
 * with an epoch's weights is done with these. Progress is told only while somebody waits, so none is ever old.
 */
export class TrainerHost {
  readonly #trainer: Trainer;
  readonly #events: AsyncIterator<WorkerEvent, void, undefined>;
  readonly #stop: AbortController;
  /** The event that is being computed. */
  #coming: Promise<WorkerEvent | undefined> | undefined;
  #tell: ((progress: ProgressEvent) => void) | undefined;
  #told = performance.now();

  /** @param stop ends the training, as does `leave` */
  static async create(options: TrainerOptions, stop: AbortController): Promise<TrainerHost> {
    let onProgress: (progress: Progress) => void = () => {};
    const trainer = await createTrainer({
      ...options,
      signal: stop.signal,
      onProgress: (progress) => onProgress(progress),
      ownsRows: true,
    });
    const host = new TrainerHost(trainer, stop);
    onProgress = (progress) => host.#progress(progress);
    return host;
  }

  private constructor(trainer: Trainer, stop: AbortController) {
    this.#trainer = trainer;
    this.#events = trainer[Symbol.asyncIterator]();
    this.#stop = stop;
  }

  get start(): StartEvent {
    return this.#trainer.start;
  }

  /** The next event; undefined behind the last. */
  async next(): Promise<WorkerEvent | undefined> {
    this.#coming ??= this.#events.next().then(({ value }) => value ?? undefined);
    const progress = new Promise<ProgressEvent>((resolve) => {
      this.#tell = resolve;
    });
    try {
      const event = await Promise.race([this.#coming, progress]);
      if (event?.event !== "progress") this.#coming = undefined;
      return event;
    } catch (error) {
      this.#coming = undefined;
      throw error;
    } finally {
      this.#tell = undefined;
    }
  }

  #progress(progress: Progress): void {
    const now = performance.now();
    if (!this.#tell || now - this.#told < TELL_MILLISECONDS) return;
    this.#told = now;
    this.#tell({ event: "progress", ...progress });
  }

  /** Nobody waits for events any more: ends the training where it is. */
  async leave(): Promise<void> {
    this.#stop.abort();
    await this.#coming?.catch(() => undefined);
    await this.#events.return?.();
  }

  model(): Model {
    return this.#trainer.model();
  }

  dispose(): void {
    this.#trainer.dispose();
  }
}
