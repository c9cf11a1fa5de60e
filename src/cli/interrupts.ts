import { EXIT } from "./exit.js";
import type { Io } from "./io.js";

/** `npx` passes on the Ctrl-C that the terminal has sent already: what follows the first this soon is the same one. */
export const SAME_INTERRUPT_MS = 500;

/**
 * Ctrl-C and requests to terminate, while a training is under way: the first one asks the training to stop, so that
 * its best model can be saved; the second one, and any while nothing is being trained, ends the process at once.
 */
export class Interrupts {
  readonly #controller = new AbortController();
  readonly #stopListening: () => void;
  /** When the first one came, in milliseconds. */
  #first: number | undefined;
  /** Whether there is a training that would end by itself after an interrupt. */
  training = false;

  constructor(io: Io, onFirst: () => void) {
    this.#stopListening = io.onInterrupt(() => {
      const now = performance.now();
      if (!this.training) {
        io.exit(EXIT.interrupted);
      } else if (this.#first === undefined) {
        this.#first = now;
        this.#controller.abort();
        onFirst();
      } else if (now - this.#first > SAME_INTERRUPT_MS) {
        io.exit(EXIT.interrupted);
      }
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  dispose(): void {
    this.#stopListening();
  }
}
