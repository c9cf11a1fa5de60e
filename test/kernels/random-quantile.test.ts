import { expect, test } from "vitest";
import { readModule } from "../support/memory.js";
import { lowerTail } from "../support/normal.js";

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
const { exports } = new WebAssembly.Instance(readModule("build/kernels.wasm"), {
  env: { memory, abort: () => undefined },
});
const quantileArray = exports.quantileArray as (out: number, p: number, n: number) => void;

const IN = 1 << 20;
const OUT = 2 << 20;

test("normal numbers are right in the tails, where few of them are", () => {
  // From the middle to what 52 bits can say, in steps of a quarter of a power of two.
  const tails = Array.from({ length: 4 * 51 }, (_, i) => 0.5 * 2 ** (-i / 4));
  const p = Float64Array.from([...tails, ...tails.map((tail) => 1 - tail)]);
  new Float64Array(memory.buffer, IN, p.length).set(p);
  quantileArray(OUT, IN, p.length);
  new Float64Array(memory.buffer, OUT, p.length).forEach((value, i) => {
    const tail = i < tails.length ? p[i]! : 1 - p[i]!;
    const error = Math.abs(lowerTail(i < tails.length ? value : -value) / tail - 1);
    if (!(error < 2e-13)) expect.fail(`${value} for ${p[i]}, error ${error}`);
  });
});
