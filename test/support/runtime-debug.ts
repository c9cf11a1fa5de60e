/*
 * Node's runtime with the kernels that assert what they take for granted (assembly/bounds.ts): tests that run on it, those
 * of the project "debug", find what never leaves the memory and so would trap nowhere.
 */
import type { BuildName, KernelBuild } from "../../src/wasm/load.js";
import { readModule } from "./memory.js";

export * from "../../src/runtime-node.js";

const one = { module: readModule("build/debug.wasm"), shared: false };
const threads = { module: readModule("build/debug-threads.wasm"), shared: true };

export async function kernelBuild(build: BuildName): Promise<KernelBuild> {
  return build === "threads" || build === "fast" ? threads : one;
}
