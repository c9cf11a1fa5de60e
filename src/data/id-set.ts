/** Ids of a page, a power of two. */
const PAGE = 2 ** 13;

/**
 * A set of ids below `count`, one bit each, in pages that are made when an id of theirs comes: one row with the id
 * 2,147,483,647 costs 2 MB, not 268.
 */
export class IdSet {
  size = 0;
  readonly #pages: (Uint32Array | undefined)[];
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
    this.#pages = new Array(Math.ceil(count / PAGE));
  }

  add(id: number): void {
    const at = Math.floor(id / PAGE);
    let page = this.#pages[at];
    if (page === undefined) {
      page = new Uint32Array(PAGE / 32);
      this.#pages[at] = page;
    }
    const word = (id % PAGE) >>> 5;
    const bit = 1 << (id & 31);
    if ((page[word] & bit) !== 0) return;
    page[word] |= bit;
    this.size++;
  }

  has(id: number): boolean {
    const page = this.#pages[Math.floor(id / PAGE)];
    return page !== undefined && (page[(id % PAGE) >>> 5] & (1 << (id & 31))) !== 0;
  }

  delete(id: number): void {
    if (!this.has(id)) return;
    this.#pages[Math.floor(id / PAGE)]![(id % PAGE) >>> 5] &= ~(1 << (id & 31));
    this.size--;
  }

  /** The smallest ids that are not in the set. */
  firstMissing(limit: number): number[] {
    const missing: number[] = [];
    for (let id = 0; id < this.#count && missing.length < limit; id++) if (!this.has(id)) missing.push(id);
    return missing;
  }
}
