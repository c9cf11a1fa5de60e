import type { ModelConfig } from "../config.js";
import type { Explanation } from "../model/explanation.js";
import type { PredictOptions } from "../model/model.js";
import type { Ranking, RankOptions } from "../model/rank.js";
import type { TrainingRecord } from "../model/record.js";
import type { CandidateTable, FeatureRow, FeatureSlots } from "../model/slots.js";
import type { EvaluateOptions } from "../train/metrics.js";
import type { Metrics } from "../train/types.js";
import { type CallOptions, type Connection, Remote } from "./connection.js";
import { Packing, type RowSource } from "./packing.js";
import type { ModelCalls, WireModel, WireRows } from "./protocol.js";

/** A model in a worker. Its calls are those of `Model`, as promises; rows may also be files, read in the worker. */
export class WorkerModel {
  readonly config: ModelConfig;
  /** How it was trained, as far as the file says. */
  readonly record: TrainingRecord;
  /** Names, shapes and sizes of the tensors, in the order of the file. */
  readonly tensors: WireModel["tensors"];
  readonly #remote: Remote<ModelCalls>;

  /** @internal Use `loadModel`, or a trainer's `model()`. */
  constructor(connection: Connection, { target, config, record, tensors }: WireModel) {
    this.#remote = new Remote(connection, target, "model");
    this.config = config;
    this.record = record;
    this.tensors = tensors;
  }

  /** Scores of the rows, in row order. */
  predict(rows: RowSource, options: PredictOptions = {}): Promise<Float32Array> {
    return this.#withRows(rows, (wire, sending) => this.#remote.call("predict", [wire, options], sending));
  }

  /** Metrics on labelled rows. */
  evaluate(rows: RowSource, options: Omit<EvaluateOptions, "scores"> = {}): Promise<Metrics> {
    return this.#withRows(rows, (wire, sending) => this.#remote.call("evaluate", [wire, options], sending));
  }

  /** Scores many candidates that share a context, and puts them in order. */
  rank(
    context: FeatureSlots,
    candidates: CandidateTable | readonly FeatureRow[],
    options: RankOptions = {},
  ): Promise<Ranking> {
    return this.#remote.call("rank", [context, candidates, options]);
  }

  /** Why a row has its score. */
  explain(row: FeatureRow): Promise<Explanation> {
    return this.#remote.call("explain", [row]);
  }

  /** How many slots of the rows have a feature that the model does not know. */
  unknownFeatures(rows: RowSource): Promise<number> {
    return this.#withRows(rows, (wire, sending) => this.#remote.call("unknownFeatures", [wire], sending));
  }

  /** A tensor's numbers, row by row. */
  tensor(name: string): Promise<Float32Array> {
    return this.#remote.call("tensor", [name]);
  }

  /** The model file; `Model.load` of it is the model in the page. */
  toBytes(): Promise<Uint8Array> {
    return this.#remote.call("toBytes", []);
  }

  /**
   * Writes the model file into the browser's own file system (OPFS), whole or not at all.
   *
   * @param path names of folders, which are made, and of the file, with `/` between them
   */
  save(path: string): Promise<void> {
    return this.#remote.call("save", [path]);
  }

  /** Lets the user have the model file as a download; in a page only. */
  async download(name = `${this.config.model}.safetensors`): Promise<void> {
    const bytes = (await this.toBytes()) as Uint8Array<ArrayBuffer>;
    const url = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
    try {
      Object.assign(document.createElement("a"), { href: url, download: name }).click();
    } finally {
      // The download has begun by then, in all browsers.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    }
  }

  /** Gives up the model; the worker ends with the last that it holds. */
  dispose(): void {
    this.#remote.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #withRows<T>(rows: RowSource, send: (wire: WireRows, options: CallOptions) => Promise<T>): Promise<T> {
    const packing = new Packing();
    const wire = await packing.rows(rows, "rows");
    try {
      return await send(wire, { transfer: packing.transfer });
    } catch (error) {
      packing.stop();
      throw error;
    }
  }
}
