import one from "../wasm/ifm.wasm?module";
import predict from "../wasm/ifm-predict.wasm?module";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of Vercel's edge runtime and of Next.js, which call a `.wasm` file that is imported as a module so. */

export * from "./runtime-web.js";

/** The kernels. */
export const kernelBuild = kernelBuilds({ one: () => one, predict: () => predict });
