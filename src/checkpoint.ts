/** The entry `ifm-wasm/checkpoint`: what who stores checkpoints needs, in every runtime. */
export { IfmError } from "./errors.js";
export {
  type Checkpoint,
  type CheckpointFile,
  type CheckpointOptions,
  type CheckpointPlace,
  type CheckpointSource,
  checkCheckpoint,
} from "./train/checkpoint-format.js";
