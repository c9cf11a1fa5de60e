/** The entry `ifm-wasm/libfm`: the parser of data files alone, in every runtime, for bytes that come in some way of their own. */
export type { Dataset } from "./data/dataset.js";
export { type LibfmOptions, LibfmParser } from "./data/libfm.js";
export { IfmError } from "./errors.js";
