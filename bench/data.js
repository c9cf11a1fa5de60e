/*
 * Rows that are made up, with the shape of public data sets: what a row costs depends on how many slots it has, how many
 * features there are and how often each comes, not on what they mean.
 */

/** mulberry32: the same rows in every run. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Features of each field. Frappe: user, item, and eight of context; MovieLens tags: user, film, tag. */
export const FIELDS = {
  frappe: [957, 4082, 7, 7, 2, 3, 2, 9, 80, 233],
  "ml-tag": [17045, 23743, 49657],
};

export const sum = (numbers) => numbers.reduce((total, x) => total + x, 0);

/** M fields of about the same size, `features` together. */
export function equalFields(M, features) {
  return Array.from({ length: M }, (_, f) => Math.floor(((f + 1) * features) / M) - Math.floor((f * features) / M));
}

/**
 * One feature of each field in every row, labels ±1.
 *
 * @param {readonly number[]} fields features of each field
 * @param {number} rows
 * @param {number} skew feature ⌊size · u^skew⌋ of its field, u uniform: 1 = all alike; 3 = the first tenth comes in 46 %
 *   of the rows, as in data that people make
 */
export function madeRows(fields, rows, skew = 3, seed = 1) {
  const random = randomFrom(seed);
  const M = fields.length;
  const features = new Uint32Array(rows * M);
  const labels = new Float32Array(rows);
  for (let r = 0, i = 0; r < rows; r++) {
    let first = 0;
    for (const size of fields) {
      features[i++] = first + Math.floor(size * random() ** skew);
      first += size;
    }
    labels[r] = random() < 0.5 ? -1 : 1;
  }
  return {
    name: `${rows} made rows`,
    rows,
    labels,
    rowPtr: Uint32Array.from({ length: rows + 1 }, (_, r) => r * M),
    features,
    values: null,
    featureCount: sum(fields),
    minSlots: M,
    maxSlots: M,
    labelMin: -1,
    labelMax: 1,
  };
}

/** Rows `from` … `to` - 1 as a data set. */
export function slice(data, from, to) {
  const [begin, end] = [data.rowPtr[from], data.rowPtr[to]];
  return {
    ...data,
    rows: to - from,
    labels: data.labels.slice(from, to),
    rowPtr: data.rowPtr.slice(from, to + 1).map((at) => at - begin),
    features: data.features.slice(begin, end),
  };
}

/** The rows as libFM text. */
export function libfmText({ rows, labels, rowPtr, features }) {
  const lines = [];
  for (let r = 0; r < rows; r++) {
    lines.push([labels[r], ...Array.from(features.subarray(rowPtr[r], rowPtr[r + 1]), (j) => `${j}:1`)].join(" "));
  }
  return `${lines.join("\n")}\n`;
}
