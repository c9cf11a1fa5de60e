import {
  type Activation,
  defaultModel,
  defaultTrain,
  type Loss,
  MODELS,
  type ModelConfig,
  type ModelKind,
  type OptimizerKind,
  type Reduction,
  type TemperatureOn,
  type TrainConfig,
} from "../config.js";
import { cadence, list, name, number, oneOf, type Parser, path, threadCount, whole } from "./parse.js";

/** Headings of the help, in this order. */
export type Group =
  | "Data"
  | "Search"
  | "Serving"
  | "Limits"
  | "Model"
  | "Training"
  | "Optimizers"
  | "Regularisation"
  | "Metrics"
  | "Output";

/** The defaults that one kind of model has with one loss. */
export interface Defaults {
  model: Partial<ModelConfig>;
  train: TrainConfig;
}

/** An option of the command line. `T` is the type of its value; a switch has no parser. */
export interface OptionSpec<T> {
  /** As commander reads it: `--lr <x>`. */
  readonly flags: string;
  readonly group: Group;
  /** What it means, with its unit. */
  readonly about: string;
  readonly parser?: Parser<T>;
  /** Where the default stands, or the default in words; none is off. */
  readonly fallback?: string | ((defaults: Defaults) => unknown);
  /** Not listed with the other options: described elsewhere in the help. */
  readonly hidden?: boolean;
}

export function value<T>(
  flags: string,
  group: Group,
  about: string,
  parser: Parser<T>,
  fallback?: OptionSpec<T>["fallback"],
): OptionSpec<T> {
  return { flags, group, about, parser, ...(fallback === undefined ? {} : { fallback }) };
}

export function toggle(flags: string, group: Group, about: string): OptionSpec<boolean> {
  return { flags, group, about };
}

const MODEL_KINDS = ["fm", "afm", "ifm", "inn", "deepifm"] as const satisfies readonly ModelKind[];
const ACTIVATIONS = ["relu", "tanh", "sigmoid", "identity"] as const satisfies readonly Activation[];
const OPTIMIZERS = ["sgd", "momentum", "adagrad", "adam", "ftrl"] as const satisfies readonly OptimizerKind[];
const LOSSES = ["squared", "logistic", "bpr"] as const satisfies readonly Loss[];
const REDUCTIONS = ["sum", "mean"] as const satisfies readonly Reduction[];
const TEMPERATURE_ON = ["logits", "projection"] as const satisfies readonly TemperatureOn[];

/** What `train` trains without `--model`. */
export const DEFAULT_MODEL = "ifm" satisfies ModelKind;
/** What `--dataset` looks in without `--path`: the authors' place, seen from their `code` folder. */
export const DEFAULT_PATH = "../data/";

const atLeastOne = whole({ min: 1 });
const fieldNumber = whole({ min: 0, max: 1023 });
const notNegative = number({ min: 0 });
const share = number({ above: 0, max: 1 });
const decay = number({ min: 0, below: 1 });

const THREADS = value(
  "--threads <n>",
  "Output",
  "threads that compute; they change no bit of what comes out",
  threadCount,
  "auto, but 1 for small files",
);

const FAST = toggle("--fast", "Output", "relaxed SIMD where it pays: other last bits on other machines");

/** Of commands that read rows. */
const NO_CACHE = toggle("--no-cache", "Data", "neither use nor write FILE.ifmcache, which holds large files as read");

/** All options of `train`. The key of each is its flag in camel case. */
export const TRAIN_OPTIONS = {
  validation: value("--validation <file>", "Data", "rows that tell which epoch is best; that one is kept", path),
  test: value("--test <file>", "Data", "rows to measure after each epoch, only to know", path),
  dataset: value(
    "--dataset <name>",
    "Data",
    "instead of FILE: DIR/NAME/NAME.train.libfm, .validation and .test if there, each also as .gz",
    name,
  ),
  path: value("--path <dir>", "Data", "the DIR of --dataset", path, DEFAULT_PATH),
  features: value(
    "--features <n>",
    "Data",
    "rows of the feature tables; ids from n on are unknown",
    whole({ min: 1, max: 2 ** 31 - 1 }),
    "largest id + 1 of the training rows",
  ),
  cache: NO_CACHE,
  fields: value("--fields <list>", "Data", "field of each slot of a row, such as 0,0,1", list(fieldNumber), "0,1,2,…"),

  model: value("--model <kind>", "Model", "what to train", oneOf(...MODEL_KINDS), DEFAULT_MODEL),
  factors: value("--factors <k>", "Model", "K, length of an embedding", atLeastOne, (d) => d.model.factors),
  attentionFactors: value(
    "--attention-factors <a>",
    "Model",
    "A, width of the attention",
    atLeastOne,
    (d) => d.model.attentionFactors,
  ),
  fieldFactors: value(
    "--field-factors <kf>",
    "Model",
    "K_F, length of a field's vector",
    atLeastOne,
    (d) => d.model.fieldFactors,
  ),
  activation: value(
    "--activation <f>",
    "Model",
    "activation of the attention",
    oneOf(...ACTIVATIONS),
    (d) => d.model.activation,
  ),
  temperature: value(
    "--temperature <x>",
    "Model",
    "τ of the attention; larger is more even",
    number({ above: 0 }),
    (d) => d.model.temperature,
  ),
  temperatureOn: value(
    "--temperature-on <what>",
    "Model",
    "what τ divides: the logits, as in the paper, or the projection, as in the authors' code",
    oneOf(...TEMPERATURE_ON),
    (d) => d.model.temperatureOn,
  ),
  hidden: value(
    "--hidden <list>",
    "Model",
    "units of the hidden layers (inn, deepifm), such as 100,75,50",
    list(atLeastOne),
    (d) => d.model.hidden,
  ),
  samplePairs: value(
    "--sample-pairs <ratio>",
    "Model",
    "share of the pairs that a training batch uses, drawn by the size of their field vectors",
    share,
    "1, all",
  ),
  sampleAfter: value("--sample-after <steps>", "Model", "steps before sampling begins", whole({ min: 0 }), "0"),

  init: value(
    "--init <file>",
    "Training",
    "model to start from; of the same kind it also gives the model's configuration, of another kind " +
      "the tensors that fit",
    path,
  ),
  freeze: value("--freeze <names>", "Training", "tensors that are not trained, such as bias,feature_bias", list(name)),
  loss: value(
    "--loss <kind>",
    "Training",
    "logistic needs two-valued labels; bpr compares rows of a group, see --group-by",
    oneOf(...LOSSES),
    (d) => d.model.loss,
  ),
  groupBy: value(
    "--group-by <fields>",
    "Training",
    "fields whose features say which rows bpr compares, such as the user's: 0",
    list(fieldNumber),
  ),
  itemFields: value(
    "--item-fields <fields>",
    "Training",
    "fields that say what is ranked; bpr then compares each liked row with the same row of other items",
    list(fieldNumber),
    "none: with rows of the group that have lower labels",
  ),
  negatives: value(
    "--negatives <n>",
    "Training",
    "rows that bpr compares a liked row with in an epoch",
    whole({ min: 1, max: 1000 }),
    (d) => d.train.bpr.negatives,
  ),
  reduction: value(
    "--reduction <kind>",
    "Training",
    "sum or mean of the loss over the rows of a batch, or over the pairs of bpr",
    oneOf(...REDUCTIONS),
    (d) => d.train.reduction,
  ),
  optimizer: value("--optimizer <kind>", "Training", "update rule", oneOf(...OPTIMIZERS), (d) => d.train.optimizer),
  lr: value("--lr <x>", "Training", "learning rate", number({ above: 0 }), (d) => d.train.lr),
  epochs: value(
    "--epochs <n>",
    "Training",
    "most passes over the training rows",
    whole({ min: 0 }),
    (d) => d.train.epochs,
  ),
  batchSize: value(
    "--batch-size <n>",
    "Training",
    "rows of an update, or pairs of rows with bpr",
    atLeastOne,
    (d) => d.train.batchSize,
  ),
  clipNorm: value(
    "--clip-norm <x>",
    "Training",
    "largest L2 norm of a gradient; 0 is off",
    notNegative,
    (d) => d.train.clipNorm,
  ),
  earlyStop: value(
    "--early-stop <n>",
    "Training",
    "epochs without improvement before training ends; 0 is off",
    whole({ min: 0 }),
    (d) => d.train.earlyStop,
  ),
  seed: value(
    "--seed <n>",
    "Training",
    "of initial weights, order and dropout; the same seed gives the same bytes",
    whole({ min: 0, max: 2 ** 32 - 1 }),
    (d) => d.train.seed,
  ),
  shuffle: toggle("--no-shuffle", "Training", "keep the rows in file order"),
  compat: value(
    "--compat <whose>",
    "Training",
    "what is not said is as in the authors' scripts, see docs/MIGRATION.md",
    oneOf("authors"),
  ),

  onDivergence: value(
    "--on-divergence <what>",
    "Training",
    "when a loss, gradient or weight stops being finite: stop, or retry from the end of the best epoch with half the " +
      "learning rate",
    oneOf("stop", "retry"),
    "stop",
  ),
  divergenceRetries: value(
    "--divergence-retries <n>",
    "Training",
    "how often at most",
    whole({ min: 1, max: 100 }),
    "3",
  ),

  momentum: value("--momentum <x>", "Optimizers", "μ of momentum", decay, (d) => d.train.momentum),
  beta1: value("--beta1 <x>", "Optimizers", "β₁ of adam", decay, (d) => d.train.adam.beta1),
  beta2: value("--beta2 <x>", "Optimizers", "β₂ of adam", decay, (d) => d.train.adam.beta2),
  epsilon: value("--epsilon <x>", "Optimizers", "ε of adam", number({ above: 0 }), (d) => d.train.adam.epsilon),
  adamExact: toggle("--adam-exact", "Optimizers", "adam also moves the rows that a batch does not touch; slower"),
  ftrlBeta: value("--ftrl-beta <x>", "Optimizers", "β of ftrl", notNegative, (d) => d.train.ftrl.beta),
  ftrlL1: value("--ftrl-l1 <x>", "Optimizers", "λ₁ of ftrl", notNegative, (d) => d.train.ftrl.l1),
  ftrlL2: value("--ftrl-l2 <x>", "Optimizers", "λ₂ of ftrl", notNegative, (d) => d.train.ftrl.l2),

  keep: value(
    "--keep <p,q>",
    "Regularisation",
    "share that dropout keeps, of the attention weights and of the pair products; fm takes one number",
    list(share, 2),
    (d) => d.train.keep,
  ),
  batchNorm: toggle("--batch-norm", "Regularisation", "normalise the pooled pairs over the batch (fm)"),
  l2Embedding: value("--l2-embedding <x>", "Regularisation", "λ of the embeddings", notNegative, "0"),
  l2Linear: value("--l2-linear <x>", "Regularisation", "λ of the linear weights", notNegative, "0"),
  l2Attention: value("--l2-attention <x>", "Regularisation", "λ of the attention's projection", notNegative, "0"),
  l2Field: value("--l2-field <x>", "Regularisation", "λ of the fields' vectors", notNegative, "0"),
  l2Hidden: value("--l2-hidden <x>", "Regularisation", "λ of the hidden layers", notNegative, "0"),

  output: value(
    "--output <file>",
    "Output",
    "model file to write",
    path,
    "ifm.safetensors, fm.safetensors, … by model",
  ),
  checkpoint: value(
    "--checkpoint <dir>",
    "Output",
    "folder to write the whole state of training to, so that it can go on after an interrupt or a crash",
    path,
  ),
  checkpointEvery: value(
    "--checkpoint-every <n>",
    "Output",
    "how often: a time, a number of steps (batches) or of epochs; in any case at the end and at an interrupt",
    cadence,
    "5m",
  ),
  resume: value(
    "--resume <dir>",
    "Output",
    "go on from the newest checkpoint in a folder, bit for bit as if nothing had happened",
    path,
  ),
  threads: THREADS,
  fast: FAST,
  evaluateTrain: toggle("--evaluate-train", "Output", "measure the training rows after each epoch, not during it"),
  plan: toggle("--plan", "Output", "print what memory and time training would take, and end; nothing is written"),
  json: toggle("--json", "Output", "one JSON object a line on stdout, nothing else there"),
  quiet: toggle("--quiet", "Output", "say nothing but warnings and errors"),
  pretrain: {
    ...value("--pretrain <n>", "Output", "the authors' flag, see below", oneOf("-1", "0", "1", "2")),
    hidden: true,
  },
} as const;

/** Of commands that score rows. */
const SAMPLED_SCORES = value(
  "--sample-pairs <ratio>",
  "Model",
  "share of the pairs that is looked at, those with the largest field vectors (ifm, deepifm)",
  share,
  "1, all",
);

export const PREDICT_OPTIONS = {
  cache: NO_CACHE,
  samplePairs: SAMPLED_SCORES,
  threads: THREADS,
  fast: FAST,
  output: value("--output <file>", "Output", "file to write the predictions to", path, "-, stdout"),
  link: value(
    "--link <kind>",
    "Output",
    "identity: the raw score ŷ; sigmoid: a probability",
    oneOf("identity", "sigmoid"),
    "identity",
  ),
  clip: toggle("--clip", "Output", "clip scores to the range of the training labels"),
} as const;

export const JSON_OPTION = {
  json: toggle("--json", "Output", "one JSON object on stdout"),
} as const;

export const EVALUATE_OPTIONS = {
  cache: NO_CACHE,
  samplePairs: SAMPLED_SCORES,
  groupBy: value(
    "--group-by <fields>",
    "Metrics",
    "rank the rows that have the same features in these fields, such as the user's: 0",
    list(fieldNumber),
  ),
  topK: value("--top-k <k>", "Metrics", "rows of a group that ndcg, recall and hit rate look at", atLeastOne, "10"),
  calibration: toggle("--calibration", "Metrics", "compare probabilities with what happened (logistic loss)"),
  bins: value("--bins <n>", "Metrics", "bins of the probabilities", whole({ min: 1, max: 100 }), "10"),
  threads: THREADS,
  fast: FAST,
  ...JSON_OPTION,
} as const;

export const EXPLAIN_OPTIONS = {
  cache: NO_CACHE,
  row: value("--row <n>", "Data", "which row, counted from 1", atLeastOne, "1"),
  all: toggle("--all", "Output", "list all pairs, not only the largest"),
  output: value("--output <file>", "Output", "heat map to write, .svg or .html", path),
  ...JSON_OPTION,
} as const;

export const QUANTIZE_OPTIONS = {
  cache: NO_CACHE,
  to: value("--to <kind>", "Model", "type of the embeddings; int8 has a scale a feature", oneOf("f16", "int8")),
  validation: value("--validation <file>", "Data", "rows on which both models are measured", path),
  output: value("--output <file>", "Output", "file to write the model to", path),
  ...JSON_OPTION,
} as const;

/** The values that the options of a table have after parsing; what was not given is missing. */
export type Values<Table> = { [Key in keyof Table]?: Table[Key] extends OptionSpec<infer Value> ? Value : never };

export type TrainValues = Values<typeof TRAIN_OPTIONS>;
export type PredictValues = Values<typeof PREDICT_OPTIONS>;
export type EvaluateValues = Values<typeof EVALUATE_OPTIONS>;
export type ExplainValues = Values<typeof EXPLAIN_OPTIONS>;
export type QuantizeValues = Values<typeof QUANTIZE_OPTIONS>;
export type JsonValues = Values<typeof JSON_OPTION>;

/** What an option means, what it accepts and what it is without, for the help. */
export function describeOption({ about, parser, fallback }: OptionSpec<unknown>): string {
  const details: string[] = [];
  if (parser !== undefined && parser.brief !== "") details.push(parser.brief);
  if (fallback !== undefined)
    details.push(`default ${typeof fallback === "string" ? fallback : defaultText(fallback)}`);
  return details.length === 0 ? about : `${about} [${details.join("; ")}]`;
}

/**
 * The default of an option as text. Where it depends on the kind of model or on the loss, the one of `train` without
 * options comes first: `0.1 (fm 0.01)`.
 */
function defaultText(pick: (defaults: Defaults) => unknown): string {
  const usualLoss = defaultModel(DEFAULT_MODEL).loss ?? "squared";
  const text = (kind: ModelKind, loss: Loss) => {
    const found = pick({ model: defaultModel(kind), train: defaultTrain(kind, loss) });
    return Array.isArray(found) ? found.join(",") : String(found ?? "");
  };
  const usual = text(DEFAULT_MODEL, usualLoss);
  const others: string[] = [];
  for (const kind of MODELS) {
    const other = text(kind, usualLoss);
    if (other !== usual && other !== "") others.push(`${kind} ${other}`);
  }
  for (const other of new Set(LOSSES.map((loss) => text(DEFAULT_MODEL, loss)))) {
    const losses = LOSSES.filter((loss) => text(DEFAULT_MODEL, loss) === other);
    if (other !== usual) others.push(`${other} with ${losses.join(" and ")} loss`);
  }
  if (usual === "") return others.join(", ") || "none";
  return others.length === 0 ? usual : `${usual} (${others.join(", ")})`;
}
