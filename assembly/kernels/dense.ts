import { Desc } from "../abi";
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
  assert(((m | k | n) & 3) == 0);
  assert(((C | B | cBytes | bBytes) & 15) == 0 && ((A | aBytes) & 3) == 0);
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
 * C = Aᵀ B, or C += Aᵀ B; lanes along the columns of B; the sum over the rows runs in row order.
 *
 * 30 to 35 GFLOP/s where matmul has 21 to 26 (the shapes of IFM [8,256] and [16,16], Node 20, Zen 3): one pointer walks over
 * A instead of four. The attention therefore keeps its matrices the way round that this kernel wants.
 *
 * @param C in/out f32[k, n]    row stride cBytes                  overwritten, or accumulated (+=) where `add` is set
 * @param A in     f32[m, k]    row stride aBytes
 * @param B in     f32[m, n]    row stride bBytes
 * @param m        any
 * @param k        a multiple of 4
 * @param n        a multiple of 4
 */
export function matmulTransposedA(
  C: usize, A: usize, B: usize, m: u32, k: u32, n: u32, cBytes: usize, aBytes: usize, bBytes: usize,
  add: bool,
): void {
  assert(((k | n) & 3) == 0);
  assert(((C | B | cBytes | bBytes) & 15) == 0 && ((A | aBytes) & 3) == 0);
  const nBytes = <usize>n << 2, kBytes = <usize>k << 2;
  for (let j: usize = 0; j < nBytes; ) {
    const pair = j + 32 <= nBytes;
    for (let i: usize = 0; i < kBytes; i += 16) {
      let a = A + i, b = B + j;
      const end = a + <usize>m * aBytes;
      const r0 = C + (i >> 2) * cBytes + j, r1 = r0 + cBytes, r2 = r1 + cBytes, r3 = r2 + cBytes;
      if (pair) {
        let c00 = zero(), c01 = zero(), c10 = zero(), c11 = zero();
        let c20 = zero(), c21 = zero(), c30 = zero(), c31 = zero();
        if (add) {
          c00 = v128.load(r0);
          c01 = v128.load(r0, 16);
          c10 = v128.load(r1);
          c11 = v128.load(r1, 16);
          c20 = v128.load(r2);
          c21 = v128.load(r2, 16);
          c30 = v128.load(r3);
          c31 = v128.load(r3, 16);
        }
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
        let c0 = zero(), c1 = zero(), c2 = zero(), c3 = zero();
        if (add) {
          c0 = v128.load(r0);
          c1 = v128.load(r1);
          c2 = v128.load(r2);
          c3 = v128.load(r3);
        }
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

/*
 * Networks. A layer is a record of 8 u32 in linear memory:
 *   rows       inputs, padded        columns   units, padded to 4
 *   kernel     f32[rows, columns]    bias      f32[columns]
 *   transpose  f32[columns, rows]    chunk     byte offset of [ dKernel | dBias ] in a chunk's gradients
 *   hidden     byte offset in the block's scratch of f32[blockRows, columns] and
 *   gradient   of its gradient
 */
const LAYER_BYTES: usize = 32;

@inline
function layer(d: Desc, l: u32, field: usize): u32 {
  return load<u32>(d.layers + <usize>l * LAYER_BYTES + (field << 2));
}

/** Transposes every kernel, for backward. */
export function networkBegin(d: Desc): void {
  for (let l: u32 = 0; l < d.layerCount; l++) {
    const rows = layer(d, l, 0), columns = layer(d, l, 1);
    let from = <usize>layer(d, l, 2);
    const transpose = <usize>layer(d, l, 4), stride = <usize>rows << 2;
    for (let i: u32 = 0; i < rows; i++) {
      let to = transpose + (<usize>i << 2);
      for (let j: u32 = 0; j < columns; j++, from += 4, to += stride) store<f32>(to, load<f32>(from));
    }
  }
}

/**
 * H_l = relu(H_{l-1} K_l + b_l), the last layer linear. Returns the address of the last layer's f32[rows, columns].
 *
 * @param scratch of the block
 * @param x       in f32[rows, layer 0's rows], row stride xBytes; or 0: H_0 holds x K_0
 * @param rows    a multiple of 4
 */
export function networkForward(d: Desc, scratch: usize, x: usize, xBytes: usize, rows: u32): usize {
  let A = x, aBytes = xBytes;
  for (let l: u32 = 0; l < d.layerCount; l++) {
    const columns = layer(d, l, 1), bytes = <usize>columns << 2;
    const H = scratch + layer(d, l, 6);
    if (A) matmul(H, A, layer(d, l, 2), rows, layer(d, l, 0), columns, bytes, aBytes, bytes);
    const bias = <usize>layer(d, l, 3);
    const hidden = l + 1 < d.layerCount;
    for (let r = H, end = H + <usize>rows * bytes; r < end; r += bytes) {
      for (let j: usize = 0; j < bytes; j += 16) {
        const z = f32x4.add(v128.load(r + j), v128.load(bias + j));
        v128.store(r + j, hidden ? f32x4.max(z, zero()) : z);
      }
    }
    A = H;
    aBytes = bytes;
  }
  return A;
}

/**
 * x K_0 of four rows begins with what all of them have: sums times each row's share.
 *
 * @param scratch of the block; its H_0 is overwritten
 * @param sums    in f32[4, layer 0's columns]
 * @param share   in f32[4]
 * @returns address of x K_0, f32[4, layer 0's columns]
 */
export function networkStart(d: Desc, scratch: usize, sums: usize, share: usize): usize {
  const H = scratch + layer(d, 0, 6), bytes = <usize>layer(d, 0, 1) << 2;
  let to = H;
  for (const end = share + 16; share < end; share += 4) {
    const x = v128.load32_splat(share);
    for (const last = to + bytes; to < last; to += 16, sums += 16) v128.store(to, f32x4.mul(x, v128.load(sums)));
  }
  return H;
}

/**
 * Adds what some of its inputs give to x K_0 of four rows.
 *
 * @param sums   in/out f32[4, layer 0's columns]
 * @param x      in     f32[inputs, 4]
 * @param first  of the inputs
 */
export function networkInputs(sums: usize, d: Desc, x: usize, first: u32, inputs: u32): void {
  const columns = layer(d, 0, 1), bytes = <usize>columns << 2;
  matmulTransposedA(sums, x, <usize>layer(d, 0, 2) + <usize>first * bytes, inputs, 4, columns, bytes, 16, bytes, true);
}

/**
 * Backward of networkForward.
 *
 * @param dy    in     f32[rows] gradient of the single output; 0 for rows that are none
 * @param dx    out    f32[rows, layer 0's rows], row stride xBytes      overwritten
 * @param chunk in/out gradients of the chunk                            accumulated (+=)
 */
export function networkBackward(
  d: Desc, scratch: usize, x: usize, dx: usize, xBytes: usize, rows: u32, dy: usize, chunk: usize,
): void {
  const last = d.layerCount - 1;
  const top = scratch + layer(d, last, 7);
  for (let r: u32 = 0; r < rows; r++) {
    v128.store(top + (<usize>r << 4), f32x4.replace_lane(zero(), 0, load<f32>(dy + (<usize>r << 2))));
  }
  for (let l = last; ; l--) {
    const inputs = layer(d, l, 0), columns = layer(d, l, 1), bytes = <usize>columns << 2;
    const dH = scratch + layer(d, l, 7);
    const A = l ? scratch + layer(d, l - 1, 6) : x, aBytes = l ? <usize>inputs << 2 : xBytes;
    const dA = l ? scratch + layer(d, l - 1, 7) : dx;
    const dKernel = chunk + layer(d, l, 5), dBias = dKernel + <usize>inputs * bytes;
    matmulTransposedA(dKernel, A, dH, rows, inputs, columns, bytes, aBytes, bytes, true);
    for (let j: usize = 0; j < bytes; j += 16) {
      let sum = v128.load(dBias + j);
      for (let r = dH + j, end = r + <usize>rows * bytes; r < end; r += bytes) sum = f32x4.add(sum, v128.load(r));
      v128.store(dBias + j, sum);
    }
    matmul(dA, dH, layer(d, l, 4), rows, columns, inputs, aBytes, bytes, <usize>inputs << 2);
    if (!l) break;
    for (let i: usize = 0, end = <usize>rows * aBytes; i < end; i += 16) {
      v128.store(dA + i, v128.and(v128.load(dA + i), f32x4.gt(v128.load(A + i), zero())));
    }
  }
}

/** Copies the reduced gradients of a chunk to where the optimizer looks for them. */
export function networkEnd(d: Desc, chunk: usize): void {
  const toGrad = d.grad - d.dense;
  for (let l: u32 = 0; l < d.layerCount; l++) {
    const bytes = <usize>layer(d, l, 1) << 2, kernelBytes = <usize>layer(d, l, 0) * bytes;
    const from = chunk + layer(d, l, 5);
    memory.copy(<usize>layer(d, l, 2) + toGrad, from, kernelBytes);
    memory.copy(<usize>layer(d, l, 3) + toGrad, from + kernelBytes, bytes);
  }
}
