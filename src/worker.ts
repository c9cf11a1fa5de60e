/** The package's entry for pages that train in a web worker. */
export { type ErrorCode, IfmError } from "./errors.js";
export {
  createTrainer,
  loadModel,
  type ReadRowsOptions,
  readRows,
  type WorkerModelOptions,
  type WorkerTrainerOptions,
} from "./worker/client.js";
export type { WorkerModel } from "./worker/model.js";
export type { ByteSource, RowSource } from "./worker/packing.js";
export type { ProgressEvent, ReadingProgress, WorkerEvent } from "./worker/protocol.js";
export type { WorkerTrainer } from "./worker/trainer.js";
