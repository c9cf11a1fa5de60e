/**
 * The f64 twins: every operation of MODELS.md written literally, with hand-derived gradients, to compare the kernels with.
 * Nothing here comes from src/ or assembly/, and nothing here is fast.
 */
export * as afm from "./afm.js";
export * from "./aspects.js";
export * from "./attention.js";
export * from "./batch.js";
export * from "./clip.js";
export * as deepifm from "./deepifm.js";
export * from "./dense.js";
export * from "./dropout.js";
export * from "./field.js";
export * as fm from "./fm.js";
export * as ifm from "./ifm.js";
export * as inn from "./inn.js";
export * from "./integrate.js";
export { integratedGradients } from "./integrate.js";
export * from "./libfm.js";
export * from "./linear.js";
export * from "./loss.js";
export * from "./metrics.js";
export * from "./models.js";
export * from "./optimizer.js";
export * from "./pairwise.js";
export * from "./random.js";
export * from "./regularization.js";
export * from "./safetensors.js";
export * from "./table.js";
export { decodeRecord, halfToNumber, recordSizes, type TableFormat } from "./table.js";
export * from "./tensors.js";
export * from "./types.js";
