import { Desc, FM, INN } from "../abi";
import { attentionForward, softmax } from "../kernels/attention";
import { batchNormForward } from "../kernels/batch-norm";
import { concatOfFour, productsOfFour, softmaxOfFour, spreadSlot, sumOfFour } from "../kernels/candidates";
import { matmulTransposedA, networkForward, networkInputs, networkStart } from "../kernels/dense";
import { PAIR_BYTES } from "../kernels/field";
import { pairwiseNorms } from "../kernels/norms";
import { pairwiseFrom } from "../kernels/pairwise";
import { padPairs } from "../kernels/products";
import { gatherAt, gatherFour, linearFrom } from "../kernels/table";
import { hsum, madd, zero } from "../simd";
import { FORWARD_FLOATS, pairsForward } from "./attended";
import { laneSum } from "./fm";
import { addOutput } from "./inn";

/*
 * Many candidates that share a context. What the context gives alone is computed once: its share of the linear part and of
 * FM's sums; of the others, the pairs within it with their attention, and what it adds to the first layer of a network.
 * Candidates are worked on four at a time, side by side (kernels/candidates.ts); each adds its own slots and the pairs with
 * them, and the softmax runs over all.
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

/** What the candidates share, and what four of them need, of models with attention. src/wasm/serving.ts has the sizes. */
@unmanaged
class Room {
  features: usize; //     u32[M, 4] of four rows
  slots: usize; //        f32[M, Kp, 4] of the same
  shared: usize; //       {s, t, p}[Pp] pairs within the context
  own: usize; //          {s, t, p}[P] pairs with a candidate's slot
  logits: usize; //       f32[Pp] of the shared pairs, then their softmax
  scores: usize; //       f32[Pp] c of the same
  weights: usize; //      f32[P, 4] logits, then T, of the candidates' pairs
  ownScores: usize; //    f32[P, 4] c of the same
  four: usize; //         f32[3, 4] values of a slot; what the context has of T; pair parts of the scores
  inputs: usize; //       f32[inputFloats] what the context gives to the first layer, four times the same
  inputFloats: u32;
  sharedCount: u32;
  ownCount: u32;
  top: f32; //            largest of the logits of shared pairs
  mass: f32; //           Σ exp(logit - top)
  sum: f32; //            Σ T c by their own softmax
}

/** No feature has this id. */
const CANDIDATE: u32 = 0xffffffff;

/** Rows side by side. */
const FOUR: u32 = 4;

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

/** Attention logits and c = <e_p, F_p> of some pairs of a row; both are padded to 4. */
function pairLogits(d: Desc, scratch: usize, pairs: usize, P: u32, logits: usize, scores: usize): void {
  const hidden = scratch + d.sHidden;
  pairsForward(d, scratch, scratch + d.sSlots, d.fieldPairs, 0, 0, pairs, (P + 3) & ~3, scores, hidden, false);
  attentionForward(logits, hidden, d, P);
}

/** The same of the candidates' pairs, of four rows. */
function ownLogits(d: Desc, room: Room, scratch: usize): void {
  const products = scratch + d.sProducts, hidden = scratch + d.sHidden, aBytes = <usize>d.Ap << 2;
  // As many as in pairsForward, and in the room for e_p W.
  const group = min(max<u32>(8, FORWARD_FLOATS / d.Kp & ~7), (d.P + 3) & ~3) / FOUR;
  for (let p: u32 = 0; p < room.ownCount; p += group) {
    const count = min(group, room.ownCount - p), n = FOUR * count, at = <usize>p << 4;
    productsOfFour(products, room.ownScores + at, d, room.slots, room.own + <usize>p * PAIR_BYTES, count);
    matmulTransposedA(hidden, d.attnW, products, d.Kp, d.Ap, n, <usize>n << 2, aBytes, <usize>n << 2, false);
    attentionForward(room.weights + at, hidden, d, n);
  }
}

@inline
function featuresOf(room: Room, offset: u32, laneBytes: u32): usize {
  return room.features + (<usize>(offset / laneBytes) << 4);
}

/** Sorts the pairs into those within the context and those with a candidate's slot; what is unknown is absent. */
function sortPairs(d: Desc, room: Room): void {
  const laneBytes = d.Kp << 2;
  let shared: u32 = 0, own: u32 = 0;
  for (let p: u32 = 0; p < d.activeCount; p++) {
    const pair = d.active + <usize>p * PAIR_BYTES;
    const s = load<u32>(featuresOf(room, load<u32>(pair), laneBytes)), t = load<u32>(featuresOf(room, load<u32>(pair, 4), laneBytes));
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
}

/** The pairs of the candidates' unknown features have no part in the softmax. */
function dropUnknown(d: Desc, room: Room): void {
  const laneBytes = d.Kp << 2, n = i32x4.splat(d.n), lowest = f32x4.splat(-f32.MAX_VALUE);
  let pair = room.own;
  for (let at = room.weights, end = at + (<usize>room.ownCount << 4); at < end; at += 16, pair += PAIR_BYTES) {
    const s = v128.load(featuresOf(room, load<u32>(pair), laneBytes)), t = v128.load(featuresOf(room, load<u32>(pair, 4), laneBytes));
    v128.store(at, v128.bitselect(lowest, v128.load(at), v128.or(i32x4.eq(s, n), i32x4.eq(t, n))));
  }
}

/** What the context gives alone, but the linear part. */
function contextBegin(d: Desc, r: RankRequest, room: Room, scratch: usize): void {
  const laneBytes = <usize>d.Kp << 2, slots = scratch + d.sSlots, width = d.M - r.contextSlots;
  memory.fill(slots, 0, laneBytes * (d.M + 1));
  gatherAt(slots, d, r.contextAt, r.contextFeatures, r.contextValues, r.contextSlots);
  for (let i: usize = 0, end = <usize>width << 2; i < end; i += 4) {
    v128.store(room.features + (<usize>load<u32>(r.candidateAt + i) << 4), i32x4.splat(CANDIDATE));
  }
  for (let i: usize = 0, end = <usize>r.contextSlots << 2; i < end; i += 4) {
    const at = <usize>load<u32>(r.contextAt + i);
    v128.store(room.features + (at << 4), v128.load32_splat(r.contextFeatures + i));
    spreadSlot(room.slots + (at * laneBytes << 2), slots + at * laneBytes, d.Kp);
  }
  sortPairs(d, room);
  room.top = -f32.MAX_VALUE;
  room.mass = 0;
  room.sum = 0;
  if (room.sharedCount) {
    const T = room.logits;
    pairLogits(d, scratch, room.shared, room.sharedCount, T, room.scores);
    room.top = most(T, room.sharedCount);
    softmax(T, room.sharedCount);
    // The largest T is exp(0) / mass.
    room.mass = <f32>1 / most(T, room.sharedCount);
    room.sum = weightedSum(T, room.scores, room.sharedCount);
  }
  if (d.layerCount) contextInputs(d, r, room, scratch);
}

/** The context's share of the first layer; of INN by the softmax over its pairs alone. */
function contextInputs(d: Desc, r: RankRequest, room: Room, scratch: usize): void {
  memory.fill(room.inputs, 0, <usize>room.inputFloats << 2);
  if (d.model == INN) {
    const x = scratch + d.sProducts;
    for (let p: u32 = 0; p < room.sharedCount; p++) {
      v128.store(room.four, v128.load32_splat(room.logits + (<usize>p << 2)));
      pairInputs(room.inputs, d, room, x, room.four, room.shared + <usize>p * PAIR_BYTES);
    }
  } else {
    slotInputs(room.inputs, d, room, r.contextAt, r.contextSlots);
  }
}

@inline
function pairInputs(sums: usize, d: Desc, room: Room, x: usize, T: usize, pair: usize): void {
  concatOfFour(x, T, d, room.slots, pair);
  networkInputs(sums, d, x, load<u32>(pair, 8) >> 2, d.Kp);
}

function slotInputs(sums: usize, d: Desc, room: Room, places: usize, slots: u32): void {
  for (const end = places + (<usize>slots << 2); places < end; places += 4) {
    const first = load<u32>(places) * d.Kp;
    networkInputs(sums, d, room.slots + (<usize>first << 4), first, d.Kp);
  }
}

/** What the network gives four candidates: the address of its last layer. */
function network(d: Desc, r: RankRequest, room: Room, scratch: usize, share: usize): usize {
  if (d.model == INN) {
    const sums = networkStart(d, scratch, room.inputs, share), x = scratch + d.sProducts;
    for (let p: u32 = 0; p < room.ownCount; p++) {
      pairInputs(sums, d, room, x, room.weights + (<usize>p << 4), room.own + <usize>p * PAIR_BYTES);
    }
  } else {
    v128.store(share, f32x4.splat(1));
    slotInputs(networkStart(d, scratch, room.inputs, share), d, room, r.candidateAt, d.M - r.contextSlots);
  }
  return networkForward(d, scratch, 0, 0, FOUR);
}

/** Slots of candidates c … c + rows - 1; behind them, of rows without features. Returns whether all features are known. */
function gatherCandidates(d: Desc, r: RankRequest, room: Room, c: u32, rows: u32): bool {
  const laneBytes = <usize>d.Kp << 2, width = d.M - r.contextSlots;
  let known = true;
  for (let i: u32 = 0; i < width; i++) {
    const place = <usize>load<u32>(r.candidateAt + (<usize>i << 2)), features = room.features + (place << 4);
    for (let k: u32 = 0; k < FOUR; k++) {
      let j = d.n, x: f32 = 1;
      if (k < rows) {
        const at = <usize>(load<u32>(r.rowPtr + (<usize>(c + k) << 2)) + i) << 2;
        j = load<u32>(r.features + at);
        if (r.values) x = load<f32>(r.values + at);
        known = known && j != d.n;
      }
      store<u32>(features + (<usize>k << 2), j);
      store<f32>(room.four + (<usize>k << 2), x);
    }
    gatherFour(room.slots + (place * laneBytes << 2), d, features, room.four);
  }
  return known;
}

function rankAttended(d: Desc, r: RankRequest, scratch: usize): void {
  const room = changetype<Room>(r.room), width = d.M - r.contextSlots;
  const share = room.four + 16, sums = room.four + 32, T = room.weights;
  contextBegin(d, r, room, scratch);
  const linear = linearFrom(load<f32>(d.bias), d, r.contextFeatures, r.contextValues, r.contextSlots);
  for (let c: u32 = 0; c < r.count; c += FOUR) {
    const rows = min(FOUR, r.count - c);
    const known = gatherCandidates(d, r, room, c, rows);
    ownLogits(d, room, scratch);
    if (!known) dropUnknown(d, room);
    v128.store(share, zero());
    if (room.ownCount + room.sharedCount) softmaxOfFour(T, share, room.ownCount, room.top, room.mass);
    v128.store(sums, f32x4.mul(v128.load(share), f32x4.splat(room.sum)));
    sumOfFour(sums, T, room.ownScores, room.ownCount);
    for (let k: u32 = 0; k < rows; k++) {
      const first = load<u32>(r.rowPtr + (<usize>(c + k) << 2));
      const y = linearFrom(linear, d, r.features + (<usize>first << 2), valuesAt(r.values, first), width);
      store<f32>(d.yHat + (<usize>(c + k) << 2), d.model == INN ? y : y + load<f32>(sums + (<usize>k << 2)));
    }
    if (d.layerCount) addOutput(d, c, rows, network(d, r, room, scratch, share));
  }
}

/** Largest of some numbers. */
function most(x: usize, count: u32): f32 {
  let top = load<f32>(x);
  for (const end = x + (<usize>count << 2); x < end; x += 4) top = max(top, load<f32>(x));
  return top;
}

/** Σ_p T_p c_p; both are padded with zeros. */
function weightedSum(T: usize, c: usize, P: u32): f32 {
  let sum = zero();
  for (let p: usize = 0, end = <usize>((P + 3) & ~3) << 2; p < end; p += 16) {
    sum = madd(v128.load(T + p), v128.load(c + p), sum);
  }
  return hsum(sum);
}
