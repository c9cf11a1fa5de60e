import { AFM, Desc, maskRowBytes } from "../abi";
import { distinctBegin, distinctPairs, gatherNew, gatherPairs, scatterPairs } from "../kernels/distinct";
import { dropoutMasks, KEEP_ALL, STREAM_PRODUCTS } from "../kernels/dropout";
import { PAIR_BYTES } from "../kernels/field";
import { linkPairs } from "../kernels/masked";
import { keepScale, key } from "../random";
import {
  attendedGradients, attendedRecords, attendedSum, attendedWeights, chunkFields, pairCount, pairsBackward,
  pairsForward, rowBegin,
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

/**
 * Looks for the distinct pairs of rows b … b + rows - 1.
 *
 * @returns how many, padded to 4; or 0: more than four of five, so that the rows had better be done one by one
 */
function findPairs(d: Desc, b: u32, rows: u32, scratch: usize): u32 {
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

/** Pairs of the block that forward has computed together, or 0: its rows are done one by one. */
@inline
export function sharedPairs(d: Desc, scratch: usize): u32 {
  return load<u32>(scratch + d.sCounts, 8);
}

/** AFM's masks of the rows. */
function rowMasks(d: Desc, b: u32, rows: u32, masks: usize): void {
  const bytes = maskRowBytes(d);
  for (const end = b + rows; b < end; b++, masks += bytes) {
    dropoutMasks(masks, key(d.seed, STREAM_PRODUCTS, d.step, b), 1, <u32>bytes >> 4, d.keepProducts);
  }
}

/**
 * Scores of the block of rows b … b + rows - 1, into d.yHat, if that pays.
 *
 * @returns whether it does
 */
export function sharedForward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): bool {
  const pairs: u32 = rows < FIRST_ROWS ? 0 : findPairs(d, b, rows, scratch);
  store<u32>(scratch + d.sCounts, pairs, 8);
  if (!pairs) return false;
  const slots = scratch + d.sBlockSlots;
  memory.fill(slots, 0, <usize>d.Kp << 2);
  for (let r: u32 = 0; r < rows; r++) {
    const begin = rowBegin(d, b + r), features = d.features + begin, values = d.values ? d.values + begin : 0;
    const linear = gatherNew(slots, d, rowOf(d, scratch, r) + d.sRowSlots, features, values);
    store<f32>(d.yHat + (<usize>(b + r) << 2), linear);
  }
  const Z = scratch + d.sPairHidden, C = scratch + d.sPairScores;
  // With dropout of the products a pair has another score in each row; what is gathered of C then goes where nobody looks.
  const masked = training && d.keepProducts < KEEP_ALL;
  const scores = masked ? d.sDropped : d.sScores, first = masked ? scratch + d.sFirst : 0;
  if (masked) {
    linkPairs(d, b, rows, scratch, pairs);
    if (d.model == AFM) rowMasks(d, b, rows, scratch + d.sMasks);
  }
  pairsForward(d, scratch, slots, d.fieldPairs, 0, first, scratch + d.sBlockPairs, pairs, C, Z, true);
  for (let r: u32 = 0; r < rows; r++) {
    const row = rowOf(d, scratch, r);
    const P = pairCount(d, row);
    if (!P) continue;
    gatherPairs(row + d.sHidden, row + scores, Z, C, row + d.sRowPairs, d.Ap, (P + 3) & ~3);
    const at = d.yHat + (<usize>(b + r) << 2);
    store<f32>(at, load<f32>(at) + attendedSum(d, row, attendedWeights(d, b + r, row, training)));
  }
  return true;
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
export function sharedBackward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  const pairs = sharedPairs(d, scratch);
  const aBytes = <usize>d.Ap << 2;
  const dZ = scratch + d.sPairHidden, dC = scratch + d.sPairScores, slotGrad = scratch + d.sBlockGrad;
  const hidden = scratch + d.sHiddenT;
  const masked = d.keepProducts < KEEP_ALL;
  const scale: f32 = masked ? keepScale(d.keepProducts) : 1;
  memory.fill(dZ, 0, <usize>pairs * aBytes);
  memory.fill(dC, 0, <usize>pairs << 2);
  memory.fill(slotGrad, 0, (<usize>d.Kp << 2) * load<u32>(scratch + d.sCounts));
  for (let r: u32 = 0; r < rows; r++) {
    const row = rowOf(d, scratch, r);
    const g = load<f32>(dy + (<usize>r << 2));
    store<f32>(chunk, load<f32>(chunk) + g);
    const P = pairCount(d, row);
    if (!P) continue;
    attendedGradients(d, b + r, row, g, g * scale, chunk, hidden);
    scatterPairs(dZ, dC, hidden, row + d.sDropped, row + d.sRowPairs, d.Ap, P);
  }
  for (let p: u32 = 0; p < pairs; p += BACKWARD_PAIRS) {
    const some = min(BACKWARD_PAIRS, pairs - p);
    const hiddenT = dZ + <usize>p * aBytes;
    transpose(hidden, hiddenT, some, d.Ap);
    const first = masked ? scratch + d.sFirst + (<usize>p << 2) : 0;
    pairsBackward(
      d, scratch, scratch + d.sBlockSlots, slotGrad, d.fieldPairs, chunkFields(d, chunk), hidden, hiddenT, dC + (<usize>p << 2),
      0, first, scratch + d.sBlockPairs + <usize>p * PAIR_BYTES, some, chunk, 0,
    );
  }
  for (let r: u32 = 0; r < rows; r++) {
    attendedRecords(d, b + r, slotGrad, load<f32>(dy + (<usize>r << 2)), rowOf(d, scratch, r) + d.sRowSlots);
  }
}
