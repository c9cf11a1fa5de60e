import one from "../wasm/ifm.wasm?inline";
import predict from "../wasm/ifm-predict.wasm?inline";
import { unpack } from "./inline.js";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/inline`, which needs no file: the kernels are text in the code. */

export * from "./runtime-web.js";

/** The kernels, unpacked and compiled once. */
export const kernelBuild = kernelBuilds({ one: () => unpack(one), predict: () => unpack(predict) });
