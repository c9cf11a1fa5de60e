/*
 * What one core can do at most, measured where the kernels run: the same compiler, the same engine, the same process.
 * Nothing of the package is in here. Compiled to build/bench/limits.wasm; see ../limits.js.
 */

@inline
function hsum(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
}

@inline
function step(a: v128, x: v128, y: v128): v128 {
  return f32x4.add(f32x4.mul(a, x), y);
}

/** Multiplications and additions from registers: 8 accumulators a <- a x + y, `iterations` times. 64 operations each. */
export function registers(iterations: u32, factor: f32, term: f32): f32 {
  const x = f32x4.splat(factor), y = f32x4.splat(term);
  let a0 = f32x4.splat(0), a1 = f32x4.splat(1), a2 = f32x4.splat(2), a3 = f32x4.splat(3);
  let a4 = f32x4.splat(4), a5 = f32x4.splat(5), a6 = f32x4.splat(6), a7 = f32x4.splat(7);
  for (let i: u32 = 0; i < iterations; i++) {
    a0 = step(a0, x, y);
    a1 = step(a1, x, y);
    a2 = step(a2, x, y);
    a3 = step(a3, x, y);
    a4 = step(a4, x, y);
    a5 = step(a5, x, y);
    a6 = step(a6, x, y);
    a7 = step(a7, x, y);
  }
  const low = f32x4.add(f32x4.add(a0, a1), f32x4.add(a2, a3)), high = f32x4.add(f32x4.add(a4, a5), f32x4.add(a6, a7));
  return hsum(f32x4.add(low, high));
}

/**
 * C = A B in blocks of 4 rows × 2 vectors, dense rows: the product that attention is made of.
 *
 * @param C out f32[m, 8]
 * @param A in  f32[m, k]
 * @param B in  f32[k, 8]
 * @param m     a multiple of 4
 */
export function gemm(C: usize, A: usize, B: usize, m: u32, k: u32): void {
  const kBytes = <usize>k << 2;
  for (const aEnd = A + <usize>m * kBytes; A < aEnd; A += kBytes << 2, C += 128) {
    let a0 = A, a1 = a0 + kBytes, a2 = a1 + kBytes, a3 = a2 + kBytes, b = B;
    let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    for (const end = a0 + kBytes; a0 < end; a0 += 4, a1 += 4, a2 += 4, a3 += 4, b += 32) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let x = v128.load32_splat(a0);
      c00 = f32x4.add(c00, f32x4.mul(x, b0));
      c01 = f32x4.add(c01, f32x4.mul(x, b1));
      x = v128.load32_splat(a1);
      c10 = f32x4.add(c10, f32x4.mul(x, b0));
      c11 = f32x4.add(c11, f32x4.mul(x, b1));
      x = v128.load32_splat(a2);
      c20 = f32x4.add(c20, f32x4.mul(x, b0));
      c21 = f32x4.add(c21, f32x4.mul(x, b1));
      x = v128.load32_splat(a3);
      c30 = f32x4.add(c30, f32x4.mul(x, b0));
      c31 = f32x4.add(c31, f32x4.mul(x, b1));
    }
    v128.store(C, c00);
    v128.store(C, c01, 16);
    v128.store(C, c10, 32);
    v128.store(C, c11, 48);
    v128.store(C, c20, 64);
    v128.store(C, c21, 80);
    v128.store(C, c30, 96);
    v128.store(C, c31, 112);
  }
}

/** a = b + s c over `bytes`, a multiple of 64. McCalpin's triad. */
export function triad(a: usize, b: usize, c: usize, bytes: usize, s: f32): void {
  const x = f32x4.splat(s);
  for (let i: usize = 0; i < bytes; i += 64) {
    v128.store(a + i, f32x4.add(v128.load(b + i), f32x4.mul(x, v128.load(c + i))));
    v128.store(a + i, f32x4.add(v128.load(b + i, 16), f32x4.mul(x, v128.load(c + i, 16))), 16);
    v128.store(a + i, f32x4.add(v128.load(b + i, 32), f32x4.mul(x, v128.load(c + i, 32))), 32);
    v128.store(a + i, f32x4.add(v128.load(b + i, 48), f32x4.mul(x, v128.load(c + i, 48))), 48);
  }
}

/**
 * Reads rows of `rowBytes`, a multiple of 64, in the order of a list, as an embedding lookup does.
 *
 * @param table in rows
 * @param list  in u32[count] row numbers
 */
export function readRows(table: usize, list: usize, count: u32, rowBytes: usize): f32 {
  let s0 = f32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  for (const end = list + (<usize>count << 2); list < end; list += 4) {
    let row = table + <usize>load<u32>(list) * rowBytes;
    for (const behind = row + rowBytes; row < behind; row += 64) {
      s0 = f32x4.add(s0, v128.load(row));
      s1 = f32x4.add(s1, v128.load(row, 16));
      s2 = f32x4.add(s2, v128.load(row, 32));
      s3 = f32x4.add(s3, v128.load(row, 48));
    }
  }
  return hsum(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)));
}
