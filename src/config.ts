import { IfmError } from "./errors.js";

export type ModelKind = "fm" | "afm" | "ifm" | "inn" | "deepifm";
export type Activation = "relu" | "tanh" | "sigmoid" | "identity";
export type TemperatureOn = "logits" | "projection";
export type Loss = "squared" | "logistic" | "bpr";
export type Reduction = "sum" | "mean";
export type OptimizerKind = "sgd" | "momentum" | "adagrad" | "adam" | "ftrl";

/** What shapes a model. Stored in the model file under `config`. Symbols as in docs/NOTATION.md. */
export interface ModelConfig {
  model: ModelKind;
  /** n: features, rows of the tables. */
  features: number;
  /** F: fields. */
  fields: number;
  /** K: factors (embedding size). */
  factors: number;
  /** A: attention factors. */
  attentionFactors: number;
  /** K_F: field factors. */
  fieldFactors: number;
  /** Units of the hidden layers (INN, DeepIFM). */
  hidden: number[];
  /** Activation of the attention's projection. */
  activation: Activation;
  /** τ: temperature of the attention. */
  temperature: number;
  /** What τ divides: the logits (the paper) or the projection (the authors' released code). */
  temperatureOn: TemperatureOn;
  loss: Loss;
  /** Field of each slot; its length is M for the models that need a fixed number of slots, empty for FM. */
  fieldOfSlot: number[];
  /** Leave out pairs of two slots of one field (DeepIFM). */
  excludeSameField: boolean;
  /** Batch normalisation of the pair part (FM). */
  batchNorm: boolean;
}

/** Weights of the L2 terms λ·½‖·‖² by group. */
export interface L2 {
  embedding: number;
  linear: number;
  attention: number;
  field: number;
  hidden: number;
}

/** Which pairs of rows the pairwise loss `bpr` compares. */
export interface BprConfig {
  /** Fields whose features say which rows compete: a user, a session, a query. Pairs are of one group. */
  groupBy: number[];
  /**
   * Fields that say what is ranked. With them, the other row of a pair is the row itself with another item, drawn from
   * all items of the training rows that the group has not liked there. Empty: it is a row of the group with a lower
   * label.
   */
  itemFields: number[];
  /** Pairs that an epoch makes of each row that has something below it. */
  negatives: number;
}

/** How a model is trained. */
export interface TrainConfig {
  optimizer: OptimizerKind;
  /** Learning rate (α of FTRL). */
  lr: number;
  epochs: number;
  /** Rows of an update or, for `bpr`, pairs of rows. */
  batchSize: number;
  /** Probability of keeping [attention weights, pair products]; FM uses the last entry. */
  keep: [number, number];
  l2: L2;
  /** Over the rows of a batch or, for `bpr`, over its pairs. */
  reduction: Reduction;
  /** Clip the gradient to this global L2 norm; 0 = off. */
  clipNorm: number;
  /** Epochs without improvement before training ends; 0 = off. */
  earlyStop: number;
  seed: number;
  shuffle: boolean;
  /** Share of the pairs that a batch uses, drawn by ‖F_p‖² (IFM, DeepIFM); 1 = all. */
  samplePairs: number;
  /** Steps before sampling begins. */
  sampleAfter: number;
  /** Names of tensors that are not trained. */
  freeze: string[];
  /** μ of momentum. */
  momentum: number;
  /** β₁, β₂, ε of Adam; `exact` also moves the rows that a batch does not touch. */
  adam: { beta1: number; beta2: number; epsilon: number; exact: boolean };
  /** β, λ₁, λ₂ of FTRL-proximal. */
  ftrl: { beta: number; l1: number; l2: number };
  bpr: BprConfig;
}

/** Seed of a run that names none. */
export const DEFAULT_SEED = 2019;

/** Kinds of model, simplest first. */
export const MODELS = ["fm", "afm", "ifm", "inn", "deepifm"] as const satisfies ModelKind[];

/** Model options that nobody named. Features, fields and the fields of the slots come from the data. */
export function defaultModel(model: ModelKind): Omit<ModelConfig, "features" | "fields" | "fieldOfSlot"> {
  const deep = model === "deepifm";
  return {
    model,
    factors: 16,
    attentionFactors: 16,
    fieldFactors: 16,
    hidden: deep ? [100, 75, 50] : model === "inn" ? [5] : [],
    activation: deep ? "tanh" : "relu",
    temperature: 10,
    temperatureOn: "logits",
    loss: deep ? "logistic" : "squared",
    excludeSameField: deep,
    batchNorm: false,
  };
}

/** Training options that nobody named. Regularisation, clipping and dropout are off. */
export function defaultTrain(_model: ModelKind, loss: Loss): TrainConfig {
  return {
    optimizer: "adagrad",
    lr: 0.05,
    epochs: 20,
    batchSize: 1024,
    keep: [1, 1],
    l2: { embedding: 0, linear: 0, attention: 0, field: 0, hidden: 0 },
    reduction: loss === "squared" ? "sum" : "mean",
    clipNorm: 0,
    earlyStop: 5,
    seed: DEFAULT_SEED,
    shuffle: true,
    samplePairs: 1,
    sampleAfter: 0,
    freeze: [],
    momentum: 0.95,
    adam: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, exact: false },
    ftrl: { beta: 1, l1: 0, l2: 0 },
    bpr: { groupBy: [], itemFields: [], negatives: 1 },
  };
}

/** Checks a number of threads. `auto` is `most`, as many as the machine runs at once. */
export function validateThreads(threads: number | "auto", most: number): number {
  return threads === "auto" ? most : checker(usage).integer("threads", threads, 1, MAX_THREADS);
}

type Fail = (message: string) => Error;
const usage: Fail = (message) => new IfmError("IFM_USAGE", message);

const MAX_SIZE = 2 ** 31 - 1;
const MAX_SLOTS = 1024;
const MAX_THREADS = 256;

/**
 * Fills in what a partial model configuration leaves out and checks the whole.
 *
 * @param given `model`, `features` and, but for FM, `fieldOfSlot` (or `fields`) must be there
 * @param fail  makes the error: of usage, or of a model file
 */
export function validateModelConfig(given: Record<string, unknown>, fail: Fail = usage): ModelConfig {
  refuseUnknown("model", given, Object.keys(defaultModel("fm")).concat("features", "fields", "fieldOfSlot"), fail);
  const check = checker(fail);
  const model = check.oneOf("model", given.model, MODELS);
  const config = { ...defaultModel(model), ...withoutUndefined(given) } as Record<string, unknown>;
  const features = check.integer("features", config.features, 1, MAX_SIZE);
  let fieldOfSlot =
    config.fieldOfSlot === undefined ? undefined : check.integers("fieldOfSlot", config.fieldOfSlot, 0, MAX_SLOTS - 1);
  if (model === "fm") fieldOfSlot ??= [];
  if (fieldOfSlot === undefined) {
    const fields = check.integer("fields", config.fields, 1, MAX_SLOTS);
    fieldOfSlot = Array.from({ length: fields }, (_, field) => field);
  }
  if (model !== "fm" && fieldOfSlot.length === 0) throw fail("fieldOfSlot: expected at least one slot");
  if (fieldOfSlot.length > MAX_SLOTS)
    throw fail(`fieldOfSlot: expected at most ${MAX_SLOTS} slots, got ${fieldOfSlot.length}`);
  const lowest = fieldOfSlot.reduce((most, field) => Math.max(most, field + 1), model === "fm" ? 0 : 1);
  const fields = config.fields === undefined ? lowest : check.integer("fields", config.fields, lowest, MAX_SLOTS);
  const batchNorm = check.boolean("batchNorm", config.batchNorm);
  if (batchNorm && model !== "fm") throw fail(`batchNorm: fm has it, ${model} does not`);
  return {
    model,
    features,
    fields,
    factors: check.integer("factors", config.factors, 1, 65536),
    attentionFactors: check.integer("attentionFactors", config.attentionFactors, 1, 65536),
    fieldFactors: check.integer("fieldFactors", config.fieldFactors, 1, 65536),
    hidden: check.integers("hidden", config.hidden, 1, 65536),
    activation: check.oneOf("activation", config.activation, ["relu", "tanh", "sigmoid", "identity"] as const),
    temperature: check.number("temperature", config.temperature, { above: 0 }),
    temperatureOn: check.oneOf("temperatureOn", config.temperatureOn, ["logits", "projection"] as const),
    loss: check.oneOf("loss", config.loss, ["squared", "logistic", "bpr"] as const),
    fieldOfSlot,
    excludeSameField: check.boolean("excludeSameField", config.excludeSameField),
    batchNorm,
  };
}

/** Fills in what partial training options leave out and checks the whole. */
export function validateTrainConfig(given: Partial<TrainConfig>, model: ModelKind, loss: Loss): TrainConfig {
  const check = checker(usage);
  const base = defaultTrain(model, loss);
  refuseUnknown("train", given, Object.keys(base), usage);
  for (const group of ["l2", "adam", "ftrl", "bpr"] as const) {
    refuseUnknown(`train.${group}`, given[group] ?? {}, Object.keys(base[group]), usage);
  }
  const train = { ...base, ...withoutUndefined(given) };
  const l2 = { ...base.l2, ...withoutUndefined(train.l2) };
  const adam = { ...base.adam, ...withoutUndefined(train.adam) };
  const ftrl = { ...base.ftrl, ...withoutUndefined(train.ftrl) };
  const bpr = { ...base.bpr, ...withoutUndefined(train.bpr) };
  if (!Array.isArray(train.keep) || train.keep.length !== 2)
    throw usage("keep: expected two numbers [attention weights, pair products]");
  for (const name of Object.keys(l2) as (keyof L2)[]) check.number(`l2.${name}`, l2[name], { least: 0 });
  check.number("adam.beta1", adam.beta1, { least: 0, below: 1 });
  check.number("adam.beta2", adam.beta2, { least: 0, below: 1 });
  check.number("adam.epsilon", adam.epsilon, { above: 0 });
  check.boolean("adam.exact", adam.exact);
  check.number("ftrl.l1", ftrl.l1, { least: 0 });
  check.number("ftrl.l2", ftrl.l2, { least: 0 });
  // β = 0 and λ₂ = 0 would divide by 0 before the first gradient.
  check.number("ftrl.beta", ftrl.beta, ftrl.l2 > 0 ? { least: 0 } : { above: 0 });
  const samplePairs = check.number("samplePairs", train.samplePairs, { above: 0, most: 1 });
  if (samplePairs < 1 && model !== "ifm" && model !== "deepifm")
    throw usage(`samplePairs: ifm and deepifm sample, ${model} does not`);
  const groupBy = check.integers("groupBy", bpr.groupBy, 0, MAX_SLOTS - 1);
  const itemFields = check.integers("itemFields", bpr.itemFields, 0, MAX_SLOTS - 1);
  if (loss === "bpr" && groupBy.length === 0)
    throw usage("groupBy: the loss bpr needs the fields whose rows compete, such as 0 when the first is the user");
  if (itemFields.some((field) => groupBy.includes(field)))
    throw usage(`itemFields: a field cannot be both of the group and of the item, got ${itemFields} beside ${groupBy}`);
  if (!Array.isArray(train.freeze)) throw usage("freeze: expected a list of tensor names");
  return {
    optimizer: check.oneOf("optimizer", train.optimizer, ["sgd", "momentum", "adagrad", "adam", "ftrl"] as const),
    lr: check.number("lr", train.lr, { above: 0 }),
    epochs: check.integer("epochs", train.epochs, 0, MAX_SIZE),
    batchSize: check.integer("batchSize", train.batchSize, 1, MAX_SIZE),
    keep: [
      check.number("keep[0]", train.keep[0], { above: 0, most: 1 }),
      check.number("keep[1]", train.keep[1], { above: 0, most: 1 }),
    ],
    l2,
    reduction: check.oneOf("reduction", train.reduction, ["sum", "mean"] as const),
    clipNorm: check.number("clipNorm", train.clipNorm, { least: 0 }),
    earlyStop: check.integer("earlyStop", train.earlyStop, 0, MAX_SIZE),
    seed: check.integer("seed", train.seed, 0, 2 ** 32 - 1),
    shuffle: check.boolean("shuffle", train.shuffle),
    samplePairs,
    sampleAfter: check.integer("sampleAfter", train.sampleAfter, 0, 2 ** 32 - 1),
    freeze: [...train.freeze],
    momentum: check.number("momentum", train.momentum, { least: 0, below: 1 }),
    adam,
    ftrl,
    bpr: { groupBy, itemFields, negatives: check.integer("negatives", bpr.negatives, 1, 1000) },
  };
}

function withoutUndefined<T extends object>(object: T): Partial<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** A mistyped name must not mean a default. */
function refuseUnknown(where: string, given: object, known: string[], fail: Fail): void {
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw fail(`${where}: unknown option "${unknown}", expected one of ${known.join(", ")}`);
}

interface Range {
  least?: number;
  above?: number;
  most?: number;
  below?: number;
}

/** Checks single values; every message reads `name: expected …, got …`. */
function checker(fail: Fail) {
  const wrong = (name: string, expected: string, got: unknown) =>
    fail(`${name}: expected ${expected}, got ${JSON.stringify(got)}`);
  const integer = (name: string, value: unknown, least: number, most: number): number => {
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw wrong(name, `a whole number from ${least} to ${most}`, value);
  };
  return {
    integer,
    integers(name: string, value: unknown, least: number, most: number): number[] {
      if (!Array.isArray(value)) throw wrong(name, "a list of whole numbers", value);
      return value.map((entry, i) => integer(`${name}[${i}]`, entry, least, most));
    },
    number(name: string, value: unknown, { least, above, most, below }: Range): number {
      const x = value as number;
      const inside =
        Number.isFinite(value) &&
        (least === undefined || x >= least) &&
        (above === undefined || x > above) &&
        (most === undefined || x <= most) &&
        (below === undefined || x < below);
      if (inside) return x;
      const bounds = [
        least !== undefined && `>= ${least}`,
        above !== undefined && `> ${above}`,
        most !== undefined && `<= ${most}`,
        below !== undefined && `< ${below}`,
      ].filter(Boolean);
      throw wrong(name, `a number ${bounds.join(" and ")}`, value);
    },
    boolean(name: string, value: unknown): boolean {
      if (typeof value === "boolean") return value;
      throw wrong(name, "true or false", value);
    },
    oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
      if (choices.includes(value as T)) return value as T;
      throw wrong(name, `one of ${choices.join(", ")}`, value);
    },
  };
}
