/** The package's entry for Node: the whole API, with files. */
export * from "./api.js";
export { loadDataset } from "./data/open.js";
