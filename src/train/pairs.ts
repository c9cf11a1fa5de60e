import type { BprConfig, ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { Grouping, type Groups, groupRows, slotsOfFields } from "../data/groups.js";
import { IfmError } from "../errors.js";
import type { Kernels } from "../wasm/load.js";
import type { RowViews } from "../wasm/session.js";

// Streams of random numbers; src/wasm/session.ts and assembly/kernels/dropout.ts have the others.
const STREAM_PAIRS = 5;
const STREAM_NEGATIVES = 6;

/** Items drawn until one is found that the group has not liked. */
const TRIES = 32;

/** Rows that are drawn for each liked one where rows to evaluate have nothing else. */
const EVALUATION_NEGATIVES = 10;

type Random = Pick<Kernels, "key" | "below" | "shuffle">;

/**
 * The pairs of rows that the loss `bpr` is summed over: Rendle et al. 2009, "BPR: Bayesian personalized ranking from
 * implicit feedback". Every epoch has the same liked rows, in another order and against other rows.
 */
export interface Pairs {
  /** The rows that a session must hold. */
  readonly data: Dataset;
  /** Pairs of an epoch. */
  readonly count: number;
  /** Arranges an epoch: row order[2i] is to be ranked before row order[2i + 1]. */
  arrange(views: RowViews, random: Random, epoch: number): void;
  /** Rows to evaluate. Where they have nothing to rank the liked ones against, with drawn ones. */
  evaluated(data: Dataset, random: Random): RowsToRank;
}

/** Rows, and which of them compete. */
export interface RowsToRank {
  data: Dataset;
  groups?: Groups;
}

/** @throws IfmError IFM_DATA when no group has a label above `middle` and another one */
export function checkRankable({ data, groups }: RowsToRank, middle: number): void {
  if (groups === undefined) return;
  const seen = new Uint8Array(groups.count);
  for (let row = 0; row < data.rows; row++) {
    const group = groups.of[row]!;
    seen[group]! |= data.labels[row]! > middle ? 1 : 2;
    if (seen[group] === 3) return;
  }
  throw new IfmError("IFM_DATA", `no group has rows with labels above and below ${middle}, so nothing can be ranked`, {
    file: data.name,
    hint: "see --group-by; with --item-fields, rows of one label are ranked against drawn ones",
  });
}

/** @throws IfmError IFM_DATA when there is no pair */
export function pairsOf(
  data: Dataset,
  { fieldOfSlot }: Pick<ModelConfig, "fieldOfSlot">,
  bpr: BprConfig,
  seed: number,
  shuffle: boolean,
): Pairs {
  const groupSlots = slotsOfFields(bpr.groupBy, fieldOfSlot, "groupBy");
  const epochs = { seed, shuffle, negatives: bpr.negatives };
  if (bpr.itemFields.length === 0) return new ListedPairs(data, groupSlots, epochs);
  return new DrawnPairs(data, groupSlots, slotsOfFields(bpr.itemFields, fieldOfSlot, "itemFields"), epochs);
}

interface Epochs {
  seed: number;
  shuffle: boolean;
  negatives: number;
}

/** Numbers of the pairs in the order of an epoch, into the front of `order`. */
function orderPairs(order: Uint32Array, count: number, random: Random, { seed, shuffle }: Epochs, epoch: number): void {
  for (let i = 0; i < count; i++) order[i] = i;
  if (shuffle) random.shuffle(order.byteOffset, count, random.key(seed, STREAM_PAIRS, epoch, 0));
}

/** A row of a group against another one with a lower label, drawn evenly from those there are. */
class ListedPairs implements Pairs {
  readonly data: Dataset;
  readonly count: number;
  readonly #epochs: Epochs;
  readonly #groupSlots: readonly number[];
  /** Rows by group, within a group by label. */
  readonly #sorted: Uint32Array;
  /** Rows that have something below them; and where in #sorted their groups begin, and their labels. */
  readonly #liked: Uint32Array;
  readonly #from: Uint32Array;
  readonly #to: Uint32Array;

  constructor(data: Dataset, groupSlots: readonly number[], epochs: Epochs) {
    const { labels, rows } = data;
    const groups = groupRows(data, groupSlots).of;
    const sorted = Uint32Array.from({ length: rows }, (_, row) => row);
    sorted.sort((a, b) => groups[a]! - groups[b]! || labels[a]! - labels[b]! || a - b);
    const liked = new Uint32Array(rows);
    const from = new Uint32Array(rows);
    const to = new Uint32Array(rows);
    let found = 0;
    let group = 0;
    let label = 0;
    for (let place = 1; place < rows; place++) {
      const [row, before] = [sorted[place]!, sorted[place - 1]!];
      if (groups[row] !== groups[before]) group = label = place;
      else if (labels[row] !== labels[before]) label = place;
      if (label === group) continue;
      liked[found] = row;
      from[found] = group;
      to[found++] = label;
    }
    if (found === 0) {
      throw new IfmError("IFM_DATA", "no two rows of a group differ in their labels, so there is no pair", {
        file: data.name,
        hint: "list what was not liked, too, or name the fields of the item (--item-fields) to draw it",
      });
    }
    this.data = data;
    this.#groupSlots = groupSlots;
    this.count = found * epochs.negatives;
    this.#epochs = epochs;
    this.#sorted = sorted;
    this.#liked = liked.subarray(0, found);
    this.#from = from;
    this.#to = to;
  }

  arrange({ order }: RowViews, random: Random, epoch: number): void {
    orderPairs(order, this.count, random, this.#epochs, epoch);
    const key = random.key(this.#epochs.seed, STREAM_NEGATIVES, epoch, 0);
    // From the back, so that no number is overwritten before it is used.
    for (let i = this.count - 1; i >= 0; i--) {
      const pair = order[i]!;
      const p = pair % this.#liked.length;
      const from = this.#from[p]!;
      order[2 * i] = this.#liked[p]!;
      order[2 * i + 1] = this.#sorted[from + random.below(key, pair, this.#to[p]! - from)]!;
    }
  }

  evaluated(data: Dataset): RowsToRank {
    return { data, groups: groupRows(data, this.#groupSlots) };
  }
}

/** A liked row against the same row with another item, drawn evenly from the items of the training rows. */
class DrawnPairs implements Pairs {
  readonly data: Dataset;
  readonly count: number;
  readonly #epochs: Epochs;
  readonly #training: Dataset;
  readonly #groupSlots: readonly number[];
  readonly #itemSlots: readonly number[];
  readonly #groups: Grouping;
  readonly #items: Grouping;
  /** Rows that are liked. */
  readonly #liked: Uint32Array;
  /** Of each item, a training row that has it. */
  readonly #rowOfItem: Uint32Array;
  /** Group · items + item of the liked training rows. */
  readonly #known: Set<number>;
  readonly #groupOfRow: Uint32Array;

  constructor(data: Dataset, groupSlots: readonly number[], itemSlots: readonly number[], epochs: Epochs) {
    this.#training = data;
    this.#epochs = epochs;
    this.#groupSlots = groupSlots;
    this.#itemSlots = itemSlots;
    this.#groups = new Grouping(groupSlots);
    this.#items = new Grouping(itemSlots);
    this.#groupOfRow = this.#groups.of(data);
    const items = this.#items.of(data);
    if (this.#items.count < 2) {
      throw new IfmError("IFM_DATA", "every row has the same item, so there is no other to draw", {
        file: data.name,
        hint: "--item-fields names the fields of what is ranked",
      });
    }
    this.#rowOfItem = new Uint32Array(this.#items.count);
    items.forEach((item, row) => {
      this.#rowOfItem[item] = row;
    });
    this.#liked = likedRows(data);
    this.#known = new Set(Array.from(this.#liked, (row) => this.#pair(this.#groupOfRow[row]!, items[row]!)));
    this.data = withCopies(data, this.#liked, epochs.negatives);
    this.count = this.#liked.length * epochs.negatives;
  }

  arrange({ order, ...slots }: RowViews, random: Random, epoch: number): void {
    orderPairs(order, this.count, random, this.#epochs, epoch);
    const { rows } = this.#training;
    for (let i = this.count - 1; i >= 0; i--) {
      const pair = order[i]!;
      const liked = this.#liked[pair % this.#liked.length]!;
      const item = this.#draw(random, epoch, pair, this.#groupOfRow[liked]!);
      this.#putItem(item, this.data.rowPtr[rows + pair]!, slots);
      order[2 * i] = liked;
      order[2 * i + 1] = rows + pair;
    }
  }

  evaluated(data: Dataset, random: Random): RowsToRank {
    const rows = data.labelMin < data.labelMax ? data : this.#withDrawnRows(data, random);
    return { data: rows, groups: groupRows(rows, this.#groupSlots) };
  }

  #withDrawnRows(data: Dataset, random: Random): Dataset {
    const liked = likedRows(data);
    const groups = this.#groups.of(data);
    const items = this.#items.of(data);
    const own = liked.filter((row) => items[row]! < this.#rowOfItem.length);
    const known = Array.from(own, (row) => this.#pair(groups[row]!, items[row]!)).filter(
      (pair) => !this.#known.has(pair),
    );
    const copies = withCopies(data, liked, EVALUATION_NEGATIVES);
    const slots = { features: copies.features, values: copies.values ?? undefined, unknown: 2 ** 32 - 1 };
    for (const pair of known) this.#known.add(pair);
    for (let copy = data.rows; copy < copies.rows; copy++) {
      const row = liked[(copy - data.rows) % liked.length]!;
      // Epochs count from 1: what is drawn here is drawn in no epoch.
      this.#putItem(this.#draw(random, 0, copy, groups[row]!), copies.rowPtr[copy]!, slots);
    }
    for (const pair of known) this.#known.delete(pair);
    return copies;
  }

  #pair(group: number, item: number): number {
    return group * this.#rowOfItem.length + item;
  }

  /** An item that the group has not liked in the rows at hand; after many tries, any. */
  #draw({ key, below }: Random, epoch: number, pair: number, group: number): number {
    const items = this.#rowOfItem.length;
    let item = 0;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      item = below(key(this.#epochs.seed, STREAM_NEGATIVES, epoch, attempt), pair, items);
      if (!this.#known.has(this.#pair(group, item))) break;
    }
    return item;
  }

  /** Writes an item's features over those of the row whose slots begin at `at`. */
  #putItem(item: number, at: number, { features, values, unknown }: Omit<RowViews, "order">): void {
    const source = this.#training;
    const from = source.rowPtr[this.#rowOfItem[item]!]!;
    for (const slot of this.#itemSlots) {
      features[at + slot] = Math.min(source.features[from + slot]!, unknown);
      if (values && source.values) values[at + slot] = source.values[from + slot]!;
    }
  }
}

/** Rows with more than the smallest label; where all have one label, all rows. */
function likedRows({ rows, labels, labelMin, labelMax }: Dataset): Uint32Array {
  const all = Uint32Array.from({ length: rows }, (_, row) => row);
  return labelMin === labelMax ? all : all.filter((row) => labels[row]! > labelMin);
}

/** The label of what was drawn. */
export function lowLabel({ labelMin, labelMax }: Dataset): number {
  if (labelMin < labelMax) return labelMin;
  return labelMin > 0 ? 0 : labelMin - 1;
}

/** The rows, then `times` copies of some of them with the low label: copy c is of row which[c % which.length]. */
function withCopies(data: Dataset, which: Uint32Array, times: number): Dataset {
  const rows = data.rows + times * which.length;
  const { lineOf: _line, ...rest } = data;
  const rowPtr = new Uint32Array(rows + 1);
  rowPtr.set(data.rowPtr);
  const original = (row: number) => (row < data.rows ? row : which[(row - data.rows) % which.length]!);
  for (let row = data.rows; row < rows; row++) {
    const source = original(row);
    rowPtr[row + 1] = rowPtr[row]! + data.rowPtr[source + 1]! - data.rowPtr[source]!;
  }
  const labels = new Float32Array(rows).fill(lowLabel(data));
  labels.set(data.labels);
  const features = new Uint32Array(rowPtr[rows]!);
  features.set(data.features);
  const values = data.values && new Float32Array(rowPtr[rows]!);
  values?.set(data.values!);
  for (let row = data.rows; row < rows; row++) {
    const source = original(row);
    const [from, to] = [data.rowPtr[source]!, data.rowPtr[source + 1]!];
    features.copyWithin(rowPtr[row]!, from, to);
    values?.copyWithin(rowPtr[row]!, from, to);
  }
  return { ...rest, rows, rowPtr, labels, features, values, labelMin: lowLabel(data) };
}
