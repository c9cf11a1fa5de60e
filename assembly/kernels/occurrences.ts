import { Desc, FM } from "../abi";

/**
 * Sorts the occurrences of a batch by feature, in row order within a feature, so that each feature's gradient is summed
 * by one owner in one order and stepped once.
 *
 * `touched` and `slotOf` form a sparse set (Briggs & Torczon 1993): nothing has to be cleared between batches. A counting
 * sort over its places follows. Feature n (unknown) is left out.
 *
 * @param d  out  touched, touchedCount, occStart, occIndex, occValue; slotOf is scratch
 */
export function sortOccurrences(d: Desc): void {
  const order = d.order, rowPtr = d.rowPtr, features = d.features, values = d.values;
  const slotOf = d.slotOf, touched = d.touched, start = d.occStart, n = d.n;
  const from = d.first, to = from + d.count;

  // Count: start[t + 1] = occurrences of touched feature t.
  let T: u32 = 0;
  for (let b = from; b < to; b++) {
    const r = <usize>load<u32>(order + (<usize>b << 2)) << 2;
    const end = features + (<usize>load<u32>(rowPtr + r, 4) << 2);
    for (let q = features + (<usize>load<u32>(rowPtr + r) << 2); q < end; q += 4) {
      const j = load<u32>(q);
      if (j == n) continue;
      const place = slotOf + (<usize>j << 2);
      let t = load<u32>(place);
      if (t >= T || load<u32>(touched + (<usize>t << 2)) != j) {
        t = T++;
        store<u32>(place, t);
        store<u32>(touched + (<usize>t << 2), j);
        store<u32>(start + (<usize>t << 2), 0, 4);
      }
      const count = start + (<usize>t << 2);
      store<u32>(count, load<u32>(count, 4) + 1, 4);
    }
  }
  d.touchedCount = T;

  // Where each feature's occurrences begin, shifted by one place: after the last pass start[t] is where t begins.
  let sum: u32 = 0;
  for (let t: u32 = 0; t < T; t++) {
    const at = start + (<usize>t << 2);
    const count = load<u32>(at, 4);
    store<u32>(at, sum, 4);
    sum += count;
  }
  store<u32>(start, 0);

  const byRow = d.model == FM;
  let slotGrad: u32 = 0;
  for (let b = from; b < to; b++) {
    const r = <usize>load<u32>(order + (<usize>b << 2)) << 2;
    const begin = <usize>load<u32>(rowPtr + r) << 2, end = <usize>load<u32>(rowPtr + r, 4) << 2;
    for (let q = begin; q < end; q += 4) {
      const j = load<u32>(features + q);
      if (j != n) {
        const at = start + (<usize>load<u32>(slotOf + (<usize>j << 2)) << 2);
        const place = <usize>load<u32>(at, 4) << 2;
        store<u32>(at, <u32>(place >> 2) + 1, 4);
        if (byRow) {
          store<u32>(d.occIndex + place, b - from);
          store<f32>(d.occValue + place, values ? load<f32>(values + q) : 1);
        } else {
          store<u32>(d.occIndex + place, slotGrad);
        }
      }
      slotGrad++;
    }
  }
}
