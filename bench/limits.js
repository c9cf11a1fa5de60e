import { readFileSync } from "node:fs";
import { randomFrom } from "./data.js";
import { secondsOf } from "./time.js";

const MB = 1e6;

/** Sizes of tables whose rows are read at random: one that second-level caches hold, one that third-level caches hold, DRAM. */
const TABLES = [0.5 * MB, 12 * MB, 256 * MB];
const ROW_BYTES = 1024;
const TRIAD_BYTES = 64 * 1024 * 1024;

/**
 * @typedef {{ registers: number, gemm: number, arithmetic: number, triad: number, cached: number,
 *   rows: { bytes: number, rate: number }[] }} Limits  GFLOP/s and GB/s
 */

/**
 * What this core does at most, in WebAssembly, now.
 *
 * @param {string} path the module that bench/assembly/limits.ts is compiled to
 * @returns {Promise<Limits>}
 */
export async function measureLimits(path, seconds = 0.3) {
  const bytes = 3 * TRIAD_BYTES + 256 * MB;
  const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / 65536) + 2, maximum: 65536 });
  const { instance } = await WebAssembly.instantiate(readFileSync(path), { env: { memory } });
  const { registers, gemm, triad, readRows } = instance.exports;
  const base = 65536;
  new Float32Array(memory.buffer).fill(0.5);
  const rate = async (amount, call) => amount / 1e9 / (await secondsOf(call, seconds));

  const iterations = 200_000;
  const chains = await rate(64 * iterations, () => registers(iterations, 0.999, 0.001));
  const [m, k, repeats] = [48, 256, 50];
  const [C, A] = [base, base + 65536];
  const B = A + 4 * m * k;
  const product = await rate(2 * m * k * 8 * repeats, () => {
    for (let i = 0; i < repeats; i++) gemm(C, A, B, m, k);
  });
  const stream = (size, times) =>
    rate(3 * size * times, () => {
      for (let i = 0; i < times; i++) triad(base, base + size, base + 2 * size, size, 0.5);
    });
  const cached = await stream(64 * 1024, 200);
  const dram = await stream(TRIAD_BYTES, 1);

  const random = randomFrom(7);
  const rows = [];
  for (const size of TABLES) {
    const count = 16384;
    const there = Math.floor(size / ROW_BYTES);
    new Uint32Array(memory.buffer, base, count).set(
      Uint32Array.from({ length: count }, () => Math.floor(random() * there)),
    );
    const table = base + 4 * count;
    rows.push({ bytes: size, rate: await rate(count * ROW_BYTES, () => readRows(table, base, count, ROW_BYTES)) });
  }
  return { registers: chains, gemm: product, arithmetic: Math.max(chains, product), triad: dram, cached, rows };
}

/** Bytes a second of random rows out of a working set of that size. @param {Limits} limits @param {number} bytes */
export function rowLimit({ rows }, bytes) {
  return (rows.find((level) => bytes <= 2 * level.bytes) ?? rows.at(-1)).rate;
}

/**
 * Least seconds that so many operations and bytes can take, and which of the two says so.
 *
 * @param {number} gflops operations a nanosecond at most
 * @param {number} gbs bytes a nanosecond at most
 */
export function leastSeconds(flops, bytes, gflops, gbs) {
  const [arithmetic, memory] = [flops / gflops / 1e9, bytes / gbs / 1e9];
  return { seconds: Math.max(arithmetic, memory), by: arithmetic >= memory ? "arithmetic" : "memory" };
}
