import { Desc, FM, INN } from "../abi";
import { attentionForward, softmax } from "../kernels/attention";
import { batchNormForward } from "../kernels/batch-norm";
import { matmulTransposedA, networkForward } from "../kernels/dense";
import { PAIR_BYTES } from "../kernels/field";
import { concatForward, padPairs, productsForward } from "../kernels/products";
import { pairwiseNorms } from "../kernels/norms";
import { pairwiseFrom } from "../kernels/pairwise";
import { gatherAt, linearFrom } from "../kernels/table";
import { hsum, madd, zero } from "../simd";
import { FORWARD_FLOATS } from "./attended";
import { laneSum } from "./fm";
import { addOutput } from "./inn";

/*
 * Many candidates that share a context. What the context gives alone is computed once: its share of the linear part and
 * of FM's sums, the pairs within it with their attention logits. Each candidate adds its own slots and the pairs with
 * them; the softmax runs over all.
 */

/** What is ranked; src/model/rank.ts writes it, field by field. Features are <= n; values may be 0: every value is 1. */
@unmanaged
export class RankRequest {
  contextSlots: u32;
  contextFeatures: usize; //    u32[contextSlots]
  contextValues: usize; //      f32[contextSlots]
  contextAt: usize; //          u32[contextSlots] places in the row; but FM
  candidateAt: usize; //        u32[M - contextSlots]
  rowPtr: usize; //             u32[count + 1]
  features: usize; //           u32[nnz]
  values: usize; //             f32[nnz]
  count: u32;
  room: usize; //               FM: f32[3, Kp]; others: see Room
}

/** What the candidates share, and what one of them needs, of models with attention. */
@unmanaged
class Room {
  features: usize; //    u32[M] those of the row; of candidates while the lists are made
  shared: usize; //      {s, t, p}[Pp] pairs within the context
  sharedCount: u32;
  own: usize; //         {s, t, p}[Pp] pairs with a candidate's slot
  ownCount: u32;
  known: usize; //       {s, t, p}[Pp] those of them whose features are known
  logits: usize; //      f32[Pp] of the shared pairs
  weights: usize; //     f32[Pp + 4] logits, then T, of the shared pairs and those of a candidate
  scores: usize; //      f32[Pp + 4] c of the same
}

/** No feature has this id. */
const CANDIDATE: u32 = 0xffffffff;

/** Scores of the candidates, into d.yHat. */
export function rankRows(d: Desc, r: RankRequest, scratch: usize): void {
  if (d.model == FM) rankSums(d, r);
  else rankAttended(d, r, scratch);
}

@inline
function valuesAt(values: usize, slot: u32): usize {
  return values ? values + (<usize>slot << 2) : 0;
}

function rankSums(d: Desc, r: RankRequest): void {
  const laneBytes = <usize>d.Kp << 2;
  const base = r.room, z = d.batchNorm ? base + 2 * laneBytes : 0;
  memory.fill(base, 0, 2 * laneBytes);
  pairwiseFrom(base, 0, base, d, r.contextFeatures, r.contextValues, r.contextSlots);
  const shared = linearFrom(0, d, r.contextFeatures, r.contextValues, r.contextSlots);
  const bias = load<f32>(d.bias);
  if (d.tableFormat && !z) {
    evenFirst(base, d.Kp);
    store<f32>(base + laneBytes, laneSum(base + laneBytes, d.Kp));
    pairwiseNorms(d.yHat, bias + shared, base, d, r.rowPtr, r.features, r.values, r.count);
    return;
  }
  for (let c: u32 = 0; c < r.count; c++) {
    const at = r.rowPtr + (<usize>c << 2), first = load<u32>(at), slots = load<u32>(at, 4) - first;
    const features = r.features + (<usize>first << 2), values = valuesAt(r.values, first);
    let pairs = pairwiseFrom(0, z, base, d, features, values, slots);
    if (z) {
      batchNormForward(z, z, d);
      pairs = laneSum(z, d.Kp);
    }
    // The sum first, then the bias, as fm.ts does it.
    store<f32>(d.yHat + (<usize>c << 2), bias + linearFrom(shared, d, features, values, slots) + pairs);
  }
}

/** Of each eight lanes the even ones first, as kernels/norms.ts has them. */
function evenFirst(v: usize, Kp: u32): void {
  for (const end = v + (<usize>(Kp & ~7) << 2); v < end; v += 32) {
    const a = v128.load(v), b = v128.load(v, 16);
    v128.store(v, v128.shuffle<f32>(a, b, 0, 2, 4, 6));
    v128.store(v, v128.shuffle<f32>(a, b, 1, 3, 5, 7), 16);
  }
}

/** Attention logits and c = <e_p, F_p> of some pairs; both are padded to 4. */
function pairLogits(d: Desc, scratch: usize, pairs: usize, P: u32, logits: usize, scores: usize): void {
  const Pp = (P + 3) & ~3, pBytes = <usize>Pp << 2, aBytes = <usize>d.Ap << 2;
  const products = scratch + d.sProducts, hidden = scratch + d.sHidden, slots = scratch + d.sSlots;
  const group = max<u32>(8, FORWARD_FLOATS / d.Kp & ~7);
  for (let p: u32 = 0; p < Pp; p += group) {
    const count = min(group, Pp - p), first = <usize>p;
    productsForward(products, scores + (first << 2), d, d.fieldPairs, slots, 0, pairs + first * PAIR_BYTES, count, 1);
    matmulTransposedA(hidden + (first << 2), d.attnW, products, d.Kp, d.Ap, count, pBytes, aBytes, <usize>count << 2, false);
  }
  attentionForward(logits, hidden, d, P);
}

@inline
function featureOf(room: Room, offset: u32, laneBytes: u32): u32 {
  return load<u32>(room.features + (<usize>(offset / laneBytes) << 2));
}

/** Sorts the pairs into those within the context and those with a candidate's slot; what is unknown is absent. */
function sortPairs(d: Desc, room: Room): void {
  const laneBytes = d.Kp << 2;
  let shared: u32 = 0, own: u32 = 0;
  for (let p: u32 = 0; p < d.activeCount; p++) {
    const pair = d.active + <usize>p * PAIR_BYTES;
    const s = featureOf(room, load<u32>(pair), laneBytes), t = featureOf(room, load<u32>(pair, 4), laneBytes);
    if (s == d.n || t == d.n) continue;
    if (s == CANDIDATE || t == CANDIDATE) {
      memory.copy(room.own + <usize>own * PAIR_BYTES, pair, PAIR_BYTES);
      own++;
    } else {
      memory.copy(room.shared + <usize>shared * PAIR_BYTES, pair, PAIR_BYTES);
      shared++;
    }
  }
  room.sharedCount = shared;
  room.ownCount = own;
  padPairs(room.shared, shared, d);
  padPairs(room.own, own, d);
}

/** The candidate's pairs whose features are known. Returns how many. */
function knownOf(d: Desc, room: Room): u32 {
  const laneBytes = d.Kp << 2;
  let known: u32 = 0;
  for (let p: u32 = 0; p < room.ownCount; p++) {
    const pair = room.own + <usize>p * PAIR_BYTES;
    if (featureOf(room, load<u32>(pair), laneBytes) == d.n || featureOf(room, load<u32>(pair, 4), laneBytes) == d.n) continue;
    memory.copy(room.known + <usize>known * PAIR_BYTES, pair, PAIR_BYTES);
    known++;
  }
  padPairs(room.known, known, d);
  return known;
}

function rankAttended(d: Desc, r: RankRequest, scratch: usize): void {
  const room = changetype<Room>(r.room);
  const laneBytes = <usize>d.Kp << 2, width = d.M - r.contextSlots;
  for (let i: usize = 0, end = <usize>width << 2; i < end; i += 4) {
    store<u32>(room.features + (<usize>load<u32>(r.candidateAt + i) << 2), CANDIDATE);
  }
  for (let i: usize = 0, end = <usize>r.contextSlots << 2; i < end; i += 4) {
    store<u32>(room.features + (<usize>load<u32>(r.contextAt + i) << 2), load<u32>(r.contextFeatures + i));
  }
  // A block of rows goes through a network together.
  for (let b: u32 = 0; b < d.blockRows; b++) {
    const slots = scratch + <usize>b * d.scratchRow + d.sSlots;
    memory.fill(slots, 0, laneBytes * (d.M + 1));
    gatherAt(slots, d, r.contextAt, r.contextFeatures, r.contextValues, r.contextSlots);
  }
  sortPairs(d, room);
  const sharedBytes = <usize>((room.sharedCount + 3) & ~3) << 2;
  if (room.sharedCount) pairLogits(d, scratch, room.shared, room.sharedCount, room.logits, room.scores);
  const linear = linearFrom(load<f32>(d.bias), d, r.contextFeatures, r.contextValues, r.contextSlots);

  const x = scratch + (d.model == INN ? d.sInput : d.sSlots);
  for (let c: u32 = 0; c < r.count; c += d.blockRows) {
    for (let b: u32 = 0; b < d.blockRows && c + b < r.count; b++) {
      const row = scratch + <usize>b * d.scratchRow;
      const first = load<u32>(r.rowPtr + (<usize>(c + b) << 2));
      const features = r.features + (<usize>first << 2), values = valuesAt(r.values, first);
      for (let i: usize = 0, end = <usize>width << 2; i < end; i += 4) {
        store<u32>(room.features + (<usize>load<u32>(r.candidateAt + i) << 2), load<u32>(features + i));
      }
      let pairs = room.own, P = room.ownCount;
      if (gatherAt(row + d.sSlots, d, r.candidateAt, features, values, width) < width) {
        P = knownOf(d, room);
        pairs = room.known;
      }
      let y = linearFrom(linear, d, features, values, width);
      const T = room.weights, all = <u32>(sharedBytes >> 2) + P;
      if (all) {
        memory.copy(T, room.logits, sharedBytes);
        if (P) pairLogits(d, row, pairs, P, T + sharedBytes, room.scores + sharedBytes);
        softmax(T, all);
      }
      if (d.model == INN) {
        const input = row + d.sInput;
        memory.fill(input, 0, laneBytes * d.fieldRows);
        concatForward(input, d, d.fieldPairs, row + d.sSlots, T, 0, room.shared, room.sharedCount, 1);
        concatForward(input, d, d.fieldPairs, row + d.sSlots, T + sharedBytes, 0, pairs, P, 1);
      } else {
        y += weightedSum(T, room.scores, all);
      }
      store<f32>(d.yHat + (<usize>(c + b) << 2), y);
    }
    if (d.layerCount) addOutput(d, c, min(d.blockRows, r.count - c), networkForward(d, scratch, x, d.scratchRow, d.blockRows));
  }
}

/** Σ_p T_p c_p; both are padded with zeros. */
function weightedSum(T: usize, c: usize, P: u32): f32 {
  let sum = zero();
  for (let p: usize = 0, end = <usize>((P + 3) & ~3) << 2; p < end; p += 16) {
    sum = madd(v128.load(T + p), v128.load(c + p), sum);
  }
  return hsum(sum);
}
