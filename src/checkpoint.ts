/** The entry `ifm-wasm/checkpoint`: what who stores checkpoints needs, in every runtime. */
export { IfmError } from "./errors.js";
export { removeOpfsEntry } from "./opfs.js";
export { opfsCheckpoints } from "./opfs-checkpoints.js";
export type { CheckpointFolder, StoredCheckpoint } from "./train/checkpoint-folder.js";
export {
  type Checkpoint,
  type CheckpointFile,
  type CheckpointOptions,
  type CheckpointPlace,
  type CheckpointSource,
  checkCheckpoint,
} from "./train/checkpoint-format.js";
