/** Our own name among the peers. */
export const OURS = "ifm-wasm";

/** What is compared, each where a peer can do it. */
export const KINDS = ["train", "predict", "one row"];
