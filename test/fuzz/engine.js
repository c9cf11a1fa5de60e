// The loop of the fuzzer, in a worker of its own: run.js watches it from outside, because a hang cannot end itself.

import { createHash } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { accountAllocations, allocated } from "./allocations.js";
import { mutate, Random } from "./mutate.js";

/**
 * @typedef {object} Target
 * @property {string} name
 * @property {() => Uint8Array[]} seeds inputs to begin with, all of them valid
 * @property {string[]} words of the format
 * @property {number} maxBytes of an input
 * @property {{ base: number, factor: number }} memory bytes that an input may make the program take: base + factor · its size
 * @property {(bytes: Uint8Array) => unknown} run throws IfmError for what is refused; anything else is a crash. May be async
 */

/** Counts as AFL sees them: 1, 2, 3, 4 … 7, 8 … 15, 16 … 31, 32 … 127, more. */
const BUCKET = Uint8Array.from({ length: 256 }, (_, n) => {
  if (n < 4) return [0, 1, 2, 4][n];
  return n < 8 ? 8 : n < 16 ? 16 : n < 32 ? 32 : n < 128 ? 64 : 128;
});

export const idOf = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/** Runs inputs and remembers which ways they went. */
export class Runner {
  #target;
  #counters;
  #seen;

  /** @param {Target} target whose bundle has just been imported */
  constructor(target) {
    this.#target = target;
    this.#counters = globalThis.fuzzCounters;
    this.#seen = new Uint8Array(this.#counters.length);
    accountAllocations();
  }

  /** Branches that some input has taken. */
  get covered() {
    return this.#seen.reduce((sum, buckets) => sum + Number(buckets !== 0), 0);
  }

  get branches() {
    return this.#seen.length;
  }

  /** @returns {Promise<{ isNew: boolean, problem?: string, bytes: number }>} */
  async run(input) {
    const { memory } = this.#target;
    this.#counters.fill(0);
    allocated.bytes = 0;
    allocated.limit = memory.base + memory.factor * input.length;
    let problem;
    try {
      const result = this.#target.run(input);
      if (result instanceof Promise) await result;
    } catch (error) {
      if (error?.name !== "IfmError") problem = String(error?.stack ?? error);
    }
    const bytes = allocated.bytes;
    allocated.limit = Number.POSITIVE_INFINITY;
    if (bytes > memory.base + memory.factor * input.length) {
      problem ??= `took ${bytes} bytes for an input of ${input.length}`;
    }
    return { isNew: this.#look(), bytes, ...(problem === undefined ? {} : { problem }) };
  }

  #look() {
    const counters = this.#counters;
    const seen = this.#seen;
    let isNew = false;
    for (let i = 0; i < counters.length; i++) {
      if (counters[i] === 0) continue;
      const bucket = BUCKET[counters[i]];
      if ((seen[i] & bucket) !== 0) continue;
      seen[i] |= bucket;
      isNew = true;
    }
    return isNew;
  }
}

/**
 * @param {Target} target
 * @param {{ corpus: Uint8Array[], seed: number, until: () => boolean, before?: (input: Uint8Array) => void,
 *   found?: (kind: "new" | "crash", input: Uint8Array, problem?: string) => void }} settings
 */
export async function fuzz(target, { corpus: given, seed, until, before = () => {}, found = () => {} }) {
  const runner = new Runner(target);
  const random = new Random(seed);
  const words = target.words.map((word) => new TextEncoder().encode(word));
  const corpus = [];
  const crashes = new Map();
  let executions = 0;
  let mostBytes = 0;
  const execute = async (input) => {
    before(input);
    const { isNew, problem, bytes } = await runner.run(input);
    executions++;
    mostBytes = Math.max(mostBytes, bytes);
    // The same fault by other inputs is the same line of the same stack.
    const fault = problem
      ?.split("\n")
      .slice(0, 3)
      .join("\n")
      .replace(/\d+ bytes for an input of \d+/, "too many bytes");
    if (fault !== undefined && !crashes.has(fault)) {
      crashes.set(fault, input);
      found("crash", input, problem);
    }
    return isNew;
  };
  for (const input of [...target.seeds(), ...given]) {
    await execute(input);
    corpus.push(input);
  }
  while (!until()) {
    const input = mutate(random.pick(corpus), random, { words, corpus, maxBytes: target.maxBytes });
    if (await execute(input)) {
      corpus.push(input);
      found("new", input);
    }
  }
  return {
    executions,
    corpus: corpus.length,
    covered: runner.covered,
    branches: runner.branches,
    crashes: crashes.size,
    mostBytes,
  };
}

/** In a worker: tells what it is about to do before it does it. */
if (parentPort !== null && workerData?.fuzz !== undefined) {
  const { bundle, corpus, seed, seconds, executions, shared } = workerData.fuzz;
  const { default: target } = await import(bundle);
  const clock = new Int32Array(shared, 0, 2); // executions so far, bytes of the input at hand
  const room = new Uint8Array(shared, 8);
  const end = performance.now() + 1000 * seconds;
  const result = await fuzz(target, {
    corpus,
    seed,
    until: () => performance.now() >= end || clock[0] >= executions,
    before(input) {
      room.set(input.subarray(0, room.length));
      clock[1] = Math.min(input.length, room.length);
      Atomics.add(clock, 0, 1);
    },
    found: (kind, input, problem) => parentPort.postMessage({ kind, input, problem }),
  });
  parentPort.postMessage({ kind: "end", result });
}
