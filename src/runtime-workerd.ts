import one from "../wasm/ifm.wasm";
import predict from "../wasm/ifm-predict.wasm";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of workerd (Cloudflare Workers), where a `.wasm` file is imported as a module and nothing else is compiled. */

export * from "./runtime-web.js";

/** The kernels. */
export const kernelBuild = kernelBuilds({ one: () => one, predict: () => predict });
