import type { ModelConfig, ModelKind, TrainConfig } from "../config.js";
import { IfmError } from "../errors.js";
import type { TrainOptions } from "../train/trainer.js";
import { type OptionSpec, TRAIN_OPTIONS, type TrainValues } from "./options.js";

/* From the command line to the options of the library, and back to flags where the library names one of them. */

/** The properties of `values` that are not undefined. */
function given<T extends object>(values: { [Key in keyof T]?: T[Key] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, entry]) => entry !== undefined)) as Partial<T>;
}

/** The same, undefined when nothing was given. */
function group<T extends object>(values: { [Key in keyof T]?: T[Key] | undefined }): Partial<T> | undefined {
  const some = given<T>(values);
  return Object.keys(some).length === 0 ? undefined : some;
}

/** What the user said of the model, and its kind; nothing else, so that an initial model can say the rest. */
export function modelOverrides(kind: ModelKind, options: TrainValues): Partial<ModelConfig> {
  return given<ModelConfig>({
    model: kind,
    features: options.features,
    fields: options.fields && Math.max(...options.fields) + 1,
    fieldOfSlot: options.fields,
    factors: options.factors,
    attentionFactors: options.attentionFactors,
    fieldFactors: options.fieldFactors,
    hidden: options.hidden,
    activation: options.activation,
    temperature: options.temperature,
    temperatureOn: options.temperatureOn,
    loss: options.loss,
    batchNorm: options.batchNorm,
  });
}

/** What the user said of the training, nothing else. */
export function trainOverrides(kind: ModelKind, options: TrainValues): TrainOptions {
  return given<TrainOptions>({
    optimizer: options.optimizer,
    lr: options.lr,
    epochs: options.epochs,
    batchSize: options.batchSize,
    keep: keepPair(kind, options.keep),
    l2: group<TrainConfig["l2"]>({
      embedding: options.l2Embedding,
      linear: options.l2Linear,
      attention: options.l2Attention,
      field: options.l2Field,
      hidden: options.l2Hidden,
    }),
    reduction: options.reduction,
    clipNorm: options.clipNorm,
    earlyStop: options.earlyStop,
    seed: options.seed,
    shuffle: options.shuffle === false ? false : undefined,
    freeze: options.freeze,
    momentum: options.momentum,
    adam: group<TrainConfig["adam"]>({
      beta1: options.beta1,
      beta2: options.beta2,
      epsilon: options.epsilon,
      exact: options.adamExact,
    }),
    ftrl: group<TrainConfig["ftrl"]>({ beta: options.ftrlBeta, l1: options.ftrlL1, l2: options.ftrlL2 }),
    bpr: group<TrainConfig["bpr"]>({
      groupBy: options.groupBy,
      itemFields: options.itemFields,
      negatives: options.negatives,
    }),
    samplePairs: options.samplePairs,
    sampleAfter: options.sampleAfter,
  });
}

/** An error of the library that names a key of its options, such as `freeze: …`, naming the flag: `--freeze: …`. */
export function namingFlag(error: unknown): unknown {
  if (!(error instanceof IfmError) || error.code !== "IFM_USAGE") return error;
  const [, key, rest] = /^(\w+)(:.*)$/s.exec(error.message) ?? [];
  const table: Readonly<Record<string, OptionSpec<unknown>>> = { ...TRAIN_OPTIONS, fieldOfSlot: TRAIN_OPTIONS.fields };
  if (key === undefined || !Object.hasOwn(table, key)) return error;
  const [flag] = table[key].flags.split(" ");
  return new IfmError(error.code, flag + rest, { ...(error.hint && { hint: error.hint }), cause: error });
}

/** FM drops its pooled vector only and takes the last number; the others need both. */
function keepPair(kind: ModelKind, keep: readonly number[] | undefined): [number, number] | undefined {
  if (keep === undefined) return undefined;
  const [first, second] = keep;
  if (second !== undefined) return [first, second];
  if (kind === "fm") return [1, first];
  throw new IfmError("IFM_USAGE", `--keep: expected two numbers for ${kind}, got "${first}"`, {
    hint: `the first is for the attention weights, the second for the pair products, such as 1.0,${first}`,
  });
}
