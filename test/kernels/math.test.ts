import { describe, expect, test } from "vitest";
import { readModule } from "../support/memory.js";

/** Arrays in linear memory: byte addresses and a number of elements. */
type Kernel = (out: number, x: number, n: number) => void;

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
const abort = (): never => {
  throw new Error("a kernel's assertion failed");
};
const { exports } = new WebAssembly.Instance(readModule("build/kernels.wasm"), { env: { memory, abort } });

const IN = 1 << 20;
const OUT = 2 << 20;
/** Elements that a call can take. */
const MOST = 1 << 17;

function callF32(name: string, x: Float32Array): Float32Array {
  const n = (x.length + 3) & ~3;
  expect(n).toBeLessThanOrEqual(MOST);
  const input = new Float32Array(memory.buffer, IN, n);
  input.fill(0);
  // As words: a NaN keeps its payload.
  new Uint32Array(memory.buffer, IN, x.length).set(new Uint32Array(x.buffer, x.byteOffset, x.length));
  (exports[name] as Kernel)(OUT, IN, n);
  return new Float32Array(memory.buffer, OUT, x.length).slice();
}

function callF64(name: string, x: Float64Array): Float64Array {
  expect(x.length).toBeLessThanOrEqual(MOST);
  const input = new Float64Array(memory.buffer, IN, x.length + 1);
  input.fill(0); // an odd number has a second lane
  input.set(x);
  (exports[name] as Kernel)(OUT, IN, x.length);
  return new Float64Array(memory.buffer, OUT, x.length).slice();
}

const words = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length);

/** The distance of two neighbouring f32 numbers at x. */
function ulpF32(x: number): number {
  const exponent = Math.floor(Math.log2(Math.abs(x)));
  // log2 may round up to the next whole number.
  const e = 2 ** exponent > Math.abs(x) ? exponent - 1 : exponent;
  return 2 ** (Math.max(e, -126) - 23);
}

/** 65,551 numbers from all over the 2^32 bit patterns: 65,521 is prime. */
function everywhere(): Float32Array {
  const x = new Float32Array(Math.ceil(2 ** 32 / 65_521));
  const bits = words(x);
  for (let i = 0; i < bits.length; i++) bits[i] = i * 65_521;
  return x;
}

/** 100,000 numbers, equally far apart. */
const between = (low: number, high: number): Float32Array =>
  Float32Array.from({ length: 100_000 }, (_, i) => low + ((high - low) * i) / 99_999);

/** 4,096 neighbours around x. */
function around(x: number): Float32Array {
  const out = Float32Array.of(...new Array<number>(4096).fill(x));
  const bits = words(out);
  for (let i = 0; i < bits.length; i++) bits[i] = bits[i]! + i - 2048;
  return out;
}

type Pair = readonly [number, number];

interface F32Case {
  name: string;
  /** The function of one number. */
  scalar?: string;
  exact: (x: number) => number;
  domain: Pair;
  maxUlp: number;
  /** Where tools/ulp.js found the largest of all 2^32 errors. */
  worst: number;
  ranges: Pair[];
  /** Input and exact result. */
  special: Pair[];
  /** FNV-1a of the results of everywhere(), which must be the same on every engine. */
  hash: number;
}

/** What the comments of assembly/math.ts promise. */
const FUNCTIONS: F32Case[] = [
  {
    name: "exp4",
    scalar: "exp1",
    exact: Math.exp,
    domain: [-86.98997, 88.72284],
    maxUlp: 0.9887,
    worst: -5.8533711433410645,
    ranges: [
      [-86.98996, 88.7228],
      [-1, 1],
      [-1e-3, 1e-3],
      [87, 88.7228],
      [-86.98996, -86],
    ],
    special: [
      [0, 1],
      [-0, 1],
      [1e-40, 1],
      [-1e-40, 1],
      [88.72283172607422, Math.fround(Math.exp(88.72283172607422))],
      [88.72283935546875, Infinity],
      [1000, Infinity],
      [3.4e38, Infinity],
      [Infinity, Infinity],
      [-86.98997497558594, 0],
      [-87.5, 0],
      [-1000, 0],
      [-3.4e38, 0],
      [-Infinity, 0],
    ],
    hash: 1370527391,
  },
  {
    name: "expNegative4",
    exact: Math.exp,
    domain: [-87.683115, 0],
    maxUlp: 0.9887,
    worst: -5.8533711433410645,
    ranges: [
      [-87.683, 0],
      [-1, 0],
      [-1e-3, 0],
      [-87.683, -87],
    ],
    special: [
      [0, 1],
      [-0, 1],
      [-1e-40, 1],
      [-87.68312072753906, 0],
      [-88, 0],
      [-1000, 0],
      [-3.4e38, 0],
      [-Infinity, 0],
    ],
    hash: 4015084114,
  },
  {
    name: "sigmoid4",
    scalar: "sigmoid1",
    exact: (x: number) => 1 / (1 + Math.exp(-x)),
    domain: [-87.683115, Infinity],
    maxUlp: 2.402,
    worst: -4.157293796539307,
    ranges: [
      [-87.683, 20],
      [-5, 5],
      [-1e-3, 1e-3],
    ],
    special: [
      [0, 0.5],
      [-0, 0.5],
      [1e-40, 0.5],
      [-1e-40, 0.5],
      [20, 1],
      [1000, 1],
      [3.4e38, 1],
      [Infinity, 1],
      [-87.68312072753906, 0],
      [-1000, 0],
      [-3.4e38, 0],
      [-Infinity, 0],
    ],
    hash: 4216660280,
  },
  {
    name: "tanh4",
    scalar: "tanh1",
    exact: Math.tanh,
    domain: [-Infinity, Infinity],
    maxUlp: 2.6682,
    worst: 0.06179806962609291,
    ranges: [
      [-10, 10],
      [-1, 1],
      [-1e-3, 1e-3],
      [8.9, 9.1],
    ],
    special: [
      [0, 0],
      [-0, -0],
      [1.401298464324817e-45, 1.401298464324817e-45],
      [-1.401298464324817e-45, -1.401298464324817e-45],
      [1e-30, Math.fround(1e-30)],
      [10, 1],
      [-10, -1],
      [3.4e38, 1],
      [-3.4e38, -1],
      [Infinity, 1],
      [-Infinity, -1],
    ],
    hash: 3531369751,
  },
  {
    name: "log1p4",
    scalar: "log1p1",
    exact: Math.log1p,
    domain: [-0.99999995, Infinity],
    maxUlp: 0.9044,
    worst: -0.2535255551338196,
    ranges: [
      [-0.9999, 10],
      [0, 1],
      [-0.5, 0.5],
      [-1e-3, 1e-3],
      [0, 3.4e38],
    ],
    special: [
      [0, 0],
      [-0, 0],
      [1.401298464324817e-45, 1.401298464324817e-45],
      [-1.401298464324817e-45, -1.401298464324817e-45],
      [-0.9999999403953552, Math.fround(Math.log1p(-0.9999999403953552))],
      [3.4028234663852886e38, Math.fround(Math.log1p(3.4028234663852886e38))],
      [Infinity, Infinity],
      [-1, NaN],
      [-2, NaN],
      [-3.4e38, NaN],
      [-Infinity, NaN],
    ],
    hash: 3812107907,
  },
];

describe.each(FUNCTIONS)("$name", ({ name, scalar, exact, domain, maxUlp, worst, ranges, special, hash }) => {
  const inside = (x: number): boolean => x >= domain[0] && x <= domain[1];

  function largestError(x: Float32Array): number {
    const y = callF32(`${name}Array`, x);
    let largest = 0;
    for (let i = 0; i < x.length; i++) {
      if (!inside(x[i]!) || !Number.isFinite(x[i])) continue;
      const want = exact(x[i]!);
      const error = Math.abs(y[i]! - want) / ulpF32(want);
      if (!(error <= largest)) largest = Number.isNaN(error) ? Infinity : error;
    }
    return largest;
  }

  test(`max ULP <= ${maxUlp} all over the domain`, () => {
    expect(largestError(everywhere())).toBeLessThanOrEqual(maxUlp);
  });

  test.each(ranges)(`max ULP <= ${maxUlp} between %s and %s`, (low, high) => {
    expect(largestError(between(low, high))).toBeLessThanOrEqual(maxUlp);
  });

  test("the bound is reached where the exhaustive search found it", () => {
    const error = largestError(around(worst));
    expect(error).toBeLessThanOrEqual(maxUlp);
    expect(error).toBeGreaterThan(maxUlp - 0.0002);
  });

  test("special values", () => {
    const x = Float32Array.from(special, ([at]) => at);
    const want = Float32Array.from(special, ([, value]) => value);
    expect(Array.from(callF32(`${name}Array`, x))).toEqual(Array.from(want));
  });

  test("NaN stays NaN, whatever its sign and payload", () => {
    const x = new Float32Array(5);
    words(x).set([0x7fc00000, 0xffc00000, 0x7f800001, 0x7fffffff, 0xffffffff]);
    expect(Array.from(callF32(`${name}Array`, x))).toEqual([NaN, NaN, NaN, NaN, NaN]);
  });

  test("every lane gives the same bits", () => {
    const x = everywhere()
      .subarray(0, 65_536)
      .filter((value) => !Number.isNaN(value));
    const y = words(callF32(`${name}Array`, x));
    for (const shift of [1, 2, 3]) {
      const moved = Float32Array.from(x, (_, i) => x[(i + shift) % x.length]!);
      const got = words(callF32(`${name}Array`, moved));
      expect(got.every((bits, i) => bits === y[(i + shift) % x.length] || Number.isNaN(moved[i]))).toBe(true);
    }
  });

  test.skipIf(scalar === undefined)("the function of one number gives the bits of a lane", () => {
    const x = everywhere();
    const y = callF32(`${name}Array`, x);
    const one = callF32(`${scalar}Array`, x);
    expect(one.every((value, i) => Object.is(value, y[i]))).toBe(true);
  });

  test("the same bits on every engine", () => {
    const x = everywhere();
    const y = callF32(`${name}Array`, x);
    let fnv = 0x811c9dc5;
    for (const bits of words(y.filter((value, i) => !Number.isNaN(value) && inside(x[i]!)))) {
      for (let shift = 0; shift < 32; shift += 8) fnv = Math.imul(fnv ^ ((bits >>> shift) & 0xff), 0x01000193);
    }
    expect(fnv >>> 0).toBe(hash);
  });
});

test("tanh4 is odd and never beyond 1", () => {
  const x = everywhere();
  const y = callF32("tanh4Array", x);
  const negative = callF32(
    "tanh4Array",
    x.map((value) => -value),
  );
  for (let i = 0; i < x.length; i++) {
    if (Number.isNaN(x[i])) continue;
    if (!Object.is(negative[i], -y[i]!) || Math.abs(y[i]!) > 1) expect.fail(`tanh(${x[i]}) = ${y[i]}, ${negative[i]}`);
  }
});

test("sigmoid4(x) + sigmoid4(-x) is 1 up to rounding", () => {
  const x = between(-100, 100);
  const y = callF32("sigmoid4Array", x);
  const negative = callF32(
    "sigmoid4Array",
    x.map((value) => -value),
  );
  expect(Math.max(...y.map((value, i) => Math.abs(value + negative[i]! - 1)))).toBeLessThanOrEqual(2 ** -23);
});

/*
 * Exact references for f64, in fixed point with FRACTION bits.
 */
const FRACTION = 192n;
const ONE = 1n << FRACTION;

/** ln 2 = 2 atanh(1/3) */
const LN2 = (() => {
  let sum = 0n;
  for (let term = (2n * ONE) / 3n, k = 1n; term > 0n; term /= 9n, k += 2n) sum += term / k;
  return sum;
})();

/** x = mantissa · 2^exponent */
function parts(x: number): [mantissa: bigint, exponent: number] {
  const bits = new BigUint64Array(new Float64Array([x]).buffer)[0]!;
  const field = Number((bits >> 52n) & 0x7ffn);
  const mantissa = (bits & 0xfffffffffffffn) | (field === 0 ? 0n : 1n << 52n);
  return [x < 0 ? -mantissa : mantissa, Math.max(field, 1) - 1075];
}

const shifted = (x: bigint, by: number): bigint => (by >= 0 ? x << BigInt(by) : x >> BigInt(-by));

/** e^x = e · 2^k, e in fixed point */
function exactExp(x: number): { e: bigint; k: number } {
  const [mantissa, exponent] = parts(x);
  const fixed = shifted(mantissa, exponent + Number(FRACTION));
  const k = Math.round(x / Math.LN2);
  const r = (fixed - BigInt(k) * LN2) >> 8n; // e^r to the power of 2^8
  let e = ONE;
  for (let term = r, i = 2n; term !== 0n && term !== -1n; term = (term * r) / (ONE * i), i++) e += term;
  for (let i = 0; i < 8; i++) e = (e * e) >> FRACTION;
  return { e, k };
}

function ulpF64(x: number): number {
  const [mantissa, exponent] = parts(Math.abs(x));
  return mantissa === 0n ? 2 ** -1074 : 2 ** exponent;
}

/** Error of `got` as e^x, in ULP. */
function expError(x: number, got: number): number {
  const { e, k } = exactExp(x);
  const [mantissa, exponent] = parts(got);
  // Both over 2^(k - FRACTION); the unit of the exact value, too.
  const scale = Number(FRACTION) - k;
  const unit = Math.max(e >= ONE ? k : k - 1, -1022) - 52;
  const difference = shifted(mantissa, exponent + scale) - e;
  return Math.abs(Number(difference)) / 2 ** (unit + scale);
}

/** Error of `got` as log(mantissa 2^exponent), in ULP; `near` is about that logarithm. */
function logError(mantissa: bigint, exponent: number, near: number, got: number): number {
  // log x = near + log(x e^-near), and x e^-near = 1 + d with |d| < 2^-50
  const { e, k } = exactExp(-near);
  const d = Number(shifted(mantissa * e, exponent + k) - ONE) / 2 ** Number(FRACTION);
  return Math.abs(got - near - (d - (d * d) / 2)) / ulpF64(near);
}

function log1pError(x: number, got: number): number {
  if (Math.abs(x) < 2 ** -40) return Math.abs(got - x + x * x * (0.5 - x / 3)) / ulpF64(x < 0 ? x : Math.log1p(x));
  const [mantissa, exponent] = parts(x);
  const low = Math.min(exponent, 0);
  return logError((mantissa << BigInt(exponent - low)) + (1n << BigInt(-low)), low, Math.log1p(x), got);
}

/** 32 random bits from a counter */
function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

const uniform = (i: number): number => (mix(2 * i + 1) + mix(2 * i + 2) / 2 ** 32) / 2 ** 32;

/** Inputs of each function. ULP_SAMPLES=1000000 gave the maxima in the comments of assembly/math.ts. */
const SAMPLES = Number(process.env.ULP_SAMPLES ?? 30_000);

/** Between 2^low and 2^high, all exponents alike. */
const powers =
  (low: number, high: number, sign = 1) =>
  (i: number) =>
    sign * 2 ** (low + (high - low) * uniform(i));
const uniformly = (low: number, high: number) => (i: number) => low + (high - low) * uniform(i);

const F64 = [
  {
    name: "expNegative2",
    error: expError,
    maxUlp: 0.85,
    ranges: [uniformly(-745, 0), uniformly(-1, 0), uniformly(-40, 0), powers(-60, 9, -1)],
    special: [
      [0, 1],
      [-0, 1],
      [-1e-320, 1],
      [-745.13, 5e-324],
      [-745.2, 0],
      [-1e300, 0],
      [-Infinity, 0],
      [NaN, NaN],
    ],
  },
  {
    name: "log64",
    error: (x: number, got: number) => logError(...parts(x), Math.log(x), got),
    maxUlp: 0.82,
    ranges: [powers(-1074, 1024), uniformly(0.5, 2), uniformly(0.99, 1.01), uniformly(0, 1), uniformly(1, 100)],
    special: [
      [1, 0],
      [0, -Infinity],
      [-0, -Infinity],
      [5e-324, -744.4400719213812],
      [1.7976931348623157e308, 709.782712893384],
      [-1, NaN],
      [-Infinity, NaN],
      [Infinity, Infinity],
      [NaN, NaN],
    ],
  },
  {
    name: "log1pUnit2",
    error: log1pError,
    maxUlp: 0.81,
    ranges: [powers(-1074, 0), uniformly(0, 1), uniformly(0.41, 0.42), powers(-60, 0)],
    special: [
      [0, 0],
      [5e-324, 5e-324],
      [1, Math.LN2],
      [NaN, NaN],
    ],
  },
] as const;

describe.each(F64)("$name", ({ name, error, maxUlp, ranges, special }) => {
  test(`max ULP <= ${maxUlp}`, { timeout: 600_000 }, () => {
    let largest = 0;
    let at = 0;
    for (const [index, range] of ranges.entries()) {
      const count = Math.ceil(SAMPLES / ranges.length);
      for (let first = 0; first < count; first += MOST) {
        const x = Float64Array.from({ length: Math.min(MOST, count - first) }, (_, i) =>
          range(index * 0x1000_0000 + first + i),
        );
        const y = callF64(`${name}Array`, x);
        for (let i = 0; i < x.length; i++) {
          const e = error(x[i]!, y[i]!);
          if (e <= largest) continue;
          largest = Number.isNaN(e) ? Infinity : e;
          at = x[i]!;
        }
      }
    }
    if (process.env.ULP_SAMPLES) console.log(`${name}: max ${largest.toFixed(4)} ULP at ${at}`);
    expect(largest).toBeLessThanOrEqual(maxUlp);
  });

  test("special values", () => {
    const y = callF64(
      `${name}Array`,
      Float64Array.from(special, ([x]) => x),
    );
    expect(Array.from(y)).toEqual(Array.from(special, ([, value]) => value));
  });
});
