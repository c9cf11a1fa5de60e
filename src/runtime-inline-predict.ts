import predict from "../wasm/ifm-predict.wasm?inline";
import { unpack } from "./inline.js";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/predict/inline`. */

export * from "./runtime-web.js";

/** The kernels, unpacked and compiled once. */
export const kernelBuild = kernelBuilds({ predict: () => unpack(predict) });
