/**
 * Ids beyond the table become n, the record that stays zero. Four at a time: as a loop of JavaScript this took an eighth of
 * the time in which FM K = 64 scores the rows.
 *
 * @param ids   in/out u32[count]
 * @param n            features of the table
 * @returns how many there were
 */
export function replaceUnknown(ids: usize, count: usize, n: u32): u32 {
  const last = i32x4.splat(n);
  let unknown = i32x4.splat(0);
  const end = ids + (count << 2);
  for (; ids + 16 <= end; ids += 16) {
    const v = v128.load(ids);
    // All bits of a lane: -1.
    unknown = i32x4.sub(unknown, i32x4.ge_u(v, last));
    v128.store(ids, i32x4.min_u(v, last));
  }
  let sum: u32 = i32x4.extract_lane(unknown, 0) + i32x4.extract_lane(unknown, 1);
  sum += i32x4.extract_lane(unknown, 2) + i32x4.extract_lane(unknown, 3);
  for (; ids < end; ids += 4) {
    if (load<u32>(ids) < n) continue;
    store<u32>(ids, n);
    sum++;
  }
  return sum;
}
