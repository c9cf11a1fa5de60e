import { EXIT } from "./exit.js";
import type { Io } from "./io.js";

/**
 * Ctrl-C and requests to terminate, while a training is under way: the first one asks the training to stop, so that
 * its best model can be saved; the second one, and any while nothing is being trained, ends the process at once.
 */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #stopListening: () => void;
  /** Whether there is a training that would end by itself after an interrupt. */
  training = false;

  constructor(io: Io, onFirst: () => void) {
    this.#stopListening = io.onInterrupt(() => {
      if (!this.training || this.signal.aborted) return io.exit(EXIT.interrupted);
      this.#controller.abort();
      onFirst();
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  dispose(): void {
    this.#stopListening();
  }
}
