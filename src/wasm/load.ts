import { compileKernels, kernelBuild, mostThreads, whyOneThread } from "#runtime";
import { type ModelConfig, validateThreads } from "../config.js";
import { IfmError } from "../errors.js";
import { ABI_VERSION, DESC_BYTES } from "./abi.js";
import type { KernelSource } from "./compile.js";

/** Exports of every module. Addresses and sizes are u32; negative numbers never come back. */
export interface CommonKernels {
  abiVersion(): number;
  descBytes(): number;
  heapBase(): number;
  probability(score: number): number;
  allFinite(x: number, floats: number): number;
  replaceUnknown(ids: number, count: number, n: number): number;
  sha256(state: number, data: number, blocks: number): void;
  predictBatch(desc: number, scratch: number): void;
  metricSums(out: number, desc: number, low: number, high: number, threshold: number, middle: number): void;
}

/** Exports of assembly/index.ts beside them: of all modules but the one of models on one thread. */
export interface TrainingKernels {
  fillNormal(out: number, rows: number, cols: number, strideFloats: number, key: number, std: number): void;
  keepThreshold(keep: number): number;
  key(seed: number, stream: number, step: number, row: number): number;
  below(key: number, index: number, n: number): number;
  shuffle(order: number, n: number, key: number): void;
  initState(desc: number, theta: number, floats: number): void;
  trainBatch(desc: number, scratch: number): number;
  trainBegin(desc: number): void;
  trainReduce(desc: number): number;
  trainNext(desc: number): number;
  predictBegin(desc: number): void;
  work(desc: number, scratch: number): void;
}

/** Exports of assembly/serve.ts: of all modules but the one that trains on one thread. */
export interface ServingKernels {
  rank(desc: number, request: number, scratch: number): void;
  topKeep(heap: number, size: number, most: number, scores: number, count: number, first: number): number;
  topSort(heap: number, size: number): void;
  explainRow(desc: number, request: number, scratch: number): number;
  explainPairs(desc: number, request: number, s: number): void;
  decodeRecord(desc: number, id: number, scratch: number, w: number): void;
}

/** Who trains on one thread does not serve, and the other way round; modules for several threads have everything. */
export interface Kernels extends CommonKernels, TrainingKernels, ServingKernels {}

/** First address that is handed out; the module's own constants lie below. */
export const HEAP_BASE = 16384;

/** Kernels that a runtime has: for one thread, for several, with relaxed SIMD. */
export type BuildName = "one" | "predict" | "threads" | "fast";

/** Compiled kernels. */
export interface KernelBuild {
  module: WebAssembly.Module;
  /** Whether they want a memory that several threads can share. */
  shared: boolean;
}

/** What a session computes with. */
export interface ComputeOptions {
  /** Threads, `auto` for as many as the machine runs at once; they change no bit. 1 by default. */
  threads?: number | "auto";
  /**
   * Relaxed SIMD where the runtime has it and the model gains by it: multiplications and additions may be fused, so that
   * results differ in their last bits from machine to machine. Off by default.
   */
  fast?: boolean;
  /**
   * The kernels, for whoever does not want what the package finds by itself: `ifm-wasm/wasm/ifm.wasm` or, with several
   * threads, `ifm-threads.wasm`, with `fast` `ifm-fast.wasm`; compiled, its bytes, a response or a URL.
   */
  wasm?: KernelSource;
  /** Told what does not stop the work, such as a thread that could not be started. */
  onWarning?: (text: string) => void;
}

/** Threads to make room for: as many as asked for but, which is then said, one where there can be no others. */
export function threadsFor({ threads = 1, onWarning }: ComputeOptions): number {
  const count = validateThreads(threads, mostThreads());
  const reason = threads === 1 ? undefined : whyOneThread();
  if (reason === undefined) return count;
  onWarning?.(`one thread computes: ${reason}`);
  return 1;
}

/**
 * Whether a model gains by relaxed SIMD. Times as fast with it, training / prediction, on the Frappe shape (10 fields):
 *
 *                        EPYC, Node 22   Xeon, Node 24
 *   FM 8                  1.01 / 0.94     0.99 / 0.93    loads, not sums, take the time; FM 16 0.92 / 0.99, FM 32 0.99 / 1.13
 *   FM 64                 1.02 / 1.04     1.06 / 1.18
 *   FM 256                1.05 / 1.16     1.19 / 1.23
 *   AFM [8, 64]           1.03 / 1.00     1.09 / 1.06    with three fields 0.97 / 0.93
 *   IFM [16, 16]          1.05 / 1.05     1.15 / 1.13
 *   IFM [8, 64]           1.02 / 1.01     1.10 / 1.08
 *   IFM [8, 256]          1.03 / 0.98     1.11 / 1.09
 *   INN [8, 64]           0.97 / 0.95     1.15 / 1.11    a loss on one of the two
 *   DeepIFM [16, 16]      0.98 / 1.02     1.16 / 1.13
 */
function paysRelaxed({ model, factors, fieldOfSlot }: ModelConfig): boolean {
  if (model === "fm") return factors >= 32;
  if (model === "afm") return fieldOfSlot.length >= 10;
  return model !== "inn";
}

/**
 * The kernels that suit options and runtime.
 *
 * @param alone  those for one thread
 * @param config of the model; needed with `fast`
 */
export async function kernelsFor(
  alone: "one" | "predict",
  threads: number,
  { fast, wasm, onWarning }: ComputeOptions,
  config?: ModelConfig,
): Promise<KernelBuild> {
  if (wasm !== undefined) return { module: await compileKernels(wasm), shared: threads > 1 || fast === true };
  if (fast && config && !paysRelaxed(config)) {
    onWarning?.("fast changes nothing: the usual kernels are as fast for this model");
  } else if (fast) {
    try {
      return await kernelBuild("fast");
    } catch (error) {
      const { cause = error } = error as IfmError;
      if (!(cause instanceof WebAssembly.CompileError)) throw error;
      onWarning?.("fast changes nothing: there is no relaxed SIMD here");
    }
  }
  return kernelBuild(threads > 1 ? "threads" : alone);
}

/** What the debug build calls; the shipped one has no assertions. */
function abort(_message: number, _file: number, line: number, column: number): never {
  throw new IfmError("IFM_WASM", `kernels: an assertion failed at line ${line}, column ${column}`);
}

function instantiate(module: WebAssembly.Module, imports: WebAssembly.Imports): Kernels {
  try {
    return new WebAssembly.Instance(module, imports).exports as unknown as Kernels;
  } catch (cause) {
    throw new IfmError("IFM_WASM", `kernels: cannot be used here (${(cause as Error).message})`, {
      hint: "one thread takes ifm.wasm, several take ifm-threads.wasm",
      cause,
    });
  }
}

/**
 * Instantiates the kernels over a memory of our own.
 *
 * @throws IfmError IFM_WASM when the module is of another version than this code
 */
export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const kernels = instantiate(module, { env: { memory, abort } });
  const found = typeof kernels.abiVersion === "function" ? kernels.abiVersion() : "none";
  if (found !== ABI_VERSION || kernels.descBytes() !== DESC_BYTES || kernels.heapBase() > HEAP_BASE) {
    throw new IfmError("IFM_WASM", `kernels: expected ABI version ${ABI_VERSION}, found ${found}`, {
      hint: "the .wasm file and the JavaScript must come from the same version of ifm-wasm",
    });
  }
  return kernels;
}
