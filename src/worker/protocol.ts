import type { ModelConfig } from "../config.js";
import type { Dataset } from "../data/dataset.js";
import { type ErrorCode, IfmError } from "../errors.js";
import type { Explanation } from "../model/explanation.js";
import type { PredictOptions } from "../model/model.js";
import type { Ranking, RankOptions } from "../model/rank.js";
import type { TrainingRecord } from "../model/record.js";
import type { CandidateTable, FeatureRow, FeatureSlots } from "../model/slots.js";
import type { CheckpointOptions } from "../train/checkpoint-format.js";
import type { EvaluateOptions } from "../train/metrics.js";
import type { TrainerOptions } from "../train/trainer.js";
import type { Metrics, Progress, StartEvent, TrainEvent } from "../train/types.js";
import type { ComputeOptions } from "../wasm/load.js";

/*
 * What the page and the worker say to each other. Calls go from the page (the client) to objects in the worker (the
 * host), which have numbers; a call is answered once, and may be told of before and after its answer.
 */

/** The object that is there from the start. */
export const HOST = 0;

/** Page to worker. */
export interface Call {
  id: number;
  target: number;
  method: string;
  args: readonly unknown[];
}

/** Worker to page: the answer to a call, or something that its caller is told. */
export type Answer = { id: number; result: unknown } | { id: number; error: WireError } | { id: number; told: Told };

/** What a caller is told beside the answer. */
export type Told = { warning: string } | { reading: ReadingProgress };

/** How far a set of rows has been read. */
export interface ReadingProgress {
  /** Which one. */
  name: string;
  /** Bytes so far, as they come: of a gzipped file, the compressed ones. */
  bytes: number;
  /** Bytes of all, where that is known. */
  totalBytes?: number;
}

/** Where a running epoch is; about ten times a second. */
export interface ProgressEvent extends Progress {
  event: "progress";
}

/** What training in a worker tells. */
export type WorkerEvent = TrainEvent | ProgressEvent;

/** Bytes as they cross over: what can be cloned, or a port on which chunks are asked for. */
export type WireBytes = Uint8Array | Blob | { url: string } | { port: MessagePort };

/** Rows as they cross over. */
export type WireRows = { dataset: Dataset } | { bytes: WireBytes; name: string };

export type WireCompute = Pick<ComputeOptions, "threads" | "fast"> & {
  wasm?: WebAssembly.Module | Uint8Array | string;
};

/** Options of a trainer as they cross over. */
export interface WireTrainer extends PlainOptions, WireCompute {
  data: { train: WireRows; validation?: WireRows; test?: WireRows };
  init?: WireBytes;
}

/** Options of a trainer that cross over as they are. */
export interface PlainOptions
  extends Pick<TrainerOptions, "model" | "train" | "evaluateTrain" | "onDivergence" | "divergenceRetries"> {
  /** Stores checkpoints in the browser's own file system (OPFS), the last two of each training. */
  checkpoint?: WorkerCheckpoints | undefined;
  /**
   * The folder of checkpoints to go on from, of the same data and options. If it is that of `checkpoint`, training begins
   * when there is none yet.
   */
  resume?: string | undefined;
}

/** Where checkpoints of a training in a worker are stored, and when. */
export interface WorkerCheckpoints extends Pick<CheckpointOptions, "every"> {
  /** Name of a folder, or names of several with `/` between them; they are made. */
  name: string;
}

/** A model in the worker, and what does not change of it. */
export interface WireModel {
  target: number;
  config: ModelConfig;
  record: TrainingRecord;
  tensors: { name: string; shape: number[]; parameters: number; bytes: number }[];
}

/** Calls of the object `HOST`. */
export interface HostCalls {
  /** The version of the package in the worker. */
  version(): string;
  createTrainer(options: WireTrainer): { target: number; start: StartEvent };
  loadModel(bytes: WireBytes, options: WireCompute): WireModel;
  readRows(rows: WireRows): Dataset;
  /** Ends the training, or the reading of its rows, that the call `id` has begun. */
  abort(id: number): void;
}

/** Calls of a trainer. */
export interface TrainerCalls {
  /** The next event; undefined behind the last. */
  next(): WorkerEvent | undefined;
  /** Nobody waits for events any more. */
  leave(): void;
  model(): WireModel;
  dispose(): void;
}

/** Calls of a model. */
export interface ModelCalls {
  predict(rows: WireRows, options: PredictOptions): Float32Array;
  evaluate(rows: WireRows, options: Omit<EvaluateOptions, "scores">): Metrics;
  rank(context: FeatureSlots, candidates: CandidateTable | readonly FeatureRow[], options: RankOptions): Ranking;
  explain(row: FeatureRow): Explanation;
  unknownFeatures(rows: WireRows): number;
  tensor(name: string): Float32Array;
  toBytes(): Uint8Array;
  save(path: string): void;
  dispose(): void;
}

/** What a target answers to: the same calls, synchronous or not. */
export type Implementation<Calls> = {
  [Name in keyof Calls]: Calls[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Result | Promise<Result>
    : never;
};

/** An error that crosses over; an IfmError keeps all that it says. */
export interface WireError {
  name: string;
  message: string;
  stack?: string;
  code?: ErrorCode;
  file?: string;
  line?: number;
  column?: number;
  hint?: string;
}

export function encodeError(error: unknown): WireError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message, stack } = error;
  const plain: WireError = { name, message, ...(stack === undefined ? {} : { stack }) };
  if (!(error instanceof IfmError)) return plain;
  const { code, file, line, column, hint } = error;
  return {
    ...plain,
    code,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
    ...(hint === undefined ? {} : { hint }),
  };
}

/** The error as it was thrown over there. Where it was is part of the message already. */
export function decodeError({ code, file, line, column, hint, ...plain }: WireError): Error {
  if (code === undefined) return Object.assign(new Error(plain.message), plain);
  return Object.assign(new IfmError(code, plain.message), { file, line, column, hint });
}

/** The buffers of a value that is made for the other side, which then need no copy. */
export function buffersOf(value: unknown): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const visit = (part: unknown): void => {
    if (ArrayBuffer.isView(part)) {
      if (part.buffer instanceof ArrayBuffer) found.add(part.buffer);
    } else if (typeof part === "object" && part !== null && !(part instanceof Blob)) Object.values(part).forEach(visit);
  };
  visit(value);
  return [...found];
}
