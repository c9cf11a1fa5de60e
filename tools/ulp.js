// Exhaustive error of the f32 functions of assembly/math.ts: all 2^32 inputs, in units of the last place.
//
//   node tools/ulp.js [--wasm build/kernels.wasm] [exp4 expNegative4 sigmoid4 tanh4 log1p4]
//
// Two to five minutes a function. The maxima stand in the comments of assembly/math.ts; test/kernels/math.test.ts
// asserts them on a sample. Math.* of V8 (fdlibm, error below 1 f64 ULP = 2^-29 f32 ULP) is the reference.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

/** `domain`: where the bound holds. Everywhere else the value is `outside(x)`, exactly. */
const functions = {
  exp4: {
    exact: Math.exp,
    domain: (x) => x >= -86.98997 && x <= 88.72283905206835,
    outside: (x) => (x > 0 ? Number.POSITIVE_INFINITY : 0),
  },
  expNegative4: { exact: Math.exp, domain: (x) => x >= -87.683115 && x <= 0, outside: (x) => (x < 0 ? 0 : undefined) },
  sigmoid4: { exact: (x) => 1 / (1 + Math.exp(-x)), domain: (x) => x >= -87.683115, outside: () => 0 },
  tanh4: { exact: Math.tanh, domain: () => true },
  log1p4: { exact: Math.log1p, domain: (x) => x > -1, outside: () => Number.NaN },
};

const { values, positionals } = parseArgs({
  options: { wasm: { type: "string", default: "build/kernels.wasm" } },
  allowPositionals: true,
});

const CHUNK = 1 << 16;
const memory = new WebAssembly.Memory({ initial: 32, maximum: 65536 });
const abort = () => {
  throw new Error("abort");
};
const { instance } = await WebAssembly.instantiate(readFileSync(values.wasm), { env: { memory, abort } });
const inPtr = 65536;
const outPtr = inPtr + 4 * CHUNK;
const bits = new Uint32Array(memory.buffer, inPtr, CHUNK);
const input = new Float32Array(memory.buffer, inPtr, CHUNK);
const output = new Float32Array(memory.buffer, outPtr, CHUNK);
const f64 = new Float64Array(1);
const words = new Uint32Array(f64.buffer);

// ulp[e] of an f64 exponent field e, as f32: 2^(max(e - 1023, -126) - 23)
const ulps = Float64Array.from({ length: 2048 }, (_, e) => 2 ** (Math.max(e - 1023, -126) - 23));

for (const name of positionals.length > 0 ? positionals : Object.keys(functions)) {
  const { exact, domain, outside = () => undefined } = functions[name];
  const kernel = instance.exports[`${name}Array`];
  const started = performance.now();
  let worst = 0;
  let worstAt = 0;
  let inexact = 0;
  let inside = 0;
  let wrong = 0;
  let wrongAt = Number.NaN;
  for (let high = 0; high < 65536; high++) {
    for (let low = 0; low < CHUNK; low++) bits[low] = (high << 16) | low;
    kernel(outPtr, inPtr, CHUNK);
    for (let i = 0; i < CHUNK; i++) {
      const x = input[i];
      const y = output[i];
      if (!domain(x) || !Number.isFinite(x)) {
        const want = domain(x) || Number.isNaN(x) ? exact(x) : outside(x);
        if (want !== undefined && !Object.is(want, y)) {
          wrong++;
          wrongAt = x;
        }
        continue;
      }
      inside++;
      const want = exact(x);
      f64[0] = want;
      const error = Math.abs(y - want) / ulps[(words[1] >>> 20) & 0x7ff];
      if (error > 0.5) inexact++;
      if (!(error <= worst)) {
        worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
        worstAt = x;
      }
    }
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  const share = ((100 * inexact) / inside).toFixed(2);
  const bad = wrong === 0 ? "" : `; ${wrong} wrong outside the domain, last at ${wrongAt}`;
  const at = `at ${worstAt}, ${share} % not the nearest, ${inside} inputs, ${seconds} s`;
  console.log(`${name}: max ${worst.toFixed(4)} ULP ${at}${bad}`);
}
