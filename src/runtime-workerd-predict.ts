import predict from "../wasm/ifm.wasm";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/predict` in workerd. */

export * from "./runtime-web.js";

/** The kernels. */
export const kernelBuild = kernelBuilds({ one: () => predict });
