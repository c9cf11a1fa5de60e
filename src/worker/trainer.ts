import { IfmError } from "../errors.js";
import type { StartEvent } from "../train/types.js";
import type { Remote } from "./connection.js";
import { WorkerModel } from "./model.js";
import type { TrainerCalls, WorkerEvent } from "./protocol.js";

/** One training run in a worker: an async iterable of its events, to be iterated once. */
export class WorkerTrainer implements AsyncIterable<WorkerEvent> {
  /** The first event: the whole configuration. */
  readonly start: StartEvent;
  readonly #remote: Remote<TrainerCalls>;
  readonly #forget: () => void;
  #iterated = false;

  /**
   * @internal Use `createTrainer`.
   *
   * @param forget called when the training can no longer be stopped
   */
  constructor(remote: Remote<TrainerCalls>, start: StartEvent, forget: () => void) {
    this.#remote = remote;
    this.start = start;
    this.#forget = forget;
  }

  /**
   * Trains and tells: one start event, one event an epoch, one end event, and progress about ten times a second. Leaving
   * the loop ends the training.
   *
   * @throws IfmError IFM_DIVERGED when the loss or a validation metric stops being finite; `model()` then still has the
   *         best weights so far
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<WorkerEvent, void, undefined> {
    if (this.#iterated) throw new IfmError("IFM_USAGE", "trainer: a run can be iterated once; create another trainer");
    this.#iterated = true;
    try {
      for (;;) {
        const event = await this.#remote.call("next", []);
        if (event === undefined) return;
        yield event;
      }
    } finally {
      this.#forget();
      // Where the worker is gone, nothing is left to be ended.
      await this.#remote.call("leave", []).catch(() => undefined);
    }
  }

  /** The best weights so far as a model, in the same worker. */
  async model(): Promise<WorkerModel> {
    return new WorkerModel(this.#remote.connection, await this.#remote.call("model", []));
  }

  /** Ends the training and gives up its memory; the worker ends when it holds no model either. */
  dispose(): void {
    this.#forget();
    this.#remote.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
