/// <reference lib="esnext.disposable" preserve="true" />
import { readModelFile, writeModelFile } from "#runtime";
import { type ModelConfig, validateTrainConfig } from "../config.js";
import { checkRows, countUnknown, type Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { bytesOf, isResponse } from "../fetch.js";
import { type EvaluateOptions, evaluate, type LabelRange } from "../train/metrics.js";
import type { Metrics } from "../train/types.js";
import { formatBytes } from "../wasm/arena.js";
import { type ComputeOptions, type KernelBuild, kernelsFor, threadsFor } from "../wasm/load.js";
import { planMemory, SCORE_SLOTS } from "../wasm/plan.js";
import { EXPLAINED_SLOTS } from "../wasm/serving.js";
import { Session } from "../wasm/session.js";
import type { Explanation } from "./explanation.js";
import { modelParts } from "./format.js";
import { layoutOf, type TensorSpec } from "./layout.js";
import { checkRequest, joinRow, type Ranking, type RankOptions } from "./rank.js";
import type { TrainingRecord } from "./record.js";
import { DTYPE_BYTES, type Dtype, dataParts, joined } from "./safetensors.js";
import { type CandidateTable, datasetOf, type FeatureRow, type FeatureSlots, tableOfRows } from "./slots.js";

/** Rows of a tensor that are written at once. */
const ROWS_AT_ONCE = 4096;

/**
 * Memory that any model may take beside what its file accounts for: 1,024 slots have half a million pairs, each with a
 * vector that is made of a few numbers of the file.
 */
const FREE_BYTES = 2 ** 28;
const BYTES_PER_FILE_BYTE = 16;

/**
 * Weights of fewer bytes are hashed by the kernels, 1 ms for 256 kB: the runtime's hash is faster, but Node takes 2 ms to
 * load it.
 */
const HASHED_BY_RUNTIME = 2 ** 18;

/** How `Model.load` makes a model of a file. */
export interface LoadOptions extends ComputeOptions {
  /** Most bytes of memory that the model may take. By default 256 MiB and 16 times the bytes of its file. */
  maxMemory?: number;
  /** What the file must be, as in HTML's `integrity`: "sha256-" and the Base64 of its hash. */
  integrity?: string;
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
  readonly #dtype: Dtype;

  /** @internal Use `Model.load`, or a trainer's `model()`. */
  constructor(
    kernels: KernelBuild,
    config: ModelConfig,
    record: TrainingRecord,
    weights: Session | ((session: Session) => void),
    threads = 1,
    dtype: Dtype = "F32",
  ) {
    this.config = config;
    this.record = record;
    this.#kernels = kernels;
    this.#slots = SCORE_SLOTS;
    this.#threads = threads;
    this.#dtype = dtype;
    if (weights instanceof Session) {
      this.#session = weights;
      return;
    }
    this.#session = new Session(kernels, config, this.#slots, undefined, threads, dtype);
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
    const threads = threadsFor(options);
    // Compiled while the file is read; which kernels are fast depends on the model.
    const [[bytes, file], reading, usual] = await Promise.all([
      readModel(source),
      import("./reading.js"),
      options.fast ? undefined : kernelsFor("predict", threads, options),
    ]);
    const { checkDigest, checkIntegrity, decodeModel, webHash } = reading;
    const place = file === undefined ? {} : { file };
    if (options.integrity !== undefined) await checkIntegrity(bytes, options.integrity, place);
    const { config, record, tensors, dtype, digest, data } = decodeModel(bytes, place.file);
    const most = options.maxMemory ?? FREE_BYTES + BYTES_PER_FILE_BYTE * bytes.length;
    const need = planMemory(config, SCORE_SLOTS, undefined, threads, dtype).arena.bytes;
    if (need > most) {
      const message = `expected a model of at most ${formatBytes(most)} of memory, found one of ${formatBytes(need)}`;
      throw new IfmError("IFM_MEMORY", `${message} in a file of ${formatBytes(bytes.length)}`, {
        ...place,
        hint: "if it is meant to be so large, load it with a larger maxMemory",
      });
    }
    const kernels = usual ?? (await kernelsFor("predict", threads, options, config));
    const fill = (session: Session) => {
      for (const spec of session.layout.tensors) session.write(spec, tensors.get(spec.name)!.data);
    };
    const model = new Model(kernels, config, record, fill, threads, dtype);
    if (digest !== undefined) {
      const hash = data.length < HASHED_BY_RUNTIME ? undefined : await webHash("256", data);
      checkDigest(digest, hash ?? model.#alive().sha256([data]), place);
    }
    await model.#alive().startThreads((reason) => options.onWarning?.(`a thread is not there: ${reason}`));
    return model;
  }

  /** Writes the model file, whole or not at all. */
  async save(path: string): Promise<void> {
    await writeModelFile(path, this.#parts());
  }

  /** The model file: safetensors, see docs/FORMATS.md. */
  toBytes(): Uint8Array {
    return joined(
      this.#parts(),
      this.tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    );
  }

  /** The file in parts: of a large table there is no room for a second copy, let alone a third. */
  #parts(): Iterable<Uint8Array> {
    const session = this.#alive();
    const tensors = session.layout.tensors.map((spec) => ({
      name: spec.name,
      shape: spec.shape,
      length: spec.rows * spec.cols,
      dtype: spec.dtype,
      *parts() {
        for (let first = 0; first < spec.rows; first += ROWS_AT_ONCE) yield session.read(spec, first, ROWS_AT_ONCE);
      },
    }));
    return modelParts(this.config, this.record, tensors, session.sha256(dataParts(tensors)));
  }

  /** Names, shapes and sizes of the tensors, in the order of the file. */
  get tensors(): { name: string; shape: number[]; dtype: Dtype; parameters: number; bytes: number }[] {
    return layoutOf(this.config, this.#dtype).tensors.map(({ name, shape, dtype, rows, cols }) => {
      return { name, shape, dtype, parameters: rows * cols, bytes: DTYPE_BYTES[dtype] * rows * cols };
    });
  }

  /** A tensor's numbers, row by row; of a small table as the 32-bit floats that it stands for. */
  tensor(name: string): Float32Array {
    const session = this.#alive();
    const spec = session.layout.tensors.find((candidate: TensorSpec) => candidate.name === name);
    if (!spec) throw new IfmError("IFM_USAGE", `tensor: ${this.config.model} has none called "${name}"`);
    return session.readFloats(spec);
  }

  /**
   * Scores of the rows, f32[rows], in row order. Features that the model does not know contribute nothing.
   *
   * @throws IfmError IFM_DATA when a row has another number of slots than the model needs; IFM_USAGE when the model does
   * not sample pairs
   */
  predict(data: Dataset, { link = "identity", clip = false, samplePairs = 1 }: PredictOptions = {}): Float32Array {
    checkRows(data);
    const out = new Float32Array(data.rows);
    const session = this.#sessionFor(data.maxSlots);
    this.#checkSampling(samplePairs);
    for (const { first, scores } of session.scoreBlocks(data, samplePairs)) out.set(scores, first);
    return this.#finish(out, link, clip);
  }

  /** From raw scores to what was asked for, in place. */
  #finish(out: Float32Array, link: PredictOptions["link"], clip: boolean): Float32Array {
    if (clip) {
      const { labelMin, labelMax } = this.record;
      if (labelMin === undefined || labelMax === undefined) {
        throw new IfmError("IFM_USAGE", "clip: the model file does not say on which labels it was trained");
      }
      for (let r = 0; r < out.length; r++) out[r] = Math.min(labelMax, Math.max(labelMin, out[r]!));
    }
    if (link === "sigmoid") for (let r = 0; r < out.length; r++) out[r] = this.#alive().kernels.probability(out[r]!);
    return out;
  }

  /**
   * Scores many candidates that share a context, and puts them in order. Scores are those that `predict` gives for the
   * joined rows, to the accuracy of 32-bit floats.
   *
   * @param context    what the candidates share: user, time, place …
   * @param candidates what is to be ranked
   * @throws IfmError IFM_DATA when a part holds no ids and numbers, or context and candidate together are no row of the
   * model
   */
  rank(
    context: FeatureSlots,
    candidates: CandidateTable | readonly FeatureRow[],
    { topK, explain = false, link = "identity", clip = false }: RankOptions = {},
  ): Ranking {
    if (topK !== undefined && (!Number.isSafeInteger(topK) || topK < 1)) {
      throw new IfmError("IFM_USAGE", `topK: expected a whole number from 1, got ${topK}`);
    }
    const request = checkRequest(this.config, context, candidates);
    const { longest, count } = request.candidates;
    const session = this.#sessionFor(request.context.features.length + longest);
    const { indices, scores, unknown } = session.rank(request, topK ?? count);
    return {
      indices,
      scores: this.#finish(scores, link, clip),
      unknownFeatures: unknown,
      ...(explain ? { explanations: Array.from(indices, (index) => this.explain(joinRow(request, index))) } : {}),
    };
  }

  /**
   * Why a row has its score: what the bias, each slot and each pair of slots add to it.
   *
   * @throws IfmError IFM_DATA when it holds no ids and numbers, has another number of slots than the model needs, or too
   * many
   */
  explain(row: FeatureRow): Explanation {
    const data = datasetOf(tableOfRows("row", [row]));
    if (data.maxSlots > EXPLAINED_SLOTS) {
      throw new IfmError("IFM_DATA", `explain: expected at most ${EXPLAINED_SLOTS} slots, found ${data.maxSlots}`);
    }
    const { score, constant, linear, pairs, baseline, network } = this.#sessionFor(data.maxSlots).explain(data);
    const of = this.config.model === "inn" ? "pairs" : "slots";
    return {
      score,
      bias: this.tensor("bias")[0]!,
      constant,
      linear,
      pairs,
      ...(this.config.model === "inn" || this.config.model === "deepifm"
        ? { network: { method: "integrated gradients", of, baseline, contributions: network } }
        : {}),
      unknownFeatures: this.unknownFeatures(data),
    };
  }

  /**
   * Metrics on labelled rows. Predictions are clipped to the label range of the training rows or, when the file does not
   * say which that was, of the rows at hand. Throws what `predict` throws.
   */
  evaluate(data: Dataset, options: EvaluateOptions = {}): Metrics {
    const { labelMin = data.labelMin, labelMax = data.labelMax } = this.record;
    const range: LabelRange = { labelMin, labelMax };
    checkRows(data);
    this.#checkSampling(options.samplePairs ?? 1);
    return evaluate(this.#sessionFor(data.maxSlots), data, range, options);
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

  /** A session with room for rows of so many slots. */
  #sessionFor(slots: number): Session {
    const session = this.#alive();
    if (this.config.model !== "fm" || slots <= this.#slots) return session;
    this.#slots = slots;
    // Rows this long are rare; the threads stay with the old memory, and one goes on.
    const larger = new Session(this.#kernels, this.config, slots, undefined, this.#threads, this.#dtype);
    larger.parameters().set(session.parameters());
    session.dispose();
    this.#session = larger;
    return larger;
  }
}
