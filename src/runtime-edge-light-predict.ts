import predict from "../wasm/ifm-predict.wasm?module";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/predict` in Vercel's edge runtime and Next.js. */

export * from "./runtime-web.js";

/** The kernels. */
export const kernelBuild = kernelBuilds({ predict: () => predict });
