/** The entry `ifm-wasm/serve`: a model behind HTTP, wherever there are `Request` and `Response`. */
export type { ServedModel } from "./serve/answers.js";
export { createHandler, type Handler, type HandlerOptions } from "./serve/handler.js";
export { DEFAULT_LIMITS, type Limits } from "./serve/limits.js";
export { type Family, type MetricsSnapshot, mergeMetrics } from "./serve/metrics.js";
export type { ProblemCode } from "./serve/problem.js";
