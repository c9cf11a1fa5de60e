/*
 * SHA-256 (FIPS 180-4), for digests of weights: it is there in every runtime, without waiting, piece by piece.
 */

/**
 * The first 32 bits behind the point of the cube roots of the first 64 primes. Computed, because a list of random numbers
 * does not compress: 150 bytes of each module.
 */
function constants(K: usize): void {
  let p: u32 = 1;
  for (let at = K, end = K + 256; at < end; at += 4) {
    let divisor: u32;
    do {
      p++;
      divisor = 2;
      while (p % divisor) divisor++;
    } while (divisor < p);
    // Newton's method from above; what is left is below 2^-49.
    let root: f64 = 7;
    for (let i = 0; i < 9; i++) root -= (root - <f64>p / (root * root)) / 3;
    store<u32>(at, <u32>((root - floor(root)) * 4294967296));
  }
}

@inline
function word(W: usize, t: u32): u32 {
  return load<u32>(W + (<usize>(t & 15) << 2));
}

/**
 * @param state  in/out u32[8] the hash, u32[16] room, u32[64] constants: 0 before the first call. Not in the module's own
 *                      memory, which is written anew when another thread begins
 * @param data   in     blocks of 64 bytes
 * @param blocks        how many
 */
export function sha256(state: usize, data: usize, blocks: u32): void {
  const W = state + 32, K = state + 96;
  if (!load<u32>(K)) constants(K);
  for (const end = data + (<usize>blocks << 6); data < end; data += 64) {
    let a = load<u32>(state), b = load<u32>(state, 4), c = load<u32>(state, 8), d = load<u32>(state, 12);
    let e = load<u32>(state, 16), f = load<u32>(state, 20), g = load<u32>(state, 24), h = load<u32>(state, 28);
    for (let t: u32 = 0; t < 64; t++) {
      let w: u32;
      if (t < 16) {
        w = bswap<u32>(load<u32>(data + (<usize>t << 2)));
      } else {
        const x = word(W, t + 1), y = word(W, t + 14);
        w = word(W, t) + (rotr<u32>(x, 7) ^ rotr<u32>(x, 18) ^ (x >> 3)) + word(W, t + 9);
        w += rotr<u32>(y, 17) ^ rotr<u32>(y, 19) ^ (y >> 10);
      }
      store<u32>(W + (<usize>(t & 15) << 2), w);
      const s1 = rotr<u32>(e, 6) ^ rotr<u32>(e, 11) ^ rotr<u32>(e, 25);
      const t1 = h + s1 + (g ^ (e & (f ^ g))) + load<u32>(K + (<usize>t << 2)) + w;
      const s0 = rotr<u32>(a, 2) ^ rotr<u32>(a, 13) ^ rotr<u32>(a, 22);
      const t2 = s0 + ((a & b) | (c & (a | b)));
      h = g;
      g = f;
      f = e;
      e = d + t1;
      d = c;
      c = b;
      b = a;
      a = t1 + t2;
    }
    store<u32>(state, load<u32>(state) + a);
    store<u32>(state, load<u32>(state, 4) + b, 4);
    store<u32>(state, load<u32>(state, 8) + c, 8);
    store<u32>(state, load<u32>(state, 12) + d, 12);
    store<u32>(state, load<u32>(state, 16) + e, 16);
    store<u32>(state, load<u32>(state, 20) + f, 20);
    store<u32>(state, load<u32>(state, 24) + g, 24);
    store<u32>(state, load<u32>(state, 28) + h, 28);
  }
}
