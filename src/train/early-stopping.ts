/** Remembers the best value of a metric that is better when lower, and when to give up. */
export class EarlyStopping {
  readonly #patience: number;
  #best = Number.POSITIVE_INFINITY;
  #bestEpoch = 0;

  /** @param patience epochs without improvement before training ends; 0 = never */
  constructor(patience: number) {
    this.#patience = patience;
  }

  get bestEpoch(): number {
    return this.#bestEpoch;
  }

  /** The best value so far and its epoch, to go on from. */
  get best(): number {
    return this.#best;
  }

  resume(best: number, bestEpoch: number): void {
    this.#best = best;
    this.#bestEpoch = bestEpoch;
  }

  /** @returns whether this epoch is the best so far */
  update(epoch: number, value: number): boolean {
    if (!(value < this.#best)) return false;
    this.#best = value;
    this.#bestEpoch = epoch;
    return true;
  }

  shouldStop(epoch: number): boolean {
    return this.#patience > 0 && epoch - this.#bestEpoch >= this.#patience;
  }
}
