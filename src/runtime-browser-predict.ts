import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/predict` in browsers. */

export * from "./runtime-web.js";

/** The kernels, fetched and compiled once. */
export const kernelBuild = kernelBuilds({ predict: () => new URL("../wasm/ifm-predict.wasm", import.meta.url) });
