import { Desc, FM } from "./abi";

/*
 * What the kernels take for granted of addresses, sizes and ids: TypeScript has seen to it before a batch. The builds for
 * tests assert it; in those that are shipped, nothing of this is left. That is so because all loads are in here: one in an
 * argument of `assert` or of these functions would stay, since it could trap.
 */

/** A buffer lies in the memory, at a multiple of 16. */
export function assertBuffer(address: usize, bytes: u64): void {
  if (ASC_NO_ASSERT) return;
  assert((address & 15) == 0 && <u64>address + bytes <= <u64>memory.size() << 16);
}

/** Features have a record in the table; that of n is zero. */
export function assertIds(d: Desc, features: usize, slots: u32): void {
  if (ASC_NO_ASSERT) return;
  for (let i: u32 = 0; i < slots; i++) assert(load<u32>(features + (<usize>i << 2)) <= d.n);
}

/** Rows b … to - 1 of the batch lie in the order in which they are visited. */
export function assertInOrder(d: Desc, b: u32, to: u32): void {
  if (ASC_NO_ASSERT) return;
  for (; b < to; b++) assert(load<u32>(d.order + (<usize>(d.first + b) << 2)) == d.first + b);
}

/** Places of a row's slots, where there are any. */
export function assertPlaces(d: Desc, at: usize, slots: u32): void {
  if (ASC_NO_ASSERT) return;
  if (at) for (let i: u32 = 0; i < slots; i++) assert(load<u32>(at + (<usize>i << 2)) < d.M);
}

/** The rows of a batch, before anything is computed. */
export function assertBatch(d: Desc): void {
  if (ASC_NO_ASSERT) return;
  assertBuffer(d.table, (<u64>d.n + 1) * <u64>d.recordBytes);
  assertBuffer(d.yHat, <u64>d.count << 2);
  assertBuffer(d.order, (<u64>d.first + <u64>d.count) << 2);
  assert((d.Kp & 3) == 0 && d.rowFloats == d.Kp + 4 && d.blockRows > 0);
  for (let b = d.first, to = d.first + d.count; b < to; b++) {
    const r = load<u32>(d.order + (<usize>b << 2));
    assertBuffer(d.labels, (<u64>r + 1) << 2);
    assertBuffer(d.rowPtr, (<u64>r + 2) << 2);
    const begin = load<u32>(d.rowPtr + (<usize>r << 2)), end = load<u32>(d.rowPtr + (<usize>r << 2), 4);
    assert(begin <= end && (d.model == FM || end - begin == d.M));
    assertBuffer(d.features, <u64>end << 2);
    if (d.values) assertBuffer(d.values, <u64>end << 2);
    assertIds(d, d.features + (<usize>begin << 2), end - begin);
  }
}

/** The sorted occurrences of a batch: each belongs to one of its rows or slots, each feature to the table. */
export function assertOccurrences(d: Desc): void {
  if (ASC_NO_ASSERT) return;
  const most = <u64>d.count * (d.model == FM ? 1 : <u64>d.M);
  let from = load<u32>(d.occStart);
  assert(from == 0);
  for (let t: u32 = 0; t < d.touchedCount; t++) {
    const to = load<u32>(d.occStart + (<usize>t << 2), 4);
    assert(from < to && load<u32>(d.touched + (<usize>t << 2)) < d.n);
    for (; from < to; from++) assert(<u64>load<u32>(d.occIndex + (<usize>from << 2)) < most);
  }
}
