/** The package's entry for every runtime but Node and its like: the whole API, with files that are fetched. */
export * from "./api.js";
export { loadDataset } from "./data/load.js";
