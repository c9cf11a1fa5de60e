import { kernelBuilds } from "./runtime-web.js";

/*
 * `#runtime` of browsers, pages and workers. Bundlers know `new URL(…, import.meta.url)` and copy the file.
 */

export {
  breathe,
  compileKernels,
  mostThreads,
  readModelFile,
  startThread,
  type Thread,
  writeModelFile,
} from "./runtime-web.js";

/** The kernels for one thread, for several, or with relaxed SIMD; fetched and compiled once. */
export const kernelBuild = kernelBuilds({
  one: () => new URL("../wasm/ifm.wasm", import.meta.url),
  threads: () => new URL("../wasm/ifm-threads.wasm", import.meta.url),
  fast: () => new URL("../wasm/ifm-fast.wasm", import.meta.url),
});
