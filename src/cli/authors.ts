import type { ModelKind, OptimizerKind } from "../config.js";
import { IfmError } from "../errors.js";
import { DEFAULT_MODEL, type OptionSpec, TRAIN_OPTIONS, type TrainValues } from "./options.js";
import { list, number, type Parser, parseValue, whole } from "./parse.js";

// The flags of FM.py, AFM.py, IFM.py and INN.py and the keys of DeepIFM's model_params, from
// https://github.com/hexiangnan/attentional_factorization_machine and
// https://github.com/cstur4/interaction-aware-factorization-machines. tools/docs.js makes the tables of
// docs/MIGRATION.md of what is here.

/** Whose flag it is. */
const [ALL, FM, ATTENTION, FIELDS] = ["FM AFM IFM INN", "FM", "AFM IFM INN", "IFM INN"];
const DEEP = "model_params";

/** A flag of theirs and what it means here, for help and documents. */
interface Description {
  /** The flag and its value: `--epoch N`. */
  readonly theirs: string;
  /** The scripts that have it, without their `.py`. */
  readonly of: string;
  readonly ours: string;
}

interface TranslatedFlag extends Description {
  /** The arguments that say the same in our spelling. `flag` is as it was typed, for messages. */
  translate(text: string, flag: string, line: CommandLine): string[];
}

interface RefusedFlag extends Description {
  readonly refusal: Refusal;
}

/** Why a flag or a value of it has no meaning here, and what to use. */
interface Refusal {
  why: string;
  instead: string;
}

/** What the meaning of a flag may depend on. */
interface CommandLine {
  /** As it was typed: whether there is such a model, its own option tells. */
  kind: string;
  /** Whether it says `--compat authors`. */
  compat: boolean;
  /** Whether it lists the fields of the slots. */
  fields: boolean;
}

const TENSORS_OF_FM = "bias,feature_bias,feature_embeddings";

const OPTIMIZERS: Readonly<Record<string, OptimizerKind>> = {
  AdagradOptimizer: "adagrad",
  AdamOptimizer: "adam",
  GradientDescentOptimizer: "sgd",
  MomentumOptimizer: "momentum",
  Adagrad: "adagrad",
  Adam: "adam",
  Momentum: "momentum",
};

/** The same option under another name. The value is checked here, so that messages name the flag that was typed. */
function rename(theirs: string, of: string, key: keyof typeof TRAIN_OPTIONS): TranslatedFlag {
  const { flags, parser }: OptionSpec<unknown> = TRAIN_OPTIONS[key];
  const [long] = flags.split(" ");
  return {
    theirs,
    of,
    ours: long,
    translate(text, flag) {
      if (parser !== undefined) parseValue(flag, parser, text);
      return [`${long}=${text}`];
    },
  };
}

/** What becomes of each value of a flag: arguments of ours, or a sentence that refuses it. */
type Meanings = Readonly<Record<string, string[] | Refusal>>;

/** A flag with few values. */
function choose(theirs: string, of: string, ours: string, meanings: (line: CommandLine) => Meanings): TranslatedFlag {
  return {
    theirs,
    of,
    ours,
    translate(text, flag, line) {
      const all = meanings(line);
      const meaning = Object.hasOwn(all, text) ? all[text] : undefined;
      if (meaning === undefined) {
        throw new IfmError("IFM_USAGE", `${flag}: expected one of ${Object.keys(all).join(", ")}, got "${text}"`);
      }
      if (Array.isArray(meaning)) return meaning;
      throw refused(`${flag} ${text}`, meaning);
    },
  };
}

/** A flag that their code reads and never uses: with `--compat authors` nothing, else what it was meant to be. */
function unusedThere(flag: TranslatedFlag, isUnused = (_kind: string) => true): TranslatedFlag {
  return {
    ...flag,
    translate: (text, typed, line) => (line.compat && isUnused(line.kind) ? [] : flag.translate(text, typed, line)),
  };
}

function refused(what: string, { why, instead }: Refusal): IfmError {
  return new IfmError("IFM_USAGE", `${what}: ${why}`, { hint: instead });
}

const hiddenFactor: TranslatedFlag = {
  theirs: "--hidden_factor [A,K]",
  of: ALL,
  ours: "--attention-factors A --factors K",
  translate(text, flag) {
    const numbers = parseValue(flag, list(whole({ min: 1 }), 2), text);
    const factors = `--factors=${numbers.at(-1)}`;
    return numbers.length === 1 ? [factors] : [`--attention-factors=${numbers[0]}`, factors];
  },
};

/** Each slot its own field. */
function ownFields(text: string, flag: string): string[] {
  const slots = parseValue(flag, whole({ min: 1, max: 1024 }), text);
  return [`--fields=${Array.from({ length: slots }, (_, slot) => slot).join(",")}`];
}

const validDimension: TranslatedFlag = {
  theirs: "--valid_dimen M",
  of: ATTENTION,
  ours: "--fields 0,1,…,M-1",
  translate: ownFields,
};

const numField: TranslatedFlag = {
  theirs: "--num_field M",
  of: DEEP,
  ours: "--fields 0,1,…,M-1 without --dim_to_field",
  translate(text, flag, { fields }) {
    const own = ownFields(text, flag);
    return fields ? [] : own;
  },
};

const field = whole({ min: 0, max: 1023 });

/** Field by slot, as Python writes a list, `[0, 0, 1]`, or a dict, `{0: 0, 1: 0, 2: 1}`. */
const fieldMap: Parser<number[]> = {
  ...list(field),
  expects: "the field of each slot, such as [0,0,1] or {0:0,1:0,2:1}",
  read(text) {
    const dict = /^\{(.*)\}$/.exec(text)?.[1];
    if (dict === undefined) return list(field).read(text);
    const fields = new Map<number, number | undefined>();
    for (const entry of dict.split(",")) {
      const [, slot, of] = /^\s*(\d+)\s*:\s*(\d+)\s*$/.exec(entry) ?? [];
      fields.set(Number(slot), of === undefined ? undefined : field.read(of));
    }
    const ofSlots = Array.from({ length: fields.size }, (_, slot) => fields.get(slot));
    return ofSlots.every((of) => of !== undefined) ? ofSlots : undefined;
  },
};

const dimToField: TranslatedFlag = {
  theirs: "--dim_to_field [0,0,1]",
  of: DEEP,
  ours: "--fields 0,0,1",
  translate: (text, flag) => [`--fields=${parseValue(flag, fieldMap, text).join(",")}`],
};

const dropout: TranslatedFlag = {
  theirs: "--dropout P",
  of: DEEP,
  ours: "--keep 1,P: there, too, P is what is kept",
  translate(text, flag) {
    parseValue(flag, number({ above: 0, max: 1 }), text);
    return [`--keep=1,${text}`];
  },
};

const optimizer: TranslatedFlag = {
  theirs: "--optimizer AdagradOptimizer",
  of: `${ALL} ${DEEP}`,
  ours: "--optimizer adagrad|adam|sgd|momentum|ftrl",
  translate(text, flag) {
    if (text === "dcsgd") {
      throw refused(`${flag} ${text}`, {
        why: "it makes up for the delays between workers, and here there is one",
        instead: "use --optimizer sgd",
      });
    }
    // What is not one of theirs is one of ours, or a mistake that our own option reports.
    return [`--optimizer=${Object.hasOwn(OPTIMIZERS, text) ? OPTIMIZERS[text] : text}`];
  },
};

const verbose: TranslatedFlag = {
  theirs: "--verbose 0",
  of: ALL,
  ours: "--quiet",
  translate: (text, flag) => (parseValue(flag, whole({ min: 0 }), text) === 0 ? ["--quiet"] : []),
};

const batchNorm = choose(
  "--batch_norm 0|1",
  `${ALL} ${DEEP}`,
  "--batch-norm of fm; the others have none",
  ({ kind, compat }) => {
    const off = kind === "fm" ? ["--no-batch-norm"] : [];
    const none = { why: `${kind} has no batch normalisation, nor has their code`, instead: "leave --batch_norm out" };
    const on = kind === "fm" ? ["--batch-norm"] : compat ? [] : none;
    return { 0: off, 1: on, False: off, True: on };
  },
);

function decay(theirs: string, of: string): TranslatedFlag {
  return unusedThere({
    theirs,
    of,
    ours: "refused: the decay is fixed at 0.9",
    translate(text, flag) {
      throw refused(`${flag} ${text}`, {
        why: "batch normalisation has a fixed decay of 0.9",
        instead: `leave ${flag} out: it changes nothing in their code either`,
      });
    },
  });
}

function columns(theirs: string): RefusedFlag {
  return {
    theirs,
    of: DEEP,
    ours: "refused: rows come from a file",
    refusal: {
      why: "feature columns are TensorFlow's; here a row is a line of a libFM file",
      instead: "use ifm-wasm train FILE, and --dim_to_field for the fields of its slots",
    },
  };
}

const AUTHORS_FLAGS: Readonly<Record<string, TranslatedFlag | RefusedFlag>> = {
  epoch: rename("--epoch N", ALL, "epochs"),
  batch_size: rename("--batch_size N", ALL, "batchSize"),
  hidden_factor: hiddenFactor,
  temp: rename("--temp X", FIELDS, "temperature"),
  kf: rename("--kf N", FIELDS, "fieldFactors"),
  lamda: rename("--lamda X", FM, "l2Embedding"),
  lamda_bilinear: rename("--lamda_bilinear X", FM, "l2Embedding"),
  lamda_attention: unusedThere(
    rename("--lamda_attention X", `${ATTENTION} ${DEEP}`, "l2Attention"),
    (kind) => kind === "deepifm",
  ),
  lamda_attention1: rename("--lamda_attention1 X", FIELDS, "l2Field"),
  optimizer,
  batch_norm: batchNorm,
  decay: decay("--decay X", ATTENTION),
  freeze_fm: choose("--freeze_fm 0|1", ATTENTION, "--freeze with the tensors of an FM", () => ({
    0: [],
    1: [`--freeze=${TENSORS_OF_FM}`],
  })),
  valid_dimen: validDimension,
  valid_dim: validDimension,
  verbose,
  process: choose("--process train", ALL, "evaluate is a command of its own", () => ({
    train: [],
    evaluate: { why: "evaluation is a command of its own", instead: "use: ifm-wasm evaluate MODEL FILE" },
  })),
  attention: choose("--attention 1", ATTENTION, "without attention it is --model fm", () => ({
    0: { why: "a model without attention is an FM", instead: "use --model fm" },
    1: [],
  })),
  mla: choose("--mla 0", ALL, "micro-level analysis is not there", () => ({
    0: [],
    1: { why: "micro-level analysis is not there", instead: "use --freeze_fm 1 to train the attention alone" },
  })),

  learning_rate: rename("--learning_rate X", DEEP, "lr"),
  embedding_size: rename("--embedding_size N", DEEP, "factors"),
  attention_size: rename("--attention_size N", DEEP, "attentionFactors"),
  interaction_factor_hidden: rename("--interaction_factor_hidden N", DEEP, "fieldFactors"),
  deep_layers: rename("--deep_layers 100,75,50", DEEP, "hidden"),
  num_field: numField,
  dim_to_field: dimToField,
  num_samples: unusedThere(rename("--num_samples R", DEEP, "samplePairs")),
  dropout,
  l2_reg: unusedThere(rename("--l2_reg X", DEEP, "l2Hidden")),
  lamda_factorization: unusedThere(rename("--lamda_factorization X", DEEP, "l2Field")),
  batch_norm_decay: decay("--batch_norm_decay X", DEEP),
  wide_columns: columns("--wide_columns …"),
  deep_columns: columns("--deep_columns …"),
};

/** Not translated: its meaning depends on other options. */
const PRETRAIN: Description = {
  theirs: "--pretrain -1|0|1|2",
  of: ALL,
  ours: "save to pretrain/, nothing, start there, both",
};

/** All of their flags; the last ones are the same here. */
export const AUTHORS_TABLE: readonly Description[] = [
  ...new Set(Object.values(AUTHORS_FLAGS)),
  PRETRAIN,
  { theirs: "--dataset NAME", of: ALL, ours: "--dataset" },
  { theirs: "--path DIR", of: ALL, ours: "--path" },
  { theirs: "--lr X", of: ALL, ours: "--lr" },
  { theirs: "--keep [p,q]", of: ALL, ours: "--keep" },
  { theirs: "--activation F", of: ATTENTION, ours: "--activation" },
  { theirs: "--temperature X", of: DEEP, ours: "--temperature" },
];

/** What a line says that flags depend on. */
function readLine(args: readonly string[]): CommandLine {
  const lastOf = (flag: string) => {
    const i = args.findLastIndex((arg) => arg === flag || arg.startsWith(`${flag}=`));
    return i === -1 ? undefined : args[i] === flag ? args[i + 1] : args[i].slice(flag.length + 1);
  };
  return {
    kind: lastOf("--model") ?? DEFAULT_MODEL,
    compat: lastOf("--compat") === "authors",
    fields: (lastOf("--dim_to_field") ?? lastOf("--fields")) !== undefined,
  };
}

/**
 * Rewrites the flags of the authors' scripts in a `train` command line to ours, in one pass. Flags that both share
 * (`--lr`, `--keep`, `--dataset`, `--path`, `--activation`, …) and everything else stay as they are.
 *
 * @throws IfmError `IFM_USAGE`: a value that the flag does not take, or a flag that has no meaning here.
 */
export function translateAuthors(args: readonly string[]): string[] {
  if (args[0] !== "train") return [...args];
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const line = readLine(args.slice(0, end));
  const translated: string[] = [];
  for (let i = 0; i < end; i++) {
    const [, flag, word, attached] = /^(--([a-z_0-9]+))(?:=(.*))?$/.exec(args[i]) ?? [];
    if (word === undefined || !Object.hasOwn(AUTHORS_FLAGS, word)) {
      translated.push(args[i]);
      continue;
    }
    const entry = AUTHORS_FLAGS[word];
    if ("refusal" in entry) throw refused(flag, entry.refusal);
    const text = attached ?? args[++i];
    if (text === undefined || i === end) throw new IfmError("IFM_USAGE", `${flag}: expected a value`);
    // Python's quotes, where the shell has left them.
    translated.push(...entry.translate(text.replace(/^(['"])(.*)\1$/, "$2"), flag, line));
  }
  return [...translated, ...args.slice(end)];
}

/** What a mode sets unless the command line says otherwise. */
interface CompatDefaults {
  /** What shapes the model; an initial model that has it gives it instead. */
  shape: TrainValues;
  rest: TrainValues;
}

/** What all scripts have alike: in parse_args, an Adam that moves every row, the last weights, the measured training rows. */
const SCRIPT: TrainValues = { epochs: 20, batchSize: 4096, earlyStop: 0, adamExact: true, evaluateTrain: true };

/** parse_args of IFM.py and INN.py, whose temperature divides the projection. */
const FIELD_SCRIPT: CompatDefaults = {
  shape: { factors: 16, attentionFactors: 16, fieldFactors: 16, temperature: 1 },
  rest: { ...SCRIPT, lr: 0.1, keep: [1, 0.5], temperatureOn: "projection" },
};

const COMPAT: Readonly<Record<ModelKind, CompatDefaults>> = {
  fm: {
    shape: { factors: 256, batchNorm: true },
    rest: { ...SCRIPT, lr: 0.01, keep: [0.7], pretrain: "-1" },
  },
  // AFM.py has no temperature.
  afm: {
    shape: { factors: 16, attentionFactors: 16, temperature: 1 },
    rest: { ...SCRIPT, lr: 0.1, keep: [1, 0.5], l2Attention: 100, pretrain: "-1" },
  },
  ifm: FIELD_SCRIPT,
  inn: FIELD_SCRIPT,
  // The model_params of their README; the code clips to a norm of 50.
  deepifm: {
    shape: { attentionFactors: 16, fieldFactors: 6, temperature: 10 },
    rest: {
      lr: 0.001,
      keep: [1, 0.7],
      clipNorm: 50,
      earlyStop: 0,
      adamExact: true,
      temperatureOn: "projection",
    },
  },
};

/**
 * What `--compat authors` sets: the defaults of their scripts and their numerics, as far as options express them.
 * docs/MIGRATION.md names the rest.
 *
 * @param from kind of the initial model, which gives its own sizes to what it can (src/train/configure.ts)
 */
export function compatDefaults(kind: ModelKind, from?: ModelKind): TrainValues {
  const { shape, rest } = COMPAT[kind];
  if (from === undefined) return { ...shape, ...rest };
  if (from === kind || (from !== "fm" && kind !== "fm")) return rest;
  const { factors: _given, ...others } = shape;
  return { ...others, ...rest };
}

/** Their flags and ours in two columns, for the help; without those that are the same. */
export function authorsHelp(): string {
  const row = ({ theirs, ours }: Description) => `  ${theirs.padEnd(31)}${ours}`;
  const flags = AUTHORS_TABLE.slice(0, AUTHORS_TABLE.indexOf(PRETRAIN) + 1);
  const isKey = ({ of }: Description) => of === DEEP;
  return [
    ...flags.filter((flag) => !isKey(flag)).map(row),
    "The keys of DeepIFM's model_params, too, are flags:",
    ...flags.filter(isKey).map(row),
  ].join("\n");
}
