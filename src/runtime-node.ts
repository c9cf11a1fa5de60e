import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { setImmediate } from "node:timers/promises";
import { writeFileAtomic } from "./atomic-file.js";
import { IfmError } from "./errors.js";
import { bytesOf, fetchFile, isRemote } from "./fetch.js";
import type { Thread } from "./threads-node.js";
import { compileKernels as compile, type KernelSource } from "./wasm/compile.js";
import type { BuildName, KernelBuild } from "./wasm/load.js";
import type { ThreadData } from "./wasm/thread.js";

/*
 * What the core needs of Node. The core imports it as "#runtime"; an entry for another runtime is bundled with a file of
 * its own that exports the same names.
 */

// `wasm/` lies beside `src/` and, in the package, beside `dist/`.
const BUILDS: Record<BuildName, { url: URL; shared: boolean }> = {
  one: { url: new URL("../wasm/ifm.wasm", import.meta.url), shared: false },
  predict: { url: new URL("../wasm/ifm-predict.wasm", import.meta.url), shared: false },
  threads: { url: new URL("../wasm/ifm-threads.wasm", import.meta.url), shared: true },
  fast: { url: new URL("../wasm/ifm-fast.wasm", import.meta.url), shared: true },
};

const compiled = new Map<BuildName, Promise<WebAssembly.Module>>();

/**
 * The kernels for training or models on one thread, for several threads, or with relaxed SIMD; compiled once.
 *
 * @throws IfmError IFM_WASM, caused by a CompileError when this runtime has no relaxed SIMD
 */
export async function kernelBuild(build: BuildName): Promise<KernelBuild> {
  const { url, shared } = BUILDS[build];
  let module = compiled.get(build);
  if (module === undefined) {
    module = compileKernels(url);
    compiled.set(build, module);
  }
  return { module: await module, shared };
}

/** Kernels that a caller brings along. */
export function compileKernels(source: KernelSource): Promise<WebAssembly.Module> {
  return compile(source, async (place) => (isRemote(place) ? fetch(place) : readFile(place)));
}

/** Threads that this machine runs at once; 1 where there can be no others. */
export function mostThreads(): number {
  return availableParallelism();
}

/** Why there can be no other threads; here there can. */
export function whyOneThread(): string | undefined {
  return undefined;
}

export type { Thread } from "./threads-node.js";

/** As startThread of threads-node.ts, which is loaded when there is to be a thread: importing the package is 1 ms faster. */
export async function startThread(data: ThreadData, onEnd: (reason: string) => void): Promise<Thread> {
  const threads = await import("./threads-node.js");
  return threads.startThread(data, onEnd);
}

/**
 * Bytes of a model file, read or, by http, fetched.
 *
 * @throws IfmError IFM_MODEL when it cannot be read
 */
export async function readModelFile(path: string | URL): Promise<Uint8Array> {
  if (isRemote(path)) return bytesOf(await fetchFile(path, "IFM_MODEL"), "IFM_MODEL");
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "no such file"
        : code === "EISDIR"
          ? "is a folder, expected a model file"
          : code === "EACCES"
            ? "may not be read (permission denied)"
            : `cannot be read (${code ?? String(cause)})`;
    throw new IfmError("IFM_MODEL", why, { file: String(path), cause });
  }
}

/** Writes a model file, given in parts, whole or not at all. */
export function writeModelFile(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  return writeFileAtomic(path, parts);
}

/** Lets signals, timers and I/O have their turn. */
export async function breathe(): Promise<void> {
  await setImmediate();
}
