import predict from "../wasm/ifm-predict.wasm";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/predict` in workerd. */

export * from "./runtime-web.js";

/** The kernels. */
export const kernelBuild = kernelBuilds({ predict: () => predict });
