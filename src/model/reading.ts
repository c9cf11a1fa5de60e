/** What reading a model file takes: `Model.load` imports it when the first is loaded, so that who only trains has none of it. */
export { decodeModel } from "./format-read.js";
export { checkDigest, checkIntegrity, webHash } from "./integrity.js";
