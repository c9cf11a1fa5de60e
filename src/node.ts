/** The package's entry for Node: the whole API, with files. */
export * from "./api.js";
export { checkDataset, formatCheck } from "./data/check.js";
export { loadDataset } from "./data/open.js";
