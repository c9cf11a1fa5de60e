import { Desc } from "../abi";
import { matmulTransposedA } from "../kernels/dense";
import {
  distinctBegin, distinctPairs, distinctRecords, distinctSlots, gatherPairs, scatterLinear, scatterPairs, transpose,
} from "../kernels/distinct";
import { PAIR_BYTES } from "../kernels/field";
import { linearForward } from "../kernels/linear";
import { productsForward } from "../kernels/products";
import {
  attendedGradients, attendedSum, attendedWeights, chunkFields, FORWARD_FLOATS, pairCount, pairsBackward, rowBegin,
} from "./attended";

/*
 * AFM, IFM and DeepIFM, a block of rows at a time, each distinct pair once (kernels/distinct.ts). Dropout of the products
 * makes every pair of every row another one, and so does INN, which weights them by row: these are done row by row.
 */

/** Backward: pairs at a time, so that what they have of BACKWARD_LANES lanes stays in the first cache. */
const BACKWARD_PAIRS: u32 = 48;

@inline
function rowSlotsOf(d: Desc, scratch: usize, r: u32): usize {
  return scratch + d.sRowSlots + (<usize>(r * d.M) << 2);
}

@inline
function rowPairsOf(d: Desc, scratch: usize, r: u32): usize {
  return scratch + d.sRowPairs + (<usize>(r * ((d.P + 3) & ~3)) << 2);
}

/** Scores of rows b … b + rows - 1, into d.yHat. */
export function sharedForward(d: Desc, b: u32, rows: u32, scratch: usize, training: bool): void {
  distinctBegin(d, scratch, rows);
  for (let r: u32 = 0; r < rows; r++) {
    const begin = rowBegin(d, b + r);
    const features = d.features + begin, values = d.values ? d.values + begin : 0;
    const rowSlots = rowSlotsOf(d, scratch, r), first = (b + r) * d.M;
    const owner = training ? d.slotOwner + (<usize>first << 2) : 0;
    distinctSlots(rowSlots, owner, d, scratch, features, values, first, rows);
    const row = scratch + <usize>r * d.scratchRow;
    store<u32>(row + d.sState, distinctPairs(rowPairsOf(d, scratch, r), d, scratch, rowSlots, rows), 4);
    store<f32>(d.yHat + (<usize>(b + r) << 2), linearForward(d, features, values, d.M));
  }

  const pairs = scratch + d.sPairs, Z = scratch + d.sPairHidden, C = scratch + d.sPairScores;
  const products = scratch + d.sProducts, hidden = scratch + d.sPiece;
  const aBytes = <usize>d.Ap << 2;
  const count = load<u32>(scratch + d.sCounts, 4), padded = (count + 3) & ~3;
  for (let p = count; p < padded; p++) memory.copy(pairs + <usize>p * PAIR_BYTES, pairs, PAIR_BYTES);
  const group = max<u32>(8, FORWARD_FLOATS / d.Kp & ~7);
  for (let p: u32 = 0; p < padded; p += group) {
    const some = min(group, padded - p), first = <usize>p, bytes = <usize>some << 2;
    const slots = scratch + d.sSlots;
    productsForward(products, C + (first << 2), d, d.fieldPairs, slots, 0, pairs + first * PAIR_BYTES, some, 1);
    matmulTransposedA(hidden, d.attnW, products, d.Kp, d.Ap, some, bytes, aBytes, bytes, false);
    transpose(Z + first * aBytes, hidden, d.Ap, some, aBytes, bytes);
  }

  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const P = pairCount(d, row);
    if (!P) continue;
    gatherPairs(row + d.sHidden, row + d.sScores, Z, C, rowPairsOf(d, scratch, r), d.Ap, (P + 3) & ~3);
    const at = d.yHat + (<usize>(b + r) << 2);
    store<f32>(at, load<f32>(at) + attendedSum(d, row, attendedWeights(d, b + r, row, training)));
  }
}

/** Slots of row r of the block, x_s v[j_s], for DeepIFM's network. @param out f32[M, Kp] */
export function sharedInput(out: usize, d: Desc, r: u32, scratch: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  const rowSlots = rowSlotsOf(d, scratch, r);
  for (let i: u32 = 0; i < d.M; i++, out += laneBytes) {
    memory.copy(out, scratch + d.sSlots + <usize>load<u32>(rowSlots + (<usize>i << 2)), laneBytes);
  }
}

/** Their gradients, to be added. @param dx f32[M, Kp] */
export function sharedInputGrad(dx: usize, d: Desc, r: u32, scratch: usize): void {
  const laneBytes = <usize>d.Kp << 2;
  const rowSlots = rowSlotsOf(d, scratch, r);
  for (let i: u32 = 0; i < d.M; i++, dx += laneBytes) {
    const to = scratch + d.sSlotGrad + <usize>load<u32>(rowSlots + (<usize>i << 2));
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(to + k, f32x4.add(v128.load(to + k), v128.load(dx + k)));
  }
}

/** Before sharedInputGrad and sharedBackward. */
export function sharedBackwardBegin(d: Desc, scratch: usize): void {
  memory.fill(scratch + d.sSlotGrad, 0, (<usize>d.Kp << 2) * load<u32>(scratch + d.sCounts));
}

/**
 * Gradients of the block: of its records into d.slotGrad, of the dense parameters into the chunk's sums.
 *
 * @param dy    f32[rows] dLoss/dŷ
 * @param chunk in/out f32[chunkFloats], accumulated (+=)
 */
export function sharedBackward(d: Desc, b: u32, rows: u32, scratch: usize, dy: usize, chunk: usize): void {
  const aBytes = <usize>d.Ap << 2;
  const dZ = scratch + d.sPairHidden, dC = scratch + d.sPairScores;
  const hiddenT = scratch + d.sHiddenT;
  const padded = (<usize>load<u32>(scratch + d.sCounts, 4) + 3) & ~3;
  memory.fill(dZ, 0, padded * aBytes);
  memory.fill(dC, 0, padded << 2);
  for (let r: u32 = 0; r < rows; r++) {
    const row = scratch + <usize>r * d.scratchRow;
    const g = load<f32>(dy + (<usize>r << 2));
    store<f32>(chunk, load<f32>(chunk) + g);
    scatterLinear(d, scratch, rowSlotsOf(d, scratch, r), g);
    const P = pairCount(d, row);
    if (!P) continue;
    attendedGradients(d, b + r, row, g, g, chunk, hiddenT);
    scatterPairs(dZ, dC, hiddenT, row + d.sDropped, rowPairsOf(d, scratch, r), d.Ap, P);
  }

  const slots = scratch + d.sSlots, slotGrad = scratch + d.sSlotGrad, hidden = scratch + d.sPiece;
  for (let p: usize = 0; p < padded; p += BACKWARD_PAIRS) {
    const some = min(BACKWARD_PAIRS, <u32>(padded - p));
    transpose(hidden, dZ + p * aBytes, some, d.Ap, <usize>some << 2, aBytes);
    pairsBackward(
      d, scratch + d.sProducts, slotGrad, chunkFields(d, chunk), d.fieldPairs, slots, hidden, dZ + p * aBytes, dC + (p << 2), 0,
      scratch + d.sPairs + p * PAIR_BYTES, some, chunk, 0,
    );
  }
  distinctRecords(d, scratch);
}
