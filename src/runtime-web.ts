import { IfmError } from "./errors.js";
import { bytesOf, fetchFile } from "./fetch.js";
import { compileKernels as compile, type KernelSource } from "./wasm/compile.js";
import type { BuildName, KernelBuild } from "./wasm/load.js";

/*
 * What the core needs of a runtime, by web standards alone: what the `#runtime` of browsers, edge runtimes and
 * `ifm-wasm/inline` have in common.
 */

/**
 * The function `kernelBuild` of a runtime.
 *
 * @param sources kernels that the runtime has, compiled when they are asked for
 */
export function kernelBuilds(
  sources: Partial<Record<BuildName, () => KernelSource | Promise<KernelSource>>>,
): (build: BuildName) => Promise<KernelBuild> {
  const compiled = new Map<BuildName, Promise<WebAssembly.Module>>();
  return async (name) => {
    const source = sources[name];
    if (source === undefined) throw new WebAssembly.CompileError(`there are no kernels "${name}" here`);
    let module = compiled.get(name);
    if (module === undefined) {
      module = (async () => compileKernels(await source()))();
      compiled.set(name, module);
      // What could not be fetched is tried again.
      module.catch(() => compiled.delete(name));
    }
    return { module: await module, shared: name === "threads" || name === "fast" };
  };
}

/** Kernels that a caller brings along. */
export function compileKernels(source: KernelSource): Promise<WebAssembly.Module> {
  return compile(source, async (url) => fetch(url));
}

/** Threads that this runtime runs at once. */
export function mostThreads(): number {
  return 1;
}

/** Why there can be no other threads. */
export function whyOneThread(): string | undefined {
  return "this runtime has no others";
}

/** Another thread. */
export interface Thread {
  end(): void;
}

/** Starts no thread: there are none. */
export function startThread(): Promise<Thread> {
  return Promise.reject(new Error("this runtime has none"));
}

/**
 * Bytes of a model file.
 *
 * @throws IfmError IFM_MODEL when it cannot be fetched
 */
export async function readModelFile(url: string | URL): Promise<Uint8Array> {
  return bytesOf(await fetchFile(url, "IFM_MODEL"), "IFM_MODEL");
}

/** Writes no file: there are none. */
export async function writeModelFile(path: string): Promise<void> {
  throw new IfmError("IFM_USAGE", "save: this runtime has no files", {
    file: path,
    hint: "toBytes() gives the bytes of the model file",
  });
}

/** Lets events, timers and I/O have their turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    // Browsers make a timer wait for 4 ms, and for a second in a tab that nobody looks at.
    if (typeof MessageChannel === "undefined") {
      setTimeout(resolve, 0);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
