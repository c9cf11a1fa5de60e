import { Desc } from "../abi";
import { storeTransposed, zero } from "../simd";
import { PAIR_BYTES } from "./field";

/*
 * Rows of a block have slots and pairs of slots in common: of a row's 45 pairs in Frappe, 64 rows have 26 each that no row
 * before them has had. What depends on the pair alone is computed once a block: e_p W and c_p forward; backward is linear in
 * the gradients of these two, so that they are summed over the rows first. The embeddings' gradients, too, leave a block
 * once for each slot that is distinct.
 *
 * Slot 0 is the zeros that stand for unknown features, pair 0 the padding, of slot 0 with itself and the zero row of F.
 */

/** Bytes of an entry {feature, value, owner, dw} of the list of distinct slots. */
const SLOT_BYTES: usize = 16;

/** log2 of the places of a hash table for `items`: at most half are taken. As in src/wasm/plan.ts. */
@inline
function tableBits(items: u32): u32 {
  return 33 - clz(items);
}

/** Begins a block of `rows` rows: nothing but slot 0 and pair 0. */
export function distinctBegin(d: Desc, scratch: usize, rows: u32): void {
  store<u32>(scratch + d.sCounts, 1);
  store<u32>(scratch + d.sCounts, 1, 4);
  memory.fill(scratch + d.sSlotTable, 0, <usize>4 << tableBits(rows * d.M));
  memory.fill(scratch + d.sPairTable, 0, <usize>4 << tableBits(rows * d.activeCount));
  memory.fill(scratch + d.sDistinct, 0, SLOT_BYTES);
  memory.fill(scratch + d.sSlots, 0, <usize>d.Kp << 2);
  const pair = scratch + d.sPairs;
  store<u32>(pair, 0);
  store<u32>(pair, 0, 4);
  store<u32>(pair, d.fieldRows * (d.Kp << 2), 8);
}

/**
 * Slots of a row of the block: those that are new are gathered, x_s v[j_s].
 *
 * @param rowSlots out u32[M] byte offset of each slot's vector in the block's slots, 0 for unknown features
 * @param owner    out u32[M] 1 where the slot is new: its record will hold the gradient of all that are equal. Or 0
 * @param first        number of the row's first slot in the batch
 * @param rows         of the block
 */
export function distinctSlots(
  rowSlots: usize, owner: usize, d: Desc, scratch: usize, features: usize, values: usize, first: u32, rows: u32,
): void {
  const laneBytes = <usize>d.Kp << 2, rowBytes = <usize>d.rowFloats << 2;
  const list = scratch + d.sDistinct, slots = scratch + d.sSlots, table = scratch + d.sSlotTable;
  const shift = 32 - tableBits(rows * d.M), mask = ((<u32>1 << (32 - shift)) - 1) << 2;
  let count = load<u32>(scratch + d.sCounts);
  for (let i: u32 = 0; i < d.M; i++) {
    const at = <usize>i << 2;
    const j = load<u32>(features + at), x = values ? load<u32>(values + at) : 0x3f800000;
    let slot: u32 = 0;
    let fresh: u32 = 0;
    if (j != d.n) {
      let place = ((j ^ x) * 0x9e3779b1 >>> shift) << 2;
      for (; (slot = load<u32>(table + place)) != 0; place = (place + 4) & mask) {
        const entry = list + <usize>slot * SLOT_BYTES;
        // Two places of a row never share one: productsBackward keeps dv_s in registers while it adds to dv_t.
        if (load<u32>(entry) == j && load<u32>(entry, 4) == x && load<u32>(entry, 8) % d.M == i) break;
      }
      if (!slot) {
        slot = count++;
        fresh = 1;
        store<u32>(table + place, slot);
        const entry = list + <usize>slot * SLOT_BYTES;
        store<u32>(entry, j);
        store<u32>(entry, x, 4);
        store<u32>(entry, first + i, 8);
        store<u32>(entry, 0, 12);
        const v = d.table + <usize>j * rowBytes, to = slots + <usize>slot * laneBytes;
        const xs = f32x4.splat(reinterpret<f32>(x));
        for (let k: usize = 0; k < laneBytes; k += 16) v128.store(to + k, f32x4.mul(xs, v128.load(v + k)));
      }
    }
    store<u32>(rowSlots + at, slot * <u32>laneBytes);
    if (owner) store<u32>(owner + at, fresh);
  }
  store<u32>(scratch + d.sCounts, count);
}

/**
 * Pairs of a row of the block of which both features are known, in the order of the list.
 *
 * @param rowPairs out u32[Pp] number of each pair in the block's list, 0 in the padding
 * @param rowSlots in  u32[M] of distinctSlots
 * @returns pairs without the padding
 */
export function distinctPairs(rowPairs: usize, d: Desc, scratch: usize, rowSlots: usize, rows: u32): u32 {
  const list = scratch + d.sPairs, table = scratch + d.sPairTable;
  const shift = 32 - tableBits(rows * d.activeCount), mask = ((<u32>1 << (32 - shift)) - 1) << 2;
  let count = load<u32>(scratch + d.sCounts, 4);
  let known: u32 = 0;
  let from = d.active, places = d.activeSlots;
  for (let p: u32 = 0; p < d.activeCount; p++, from += PAIR_BYTES, places += 8) {
    const s = load<u32>(rowSlots + <usize>load<u32>(places)), t = load<u32>(rowSlots + <usize>load<u32>(places, 4));
    if (!s || !t) continue;
    const F = load<u32>(from, 8);
    let place = ((s * 0x85ebca6b + t) * 0x9e3779b1 + F * 0xc2b2ae35 >>> shift) << 2;
    let pair: u32 = 0;
    for (; (pair = load<u32>(table + place)) != 0; place = (place + 4) & mask) {
      const entry = list + <usize>pair * PAIR_BYTES;
      if (load<u32>(entry) == s && load<u32>(entry, 4) == t && load<u32>(entry, 8) == F) break;
    }
    if (!pair) {
      pair = count++;
      store<u32>(table + place, pair);
      const entry = list + <usize>pair * PAIR_BYTES;
      store<u32>(entry, s);
      store<u32>(entry, t, 4);
      store<u32>(entry, F, 8);
    }
    store<u32>(rowPairs + (<usize>known << 2), pair);
    known++;
  }
  for (let p = known; p & 3; p++) store<u32>(rowPairs + (<usize>p << 2), 0);
  store<u32>(scratch + d.sCounts, count, 4);
  return known;
}

/** Bᵀ of B f32[m, n], both multiples of 4; row strides in bytes. */
export function transpose(out: usize, B: usize, m: u32, n: u32, outBytes: usize, bBytes: usize): void {
  const nBytes = <usize>n << 2;
  for (const end = B + <usize>m * bBytes; B < end; B += bBytes << 2, out += 16) {
    let to = out;
    for (let j: usize = 0; j < nBytes; j += 16, to += outBytes << 2) {
      const b = B + j;
      storeTransposed(
        to, outBytes, v128.load(b), v128.load(b + bBytes), v128.load(b + 2 * bBytes), v128.load(b + 3 * bBytes),
      );
    }
  }
}

/**
 * What a row has of the block's pairs: H = (e_p W)ᵀ and c_p.
 *
 * @param H        out f32[Ap, Pp]
 * @param c        out f32[Pp]
 * @param Z        in  f32[pairs, Ap] of the block
 * @param C        in  f32[pairs]
 * @param rowPairs in  u32[Pp]
 */
export function gatherPairs(H: usize, c: usize, Z: usize, C: usize, rowPairs: usize, Ap: u32, Pp: u32): void {
  const aBytes = <usize>Ap << 2, pBytes = <usize>Pp << 2;
  for (let p: usize = 0; p < pBytes; p += 16) {
    const p0 = <usize>load<u32>(rowPairs + p), p1 = <usize>load<u32>(rowPairs + p, 4);
    const p2 = <usize>load<u32>(rowPairs + p, 8), p3 = <usize>load<u32>(rowPairs + p, 12);
    store<f32>(c + p, load<f32>(C + (p0 << 2)));
    store<f32>(c + p, load<f32>(C + (p1 << 2)), 4);
    store<f32>(c + p, load<f32>(C + (p2 << 2)), 8);
    store<f32>(c + p, load<f32>(C + (p3 << 2)), 12);
    const z0 = Z + p0 * aBytes, z1 = Z + p1 * aBytes, z2 = Z + p2 * aBytes, z3 = Z + p3 * aBytes;
    let to = H + p;
    for (let a: usize = 0; a < aBytes; a += 16, to += pBytes << 2) {
      storeTransposed(to, pBytes, v128.load(z0 + a), v128.load(z1 + a), v128.load(z2 + a), v128.load(z3 + a));
    }
  }
}

/**
 * Adds a row's gradients to those of the block's pairs.
 *
 * @param dZ       in/out f32[pairs, Ap]    accumulated (+=)
 * @param dC       in/out f32[pairs]        accumulated (+=)
 * @param HT       in     f32[Pp, Ap]
 * @param dc       in     f32[Pp]
 * @param rowPairs in     u32[Pp]
 */
export function scatterPairs(dZ: usize, dC: usize, HT: usize, dc: usize, rowPairs: usize, Ap: u32, P: u32): void {
  const aBytes = <usize>Ap << 2;
  for (let p: usize = 0, end = <usize>P << 2; p < end; p += 4, HT += aBytes) {
    const pair = <usize>load<u32>(rowPairs + p);
    const z = dZ + pair * aBytes, c = dC + (pair << 2);
    store<f32>(c, load<f32>(c) + load<f32>(dc + p));
    for (let a: usize = 0; a < aBytes; a += 16) v128.store(z + a, f32x4.add(v128.load(z + a), v128.load(HT + a)));
  }
}

/** dw of a row's slots: += dy. */
export function scatterLinear(d: Desc, scratch: usize, rowSlots: usize, dy: f32): void {
  const toEntry = d.Kp >> 2;
  const list = scratch + d.sDistinct;
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4) {
    const dw = list + <usize>(load<u32>(rowSlots + i) / toEntry);
    store<f32>(dw, load<f32>(dw, 12) + dy, 12);
  }
}

/** Gradients of the block's distinct slots to those of their records: dv = x · (gradient of v x), dw = x Σ dy behind it. */
export function distinctRecords(d: Desc, scratch: usize): void {
  const laneBytes = <usize>d.Kp << 2, recordBytes = <usize>d.rowFloats << 2;
  let entry = scratch + d.sDistinct, from = scratch + d.sSlotGrad;
  for (const end = entry + <usize>load<u32>(scratch + d.sCounts) * SLOT_BYTES; ; ) {
    entry += SLOT_BYTES;
    from += laneBytes;
    if (entry >= end) break;
    const out = d.slotGrad + <usize>load<u32>(entry, 8) * recordBytes;
    const x = load<f32>(entry, 4);
    const xs = f32x4.splat(x);
    for (let k: usize = 0; k < laneBytes; k += 16) v128.store(out + k, f32x4.mul(xs, v128.load(from + k)));
    v128.store(out + laneBytes, f32x4.replace_lane(zero(), 0, x * load<f32>(entry, 12)));
  }
}
