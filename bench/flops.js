/*
 * What a row costs on paper: multiplications and additions (each counts one), and bytes that go through the table of
 * features and the buffers of a batch. What a row's own cache holds is not counted. Letters as in docs/NOTATION.md:
 *
 *   M slots, P = M(M - 1)/2 pairs, K factors, A attention factors, KF field factors, B rows of a batch
 *   U features that a batch touches
 *
 * exp, sqrt and a division count one operation as well. So a fraction of the limit is never flattered.
 */

/**
 * @typedef {{ model: "fm" | "afm" | "ifm" | "inn" | "deepifm", M: number, K: number, A: number, KF: number,
 *   hidden: readonly number[] }} Shape
 * @typedef {{ batch: number, touched: number }} Batch  touched: features that a batch touches, on average
 */

/** @param {number} M */
export const pairsOf = (M) => (M * (M - 1)) / 2;

/** Operations of an Adagrad step for one parameter: scale (g + l2 θ), G += g², θ -= lr g / √G. */
const ADAGRAD = 9;

/** Weights of the network's matrices: what a row multiplies. @param {Shape} shape */
export function networkWeights({ model, M, K, hidden }) {
  if (model !== "inn" && model !== "deepifm") return 0;
  const widths = [(model === "inn" ? pairsOf(M) : M) * K, ...hidden, 1];
  return widths.slice(1).reduce((sum, width, l) => sum + widths[l] * width, 0);
}

/** Operations of one score. @param {Shape} shape */
export function forwardFlops(shape) {
  const { model, M, K, A } = shape;
  const P = pairsOf(M);
  const linear = M;
  // S = Σ v, q = Σ v², Σ S² - q; all values are 1.
  if (model === "fm") return linear + 3 * M * K + 3 * K;
  const products = P * K; //            e_p = v_s ⊙ v_t
  const scores = 2 * P * K; //          <e_p, F_p>; INN: T_p e_p ⊙ F_p, which takes as many
  const projection = 2 * P * K * A; //  e_p W
  const attention = 5 * P * A; //       α z + b, act, <h, ·>
  const softmax = 5 * P; //             max, exp, sum, scale; Σ T_p c_p
  const network = 2 * networkWeights(shape);
  return linear + products + scores + projection + attention + softmax + network;
}

/** Operations of a row in training, its share of what is done once a batch included. @param {Shape} shape @param {Batch} batch */
export function trainFlops(shape, { batch, touched }) {
  const { model, M, K, A, KF } = shape;
  const P = pairsOf(M);
  const records = (M + 1) * (K + 1) + (touched / batch) * (ADAGRAD * (K + 1) + 2 * K);
  // S dy, then the sum over a feature's rows of it, then - v Σ dy
  if (model === "fm") return forwardFlops(shape) + K + records;
  const attention = 6 * P * A; //          dz, db, dh
  const softmax = 5 * P;
  const projection = 2 * 2 * P * K * A; // dW += eᵀ dH, de = dH Wᵀ
  const products = 9 * P * K; //           e again; dF += c e; de += c F; dv_s += de v_t; dv_t += de v_s
  const concat = model === "inn" ? 5 * P * K : 0; // <dx, e ⊙ F>; F and e weighted by dx
  const network = 2 * 2 * networkWeights(shape);
  // F_p = (U ⊙ U) D, and back to U and D
  const fields = model === "afm" ? 0 : (3 + 4) * P * K * KF;
  const dense = ADAGRAD * (A * (K + 2) + (model === "afm" ? K : KF * (K + M)) + networkWeights(shape));
  const ofRow = forwardFlops(shape) + attention + softmax + projection + products + concat + network + M * K + records;
  return ofRow + (fields + dense) / batch;
}

/** Bytes of a record [ v | w 0 0 0 ]. @param {number} K */
const recordBytes = (K) => 4 * (4 * Math.ceil(K / 4) + 4);

/** Bytes of one score: the records of the row's features. @param {Shape} shape */
export const forwardBytes = ({ M, K }) => M * recordBytes(K);

/** Bytes of a row in training. @param {Shape} shape @param {Batch} batch */
export function trainBytes({ model, M, K }, { batch, touched }) {
  const record = recordBytes(K);
  const update = 4 * record * (touched / batch); // θ and G, read and written
  // FM keeps Σ v of a row: written, read and written by backward, read for each slot. The others write a gradient a slot.
  const kept = model === "fm" ? (3 + M) * record : 2 * M * record;
  return forwardBytes({ M, K }) + kept + update;
}

/** Bytes that a batch goes back and forth over: the records that it touches, their state, its buffers. */
export function workingSet({ model, M, K }, { batch, touched }, training = true) {
  const record = recordBytes(K);
  return training ? 2 * touched * record + batch * (model === "fm" ? 1 : M) * record : touched * record;
}

/** Mean number of different features in a batch of consecutive rows. */
export function touchedPerBatch({ rows, rowPtr, features }, batch) {
  let sum = 0;
  let batches = 0;
  for (let from = 0; from + batch <= rows; from += batch, batches++) {
    sum += new Set(features.subarray(rowPtr[from], rowPtr[from + batch])).size;
  }
  return batches === 0 ? new Set(features).size : sum / batches;
}
