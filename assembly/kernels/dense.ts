import { madd, zero } from "../simd";

// Blocks of 4 rows × 2 vectors: eight accumulators, two vectors of B and one splat fit V8's fifteen registers.

/**
 * C = A B, lanes along the columns of B.
 *
 * @param C out  f32[m, n]    row stride cBytes                    overwritten
 * @param A in   f32[m, k]    row stride aBytes; align 4
 * @param B in   f32[k, n]    row stride bBytes
 * @param m      a multiple of 4
 * @param k      a multiple of 4 (padding: A and B finite, one of them 0)
 * @param n      a multiple of 4
 */
export function matmul(
  C: usize, A: usize, B: usize, m: u32, k: u32, n: u32, cBytes: usize, aBytes: usize, bBytes: usize,
): void {
  const nBytes = <usize>n << 2, kBytes = <usize>k << 2;
  const aEnd = A + <usize>m * aBytes;
  for (; A < aEnd; A += aBytes << 2, C += cBytes << 2) {
    let j: usize = 0;
    for (; j + 32 <= nBytes; j += 32) {
      let a0 = A, a1 = a0 + aBytes, a2 = a1 + aBytes, a3 = a2 + aBytes;
      let b = B + j;
      let c00 = zero(), c01 = zero(), c10 = zero(), c11 = zero();
      let c20 = zero(), c21 = zero(), c30 = zero(), c31 = zero();
      const end = a0 + kBytes;
      while (a0 < end) {
        let b0 = v128.load(b), b1 = v128.load(b, 16);
        let x = v128.load32_splat(a0);
        c00 = madd(x, b0, c00);
        c01 = madd(x, b1, c01);
        x = v128.load32_splat(a1);
        c10 = madd(x, b0, c10);
        c11 = madd(x, b1, c11);
        x = v128.load32_splat(a2);
        c20 = madd(x, b0, c20);
        c21 = madd(x, b1, c21);
        x = v128.load32_splat(a3);
        c30 = madd(x, b0, c30);
        c31 = madd(x, b1, c31);
        b += bBytes;

        b0 = v128.load(b);
        b1 = v128.load(b, 16);
        x = v128.load32_splat(a0, 4);
        c00 = madd(x, b0, c00);
        c01 = madd(x, b1, c01);
        x = v128.load32_splat(a1, 4);
        c10 = madd(x, b0, c10);
        c11 = madd(x, b1, c11);
        x = v128.load32_splat(a2, 4);
        c20 = madd(x, b0, c20);
        c21 = madd(x, b1, c21);
        x = v128.load32_splat(a3, 4);
        c30 = madd(x, b0, c30);
        c31 = madd(x, b1, c31);
        b += bBytes;

        a0 += 8;
        a1 += 8;
        a2 += 8;
        a3 += 8;
      }
      let c = C + j;
      v128.store(c, c00);
      v128.store(c, c01, 16);
      c += cBytes;
      v128.store(c, c10);
      v128.store(c, c11, 16);
      c += cBytes;
      v128.store(c, c20);
      v128.store(c, c21, 16);
      c += cBytes;
      v128.store(c, c30);
      v128.store(c, c31, 16);
    }
    for (; j < nBytes; j += 16) {
      let a0 = A, a1 = a0 + aBytes, a2 = a1 + aBytes, a3 = a2 + aBytes;
      let b = B + j;
      let c0 = zero(), c1 = zero(), c2 = zero(), c3 = zero();
      for (const end = a0 + kBytes; a0 < end; a0 += 4, a1 += 4, a2 += 4, a3 += 4, b += bBytes) {
        const b0 = v128.load(b);
        c0 = madd(v128.load32_splat(a0), b0, c0);
        c1 = madd(v128.load32_splat(a1), b0, c1);
        c2 = madd(v128.load32_splat(a2), b0, c2);
        c3 = madd(v128.load32_splat(a3), b0, c3);
      }
      let c = C + j;
      v128.store(c, c0);
      c += cBytes;
      v128.store(c, c1);
      c += cBytes;
      v128.store(c, c2);
      c += cBytes;
      v128.store(c, c3);
    }
  }
}

/**
 * C += Aᵀ B, lanes along the columns of B; the sum over the rows runs in row order.
 *
 * @param C in/out f32[k, n]    row stride cBytes                  accumulated (+=)
 * @param A in     f32[m, k]    row stride aBytes
 * @param B in     f32[m, n]    row stride bBytes
 * @param m        any
 * @param k        a multiple of 4
 * @param n        a multiple of 4
 */
export function matmulTransposedA(
  C: usize, A: usize, B: usize, m: u32, k: u32, n: u32, cBytes: usize, aBytes: usize, bBytes: usize,
): void {
  const nBytes = <usize>n << 2, kBytes = <usize>k << 2;
  for (let j: usize = 0; j < nBytes; ) {
    const pair = j + 32 <= nBytes;
    for (let i: usize = 0; i < kBytes; i += 16) {
      let a = A + i, b = B + j;
      const end = a + <usize>m * aBytes;
      const r0 = C + (i >> 2) * cBytes + j, r1 = r0 + cBytes, r2 = r1 + cBytes, r3 = r2 + cBytes;
      if (pair) {
        let c00 = v128.load(r0), c01 = v128.load(r0, 16), c10 = v128.load(r1), c11 = v128.load(r1, 16);
        let c20 = v128.load(r2), c21 = v128.load(r2, 16), c30 = v128.load(r3), c31 = v128.load(r3, 16);
        for (; a < end; a += aBytes, b += bBytes) {
          const b0 = v128.load(b), b1 = v128.load(b, 16);
          let x = v128.load32_splat(a);
          c00 = madd(x, b0, c00);
          c01 = madd(x, b1, c01);
          x = v128.load32_splat(a, 4);
          c10 = madd(x, b0, c10);
          c11 = madd(x, b1, c11);
          x = v128.load32_splat(a, 8);
          c20 = madd(x, b0, c20);
          c21 = madd(x, b1, c21);
          x = v128.load32_splat(a, 12);
          c30 = madd(x, b0, c30);
          c31 = madd(x, b1, c31);
        }
        v128.store(r0, c00);
        v128.store(r0, c01, 16);
        v128.store(r1, c10);
        v128.store(r1, c11, 16);
        v128.store(r2, c20);
        v128.store(r2, c21, 16);
        v128.store(r3, c30);
        v128.store(r3, c31, 16);
      } else {
        let c0 = v128.load(r0), c1 = v128.load(r1), c2 = v128.load(r2), c3 = v128.load(r3);
        for (; a < end; a += aBytes, b += bBytes) {
          const b0 = v128.load(b);
          c0 = madd(v128.load32_splat(a), b0, c0);
          c1 = madd(v128.load32_splat(a, 4), b0, c1);
          c2 = madd(v128.load32_splat(a, 8), b0, c2);
          c3 = madd(v128.load32_splat(a, 12), b0, c3);
        }
        v128.store(r0, c0);
        v128.store(r1, c1);
        v128.store(r2, c2);
        v128.store(r3, c3);
      }
    }
    j += pair ? 32 : 16;
  }
}
