/// <reference lib="esnext.disposable" preserve="true" />
import { mostThreads, readModelFile, writeModelFile } from "#runtime";
import { type ModelConfig, validateThreads, validateTrainConfig } from "../config.js";
import { countUnknown, type Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { bytesOf, isResponse } from "../fetch.js";
import { type EvaluateOptions, evaluate, type LabelRange } from "../train/metrics.js";
import type { Metrics } from "../train/types.js";
import { formatBytes } from "../wasm/arena.js";
import { type ComputeOptions, type KernelBuild, kernelsFor } from "../wasm/load.js";
import { planMemory } from "../wasm/plan.js";
import { Session } from "../wasm/session.js";
import { decodeModel, encodeModel, modelParts } from "./format.js";
import { layoutOf, type TensorSpec } from "./layout.js";
import type { TrainingRecord } from "./record.js";

/** Room for rows of this many slots, until a longer one comes. */
const FM_SLOTS = 4096;

/** Rows of a tensor that are written at once. */
const ROWS_AT_ONCE = 4096;

/**
 * Memory that any model may take beside what its file accounts for: 1,024 slots have half a million pairs, each with a
 * vector that is made of a few numbers of the file.
 */
const FREE_BYTES = 2 ** 28;
const BYTES_PER_FILE_BYTE = 16;

/** How `Model.load` makes a model of a file. */
export interface LoadOptions extends ComputeOptions {
  /** Most bytes of memory that the model may take. By default 256 MiB and 16 times the bytes of its file. */
  maxMemory?: number;
}

/** What `Model.predict` returns for a row. */
export interface PredictOptions {
  /** `identity`: the raw score ŷ (default). `sigmoid`: 1 / (1 + exp(-ŷ)), a probability. */
  link?: "identity" | "sigmoid";
  /** Clip ŷ to the label range of the training rows. */
  clip?: boolean;
  /**
   * Share of the pairs that is looked at, those with the largest ‖F_p‖ (IFM, DeepIFM): faster, but another score.
   * 1 = all (default).
   */
  samplePairs?: number;
}

/** Where a model file can come from. A `File` is a `Blob`. */
export type ModelSource = string | URL | Uint8Array | ArrayBuffer | Response | Blob | ReadableStream<Uint8Array>;

/** The bytes of a model file, and its name as far as it has one. */
async function readModel(source: ModelSource): Promise<[Uint8Array, string | undefined]> {
  if (typeof source === "string" || "href" in source) return [await readModelFile(source), String(source)];
  if (ArrayBuffer.isView(source)) return [source, undefined];
  const name = isResponse(source) ? source.url : "name" in source ? String(source.name) : "";
  return [await bytesOf(source, "IFM_MODEL"), name || undefined];
}

/**
 * A trained model: scores rows, says how good the scores are, and is one file.
 *
 * Its weights live in WebAssembly memory; `dispose` (or `using`) gives it up at once instead of at some garbage
 * collection.
 */
export class Model {
  readonly config: ModelConfig;
  /** How it was trained, as far as the file says. */
  readonly record: TrainingRecord;
  readonly #kernels: KernelBuild;
  #session: Session | undefined;
  #slots: number;
  readonly #threads: number;

  /** @internal Use `Model.load`, or a trainer's `model()`. */
  constructor(
    kernels: KernelBuild,
    config: ModelConfig,
    record: TrainingRecord,
    weights: Session | ((session: Session) => void),
    threads = 1,
  ) {
    this.config = config;
    this.record = record;
    this.#kernels = kernels;
    this.#slots = FM_SLOTS;
    this.#threads = threads;
    if (weights instanceof Session) {
      this.#session = weights;
      return;
    }
    this.#session = new Session(kernels, config, this.#slots, undefined, threads);
    weights(this.#session);
  }

  /**
   * Loads a model file.
   *
   * @param source where it is (a URL or, in runtimes that have files, a path), its bytes, or what has them
   * @throws IfmError IFM_MODEL when it cannot be read, is damaged or is not a model of this package; IFM_MEMORY when it
   * would take more than `maxMemory`
   */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
    const [bytes, file] = await readModel(source);
    const { config, record, tensors } = decodeModel(bytes, file);
    const threads = validateThreads(options.threads ?? 1, mostThreads());
    const most = options.maxMemory ?? FREE_BYTES + BYTES_PER_FILE_BYTE * bytes.length;
    const need = planMemory(config, FM_SLOTS, undefined, threads).arena.bytes;
    if (need > most) {
      const message = `expected a model of at most ${formatBytes(most)} of memory, found one of ${formatBytes(need)}`;
      throw new IfmError("IFM_MEMORY", `${message} in a file of ${formatBytes(bytes.length)}`, {
        ...(file === undefined ? {} : { file }),
        hint: "if it is meant to be so large, load it with a larger maxMemory",
      });
    }
    const kernels = await kernelsFor(threads, options);
    const fill = (session: Session) => {
      for (const spec of session.layout.tensors) session.write(spec, tensors.get(spec.name)!.data);
    };
    const model = new Model(kernels, config, record, fill, threads);
    await model.#alive().startThreads((reason) => options.onWarning?.(`a thread is not there: ${reason}`));
    return model;
  }

  /** Writes the model file, whole or not at all. */
  async save(path: string): Promise<void> {
    const session = this.#alive();
    // In parts: of a large table there is no room for a second copy, let alone a third.
    const tensors = session.layout.tensors.map((spec) => ({
      name: spec.name,
      shape: spec.shape,
      length: spec.rows * spec.cols,
      *parts() {
        for (let first = 0; first < spec.rows; first += ROWS_AT_ONCE) yield session.read(spec, first, ROWS_AT_ONCE);
      },
    }));
    await writeModelFile(path, modelParts(this.config, this.record, tensors));
  }

  /** The model file: safetensors, see docs/FORMATS.md. */
  toBytes(): Uint8Array {
    const session = this.#alive();
    return encodeModel(
      this.config,
      this.record,
      session.layout.tensors.map((spec) => ({ name: spec.name, shape: spec.shape, data: session.read(spec) })),
    );
  }

  /** Names, shapes and sizes of the tensors, in the order of the file. */
  get tensors(): { name: string; shape: number[]; parameters: number; bytes: number }[] {
    return layoutOf(this.config).tensors.map(({ name, shape, rows, cols }) => {
      return { name, shape, parameters: rows * cols, bytes: 4 * rows * cols };
    });
  }

  /** A tensor's numbers, row by row. */
  tensor(name: string): Float32Array {
    const session = this.#alive();
    const spec = session.layout.tensors.find((candidate: TensorSpec) => candidate.name === name);
    if (!spec) throw new IfmError("IFM_USAGE", `tensor: ${this.config.model} has none called "${name}"`);
    return session.read(spec);
  }

  /**
   * Scores of the rows, f32[rows], in row order. Features that the model does not know contribute nothing.
   *
   * @throws IfmError IFM_DATA when a row has another number of slots than the model needs; IFM_USAGE when the model does
   * not sample pairs
   */
  predict(data: Dataset, { link = "identity", clip = false, samplePairs = 1 }: PredictOptions = {}): Float32Array {
    const out = new Float32Array(data.rows);
    const session = this.#sessionFor(data);
    this.#checkSampling(samplePairs);
    for (const { first, scores } of session.scoreBlocks(data, samplePairs)) out.set(scores, first);
    if (clip) {
      const { labelMin, labelMax } = this.record;
      if (labelMin === undefined || labelMax === undefined) {
        throw new IfmError("IFM_USAGE", "clip: the model file does not say on which labels it was trained");
      }
      for (let r = 0; r < out.length; r++) out[r] = Math.min(labelMax, Math.max(labelMin, out[r]!));
    }
    if (link === "sigmoid") for (let r = 0; r < out.length; r++) out[r] = session.kernels.probability(out[r]!);
    return out;
  }

  /**
   * Metrics on labelled rows. Predictions are clipped to the label range of the training rows or, when the file does not
   * say which that was, of the rows at hand. Throws what `predict` throws.
   */
  evaluate(data: Dataset, options: EvaluateOptions = {}): Metrics {
    const { labelMin = data.labelMin, labelMax = data.labelMax } = this.record;
    const range: LabelRange = { labelMin, labelMax };
    this.#checkSampling(options.samplePairs ?? 1);
    return evaluate(this.#sessionFor(data), data, range, options);
  }

  /** How many slots of the rows have a feature that the model does not know. */
  unknownFeatures(data: Dataset): number {
    return countUnknown(data, this.config.features);
  }

  /** Gives up the memory. Calls after it throw. */
  dispose(): void {
    this.#session?.dispose();
    this.#session = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #alive(): Session {
    if (!this.#session) throw new IfmError("IFM_USAGE", "model: used after dispose()");
    return this.#session;
  }

  /** The rules are those of training; the loss plays no part in them. */
  #checkSampling(samplePairs: number): void {
    validateTrainConfig({ samplePairs }, this.config.model, "squared");
  }

  #sessionFor(data: Dataset): Session {
    const session = this.#alive();
    if (this.config.model !== "fm" || data.maxSlots <= this.#slots) return session;
    this.#slots = data.maxSlots;
    // Rows this long are rare; the threads stay with the old memory, and one goes on.
    const larger = new Session(this.#kernels, this.config, this.#slots, undefined, this.#threads);
    larger.parameters().set(session.parameters());
    session.dispose();
    this.#session = larger;
    return larger;
  }
}
