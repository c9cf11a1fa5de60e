/**
 * Randomness as a function of (seed, stream, step, row, lane), not a stream: backward makes the mask of forward again
 * instead of storing it, and rows may be split over threads without changing a bit.
 *
 * The bits are part of the format: test/kernels/random.test.ts holds known answers. A seed must give the same model in
 * every version.
 */
import { log64 } from "./math";

/**
 * 32-bit mixer: two rounds of xorshift and multiply, a bijection; hash32(0) == 0.
 *
 * Constants 16 21f0aaad 15 735a2d97 15: of C. Wellons' hash-prospector, found by TheIronBorn
 * (https://github.com/skeeto/hash-prospector, issue 19). Avalanche bias 0.1070, measured over all 2^32 inputs and all
 * pairs of an input and an output bit; lowbias32, of the same form, has 0.1735.
 */
@inline
export function hash32(x: u32): u32 {
  x = (x ^ (x >>> 16)) * 0x21f0aaad;
  x = (x ^ (x >>> 15)) * 0x735a2d97;
  return x ^ (x >>> 15);
}

/** hash32 of every lane. 8 ops. */
@inline
export function hash4(x: v128): v128 {
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), i32x4.splat(0x21f0aaad));
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 15)), i32x4.splat(0x735a2d97));
  return v128.xor(x, i32x4.shr_u(x, 15));
}

/**
 * Key of one row at one step of one stream: four chained rounds. With three of them fixed, different values of the
 * fourth never share a key.
 */
@inline
export function key(seed: u32, stream: u32, step: u32, row: u32): u32 {
  let h = hash32(seed + 0x9e3779b9);
  h = hash32((h ^ stream) + 0x9e3779b9);
  h = hash32((h ^ step) + 0x9e3779b9);
  return hash32((h ^ row) + 0x9e3779b9);
}

/** Probability of keeping in units of 2^-16, rounded to 1 … 65536 (65536: always keep). */
@inline
export function keepThreshold(keep: f32): u32 {
  return <u32>max<f64>(1, min<f64>(65536, nearest(<f64>keep * 65536)));
}

/** 1 / (probability of keeping that the threshold really gives), so that the mean is unbiased. */
@inline
export function keepScale(threshold: u32): f32 {
  return <f32>(65536 / <f64>threshold);
}

/*
 * Masks. Lane l of a key is kept if a number of 16 bits is below the threshold. Its high byte is the lane's own,
 *
 *   byte l mod 16 of A^(1 + l div 16) h,   h = hash4(key + [0 1 2 3]),   A = nextBytes,
 *
 * its low byte, which four lanes of every 16 share, byte 3 of h at the word that the lane's byte is in: with 8 bits a lane
 * the probability is still that of 16. Both are read as signed. A is linear and a bijection. Up to A^1024 any two bytes of
 * a word have rank 16 over GF(2): as h takes every value, any two lanes are independent and each is kept in exactly
 * threshold / 2^16 of the cases. Sixteen lanes for 4 operations, where hash4 takes 8, two of them dear.
 *
 *   const high = keepHigh(threshold), low = keepLow(threshold), all = keepAll(high);
 *   const h = firstBytes(key), above = keepAbove(h, high, low);
 *   for (let x = keepBegin(h, low, all); …; x = nextBytes(x)) { … i8x16.gt_s(above, x) … }
 */

/** Distance of the keys of masks of the same row. */
export const MASK_KEYS: u32 = 4;

/** h */
@inline
export function firstBytes(key: u32): v128 {
  return hash4(i32x4.add(i32x4.splat(key), i32x4(0, 1, 2, 3)));
}

/** A: the next 16 bytes. */
@inline
export function nextBytes(x: v128): v128 {
  x = v128.xor(x, i32x4.shl(x, 9));
  return v128.xor(x, i32x4.shr_u(x, 11));
}

/** High byte of the largest number that is kept, signed. */
@inline
export function keepHigh(threshold: u32): v128 {
  return i8x16.splat(<i8>((threshold - 1 >>> 8) - 128));
}

/** Its low byte, signed, and all ones behind it. */
@inline
export function keepLow(threshold: u32): v128 {
  return i32x4.splat(((threshold - 1 << 24) ^ 0x80000000) | 0xffffff);
}

/** A lane is kept if this is above its byte. */
@inline
export function keepAbove(h: v128, high: v128, low: v128): v128 {
  return i8x16.sub_sat_s(high, i32x4.le_s(h, low));
}

/** Whether words may keep all of their lanes: all ones or all zeros. */
@inline
export function keepAll(high: v128): v128 {
  return i8x16.eq(high, i8x16.splat(127));
}

/** The bytes of lanes 0 … 15. Where a word keeps all, 0, which stays 0: no byte would be above 127. */
@inline
export function keepBegin(h: v128, low: v128, all: v128): v128 {
  return v128.andnot(nextBytes(h), v128.and(i32x4.le_s(h, low), all));
}

/**
 * 64 random bits of (key, index). For one key and one high word of the index both halves are bijections of the low
 * word, so 2^32 numbers of a table all differ. Two keys may walk through the same low halves, but then with other high
 * halves.
 */
@inline
function word(key: u32, index: u64): u64 {
  const a = hash32((hash32(<u32>(index >>> 32) + key) ^ <u32>index) + 0x9e3779b9);
  return ((<u64>hash32(a + key)) << 32) | a;
}

/** Inverse of the standard normal distribution function, 0 < p < 1. Wichura 1988, AS 241, PPND16. */
export function quantile(p: f64): f64 {
  const q = p - 0.5;
  if (abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (
      (q *
        (((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r +
          45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r +
          133.14166789178437745) * r + 3.387132872796366608)) /
      (((((((5226.495278852854561 * r + 28729.085735721942674) * r + 39307.89580009271061) * r +
        21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r +
        42.313330701600911252) * r + 1)
    );
  }
  let r = sqrt(-log64(q < 0 ? p : 1 - p));
  let z: f64;
  if (r <= 5) {
    r -= 1.6;
    z =
      (((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r +
        1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r +
        4.6303378461565452959) * r + 1.42343711074968357734) /
      (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r +
        0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r +
        2.05319162663775882187) * r + 1);
  } else {
    r -= 5;
    z =
      (((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r +
        0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r +
        5.4637849111641143699) * r + 6.6579046435011037772) /
      (((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r +
        7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r +
        0.59983220655588793769) * r + 1);
  }
  return q < 0 ? -z : z;
}

/** The index-th standard normal number of a key; 52 bits of p, so that neither 0 nor 1 can be reached: |z| < 8.3. */
export function normal(key: u32, index: u64): f64 {
  return quantile((<f64>(word(key, index) >>> 12) + 0.5) * 2.220446049250313e-16);
}

/** Fills `rows` rows of `cols` f32 numbers; number (r, c) is std * normal(key, r * cols + c). Padding lanes stay. */
export function fillNormal(out: usize, rows: u32, cols: u32, strideFloats: u32, key: u32, std: f64): void {
  let index: u64 = 0;
  for (let r: u32 = 0; r < rows; r++) {
    for (let c: u32 = 0; c < cols; c++) {
      store<f32>(out + (<usize>c << 2), <f32>(std * normal(key, index)));
      index++;
    }
    out += <usize>strideFloats << 2;
  }
}

/** The index-th number of a key below n, by multiply-shift: relative bias below n / 2^32. */
export function below(key: u32, index: u32, n: u32): u32 {
  return <u32>(((word(key, index) >>> 32) * <u64>n) >>> 32);
}

/** Fisher-Yates on u32[n]. */
export function shuffle(order: usize, n: u32, key: u32): void {
  for (let i = n; i > 1; i--) {
    const j = <usize>below(key, i, i);
    const a = order + (<usize>(i - 1) << 2);
    const b = order + (j << 2);
    const t = load<u32>(a);
    store<u32>(a, load<u32>(b));
    store<u32>(b, t);
  }
}
