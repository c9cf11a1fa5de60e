import { Desc } from "../abi";
import { matmulTransposedA } from "../kernels/dense";
import { distinctBegin, distinctPairs, gatherPairs, scatterPairs } from "../kernels/distinct";
import { KEEP_ALL } from "../kernels/dropout";
import { PAIR_BYTES } from "../kernels/field";
import { linearForward } from "../kernels/linear";
import { productsForward } from "../kernels/products";
import {
  attendedGradients, attendedRecords, attendedSum, attendedWeights, chunkFields, FORWARD_FLOATS, pairCount, pairsBackward,
  rowBegin,
} from "./attended";

/*
 * AFM and IFM, a block of rows at a time, each distinct pair once (kernels/distinct.ts). Whether that is done depends on
 * the rows alone, and a score has the same bits either way.
 */

/** After so many rows a block whose pairs hardly repeat is given up; shorter ones are not begun. */
const FIRST_ROWS: u32 = 16;

/** Backward: pairs at a time, so that what they have of BACKWARD_LANES lanes stays in the first cache. As in src/wasm/plan.ts. */
const BACKWARD_PAIRS: u32 = 48;

@inline
function rowOf(d: Desc, scratch: usize, r: u32): usize {
  return scratch + d.sShared + <usize>r * d.sharedRow;
}

/** Rows of the next block out of `left`. */
@inline
export function sharedRows(d: Desc, left: u32): u32 {
  return d.sharedRows ? min(d.sharedRows, left) : left;
}

/**
 * Looks for the distinct pairs of rows b … b + rows - 1. Dropout of the products makes every pair of every row another one.
 *
 * @returns how many, padded to 4; or 0: more than four of five, so that the rows had better be done one by one
 */
export function sharedPairs(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): u32 {
  if (!d.sharedRows || rows < FIRST_ROWS || (training && d.keepProducts < KEEP_ALL)) return 0;
  distinctBegin(d, scratch);
  let count: u32 = 1;
  for (let r: u32 = 0; r < rows; r++) {
    const row = rowOf(d, scratch, r), begin = rowBegin(d, b + r), values = d.values ? d.values + begin : 0;
    const known = distinctPairs(row + d.sRowPairs, row + d.sRowSlots, d, scratch, d.features + begin, values);
    store<u32>(row + d.sState, known, 4);
    count = load<u32>(scratch + d.sCounts, 4);
    if (r == FIRST_ROWS - 1 && count > (FIRST_ROWS - 1) * d.activeCount) return 0;
  }
  if (5 * count > 4 * rows * d.activeCount) return 0;
  const pairs = scratch + d.sBlockPairs;
  for (; count & 3; count++) memory.copy(pairs + <usize>count * PAIR_BYTES, pairs, PAIR_BYTES);
  return count;
}

/** The slots of a row that are new, x_s v[j_s]. */
@inline
function gatherNew(d: Desc, slots: usize, rowSlots: usize, features: usize, values: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4) {
    const slot = <usize>load<u32>(rowSlots + i);
    if (!(slot & 1)) continue;
    const v = d.table + <usize>load<u32>(features + i) * (<usize>d.rowFloats << 2), to = slots + slot - 1;
    const x = values ? v128.load32_splat(values + i) : f32x4.splat(1);
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(to + k, f32x4.mul(x, v128.load(v + k)));
  }
}

/** Scores of the rows, into d.yHat. @param pairs of sharedPairs */
export function sharedForward(d: Desc, b: u32, rows: u32, pairs: u32, scratch: usize, training: bool): void {
  const slots = scratch + d.sBlockSlots;
  memory.fill(slots, 0, <usize>d.Kp << 2);
  for (let r: u32 = 0; r < rows; r++) {
    const begin = rowBegin(d, b + r), features = d.features + begin, values = d.values ? d.values + begin : 0;
    gatherNew(d, slots, rowOf(d, scratch, r) + d.sRowSlots, features, values);
    store<f32>(d.yHat + (<usize>(b + r) << 2), linearForward(d, features, values, d.M));
  }

  const Z = scratch + d.sPairHidden, C = scratch + d.sPairScores, products = scratch + d.sProducts;
  const aBytes = <usize>d.Ap << 2;
  const group = max<u32>(8, FORWARD_FLOATS / d.Kp & ~7);
  for (let p: u32 = 0; p < pairs; p += group) {
    const some = min(group, pairs - p), first = <usize>p, bytes = <usize>some << 2;
    const list = scratch + d.sBlockPairs + first * PAIR_BYTES;
    productsForward(products, C + (first << 2), d, d.fieldPairs, slots, 0, list, some, 1);
    matmulTransposedA(Z + first * aBytes, products, d.attnW, d.Kp, some, d.Ap, aBytes, bytes, aBytes, false);
  }

  for (let r: u32 = 0; r < rows; r++) {
    const row = rowOf(d, scratch, r);
    const P = pairCount(d, row);
    if (!P) continue;
    gatherPairs(row + d.sHidden, row + d.sScores, Z, C, row + d.sRowPairs, d.Ap, (P + 3) & ~3);
    const at = d.yHat + (<usize>(b + r) << 2);
    store<f32>(at, load<f32>(at) + attendedSum(d, row, attendedWeights(d, b + r, row, training)));
  }
}

/** Bᵀ of B f32[m, n]. By single numbers: there are few. */
function transpose(out: usize, B: usize, m: u32, n: u32): void {
  for (let i: u32 = 0; i < m; i++) {
    let to = out + (<usize>i << 2);
    for (const end = B + (<usize>n << 2); B < end; B += 4, to += <usize>m << 2) store<f32>(to, load<f32>(B));
  }
}

/**
 * Gradients of the rows: of their records into d.slotGrad, of the dense parameters into the chunk's sums. That of a slot
 * goes to the record of the row that had it first.
 *
 * @param dy    f32[rows] dLoss/dŷ
 * @param chunk in/out f32[chunkFloats], accumulated (+=)
 */
export function sharedBackward(
  d: Desc, b: u32, rows: u32, pairs: u32, scratch: usize, dy: usize, chunk: usize,
): void {
  const aBytes = <usize>d.Ap << 2;
  const dZ = scratch + d.sPairHidden, dC = scratch + d.sPairScores, slotGrad = scratch + d.sBlockGrad;
  const hidden = scratch + d.sHiddenT;
  memory.fill(dZ, 0, <usize>pairs * aBytes);
  memory.fill(dC, 0, <usize>pairs << 2);
  memory.fill(slotGrad, 0, (<usize>d.Kp << 2) * load<u32>(scratch + d.sCounts));
  for (let r: u32 = 0; r < rows; r++) {
    const row = rowOf(d, scratch, r);
    const g = load<f32>(dy + (<usize>r << 2));
    store<f32>(chunk, load<f32>(chunk) + g);
    const P = pairCount(d, row);
    if (!P) continue;
    attendedGradients(d, b + r, row, g, g, chunk, hidden);
    scatterPairs(dZ, dC, hidden, row + d.sDropped, row + d.sRowPairs, d.Ap, P);
  }
  for (let p: u32 = 0; p < pairs; p += BACKWARD_PAIRS) {
    const some = min(BACKWARD_PAIRS, pairs - p);
    const hiddenT = dZ + <usize>p * aBytes;
    transpose(hidden, hiddenT, some, d.Ap);
    pairsBackward(
      d, scratch + d.sProducts, scratch + d.sBlockSlots, slotGrad, d.fieldPairs, chunkFields(d, chunk), hidden, hiddenT,
      dC + (<usize>p << 2), 0, scratch + d.sBlockPairs + <usize>p * PAIR_BYTES, some, chunk, 0,
    );
  }
  for (let r: u32 = 0; r < rows; r++) {
    attendedRecords(d, b + r, slotGrad, load<f32>(dy + (<usize>r << 2)), rowOf(d, scratch, r) + d.sRowSlots);
  }
}
