import { kernelBuilds } from "./runtime-web.js";

/*
 * `#runtime` of browsers, pages and workers. Bundlers know `new URL(…, import.meta.url)` and copy the file.
 */

export { writeOpfsFile as writeModelFile } from "./opfs.js";
export { breathe, compileKernels, readModelFile } from "./runtime-web.js";
export { mostThreads, startThread, type Thread, whyOneThread } from "./threads-browser.js";

/** The kernels for one thread, for several, or with relaxed SIMD; fetched and compiled once. */
export const kernelBuild = kernelBuilds({
  one: () => new URL("../wasm/ifm.wasm", import.meta.url),
  predict: () => new URL("../wasm/ifm-predict.wasm", import.meta.url),
  threads: () => new URL("../wasm/ifm-threads.wasm", import.meta.url),
  fast: () => new URL("../wasm/ifm-fast.wasm", import.meta.url),
});
