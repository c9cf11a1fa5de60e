import { Desc, F16, F32, I8 } from "../abi";
import { assertIds } from "../bounds";
import { decode, weightOf } from "../records";
import { PAIR_BYTES } from "./field";

/*
 * Rows of a block have slots and pairs of slots in common: of a row's 45 pairs in Frappe, 64 rows have 26 each that no row
 * before them has had. What depends on the pair alone, e_p W and <e_p, F_p>, is computed once a block; backward is linear
 * in the gradients of these two, so that they are summed over the rows first.
 *
 * Slot 0 is the zeros that stand for unknown features, pair 0 the padding, of slot 0 with itself and the zero row of F.
 */

/** Number of the entry {a, b, c} of a list; it is added as number `count` unless it is there. */
function entryOf(table: usize, shift: u32, list: usize, count: u32, a: u32, b: u32, c: u32): u32 {
  const mask = ((<u32>1 << (32 - shift)) - 1) << 2;
  let place = ((a * 0x85ebca6b + b) * 0x9e3779b1 + c * 0xc2b2ae35 >>> shift) << 2;
  for (let found: u32 = 0; (found = load<u32>(table + place)) != 0; place = (place + 4) & mask) {
    const entry = list + <usize>found * PAIR_BYTES;
    if (load<u32>(entry) == a && load<u32>(entry, 4) == b && load<u32>(entry, 8) == c) return found;
  }
  store<u32>(table + place, count);
  const entry = list + <usize>count * PAIR_BYTES;
  store<u32>(entry, a);
  store<u32>(entry, b, 4);
  store<u32>(entry, c, 8);
  return count;
}

/** Begins a block of rows: nothing but slot 0 and pair 0. */
export function distinctBegin(d: Desc, scratch: usize): void {
  const pairs = scratch + d.sBlockPairs;
  memory.fill(scratch + d.sTables, 0, <usize>8 << (32 - d.tableShift));
  store<u32>(scratch + d.sCounts, 1);
  store<u32>(scratch + d.sCounts, 1, 4);
  store<u64>(pairs, 0);
  store<u32>(pairs, d.fieldRows * (d.Kp << 2), 8);
}

/**
 * Slots of a row of the block, and its pairs of which both features are known, in the order of the list.
 *
 * @param rowPairs out u32[Pp] number of each pair in the block's list, 0 in the padding
 * @param rowSlots out u32[M] byte offset of each slot's vector in the block's slots, + 1 where it is new; 0: unknown
 * @returns pairs without the padding
 */
export function distinctPairs(
  rowPairs: usize, rowSlots: usize, d: Desc, scratch: usize, features: usize, values: usize,
): u32 {
  const counts = scratch + d.sCounts, shift = d.tableShift;
  const slotTable = scratch + d.sTables, pairTable = slotTable + (<usize>4 << (32 - shift));
  const pairs = scratch + d.sBlockPairs;
  let count = load<u32>(counts);
  for (let i: u32 = 0; i < d.M; i++) {
    const at = <usize>i << 2, j = load<u32>(features + at);
    let slot: u32 = 0;
    if (j != d.n) {
      // Two places of a row never share one: productsBackward keeps dv_s in registers while it adds to dv_t.
      const found = entryOf(slotTable, shift, scratch + d.sDistinct, count, j, values ? load<u32>(values + at) : 0, i);
      const fresh = u32(found == count);
      count += fresh;
      slot = found * (d.Kp << 2) | fresh;
    }
    store<u32>(rowSlots + at, slot);
  }
  store<u32>(counts, count);

  count = load<u32>(counts, 4);
  let known: u32 = 0;
  let from = d.active;
  // 4 s = (4 Kp s) / Kp; a division takes as long as the rest of a pair.
  const inverse = <u64>(0xffffffff / d.Kp + 1);
  for (let p: u32 = 0; p < d.activeCount; p++, from += PAIR_BYTES) {
    const s = load<u32>(rowSlots + <usize>(load<u32>(from) * inverse >> 32)) & ~1;
    const t = load<u32>(rowSlots + <usize>(load<u32>(from, 4) * inverse >> 32)) & ~1;
    if (!s || !t) continue;
    const pair = entryOf(pairTable, shift, pairs, count, s, t, load<u32>(from, 8));
    count += u32(pair == count);
    store<u32>(rowPairs + (<usize>known << 2), pair);
    known++;
  }
  for (let p = known; p & 3; p++) store<u32>(rowPairs + (<usize>p << 2), 0);
  store<u32>(counts, count, 4);
  return known;
}

@inline
function gather(FORMAT: u32, slots: usize, d: Desc, rowSlots: usize, features: usize, values: usize): f32 {
  let sum = load<f32>(d.bias);
  for (let i: usize = 0, end = <usize>d.M << 2; i < end; i += 4) {
    const record = d.table + <usize>load<u32>(features + i) * d.recordBytes;
    const w = weightOf(FORMAT, d, record), x: f32 = values ? load<f32>(values + i) : 1;
    sum += w * x;
    const slot = load<u32>(rowSlots + i);
    if (slot & 1) decode(FORMAT, false, slots + slot - 1, d, record, x);
  }
  return sum;
}

/**
 * The vectors x_s v[j_s] of a row's slots that are new in the block; to the others nothing happens.
 *
 * @param slots    out f32[…, Kp] of the block
 * @param rowSlots in  u32[M] of distinctPairs
 * @returns w0 + Σ_s w[j_s] x_s, with the bits of linearForward
 */
export function gatherNew(slots: usize, d: Desc, rowSlots: usize, features: usize, values: usize): f32 {
  assertIds(d, features, d.M);
  if (isDefined(SMALL_TABLES)) {
    if (d.tableFormat == F16) return gather(F16, slots, d, rowSlots, features, values);
    if (d.tableFormat == I8) return gather(I8, slots, d, rowSlots, features, values);
  }
  return gather(F32, slots, d, rowSlots, features, values);
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
  for (const end = rowPairs + pBytes; rowPairs < end; rowPairs += 4, c += 4, H += 4) {
    const pair = <usize>load<u32>(rowPairs) << 2;
    store<f32>(c, load<f32>(C + pair));
    let to = H;
    for (let z = Z + pair * Ap, zEnd = z + aBytes; z < zEnd; z += 4, to += pBytes) store<f32>(to, load<f32>(z));
  }
}

/**
 * Adds a row's gradients to those of the block's pairs.
 *
 * @param dZ       in/out f32[pairs, Ap]    accumulated (+=)
 * @param dC       in/out f32[pairs]        accumulated (+=)
 * @param HT       in     f32[P, Ap]
 * @param dc       in     f32[P]
 * @param rowPairs in     u32[P]
 */
export function scatterPairs(dZ: usize, dC: usize, HT: usize, dc: usize, rowPairs: usize, Ap: u32, P: u32): void {
  const aBytes = <usize>Ap << 2;
  for (const end = rowPairs + (<usize>P << 2); rowPairs < end; rowPairs += 4, dc += 4, HT += aBytes) {
    const pair = <usize>load<u32>(rowPairs) << 2;
    const z = dZ + pair * Ap, c = dC + pair;
    store<f32>(c, load<f32>(c) + load<f32>(dc));
    for (let a: usize = 0; a < aBytes; a += 16) v128.store(z + a, f32x4.add(v128.load(z + a), v128.load(HT + a)));
  }
}
