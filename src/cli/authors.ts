import type { OptimizerKind } from "../config.js";
import { IfmError } from "../errors.js";
import { type OptionSpec, TRAIN_OPTIONS } from "./options.js";
import { list, parseValue, whole } from "./parse.js";

// The flags of FM.py, AFM.py, IFM.py and INN.py, from
// https://github.com/hexiangnan/attentional_factorization_machine and
// https://github.com/cstur4/interaction-aware-factorization-machines.

/** What becomes of one of the authors' flags. */
interface AuthorsFlag {
  /** The flag and its value, for the help: `--epoch N`. */
  readonly theirs: string;
  /** What it means here, for the help. */
  readonly ours: string;
  /** The arguments that say the same in our spelling. `flag` is as it was typed, for messages. */
  translate(text: string, flag: string): string[];
}

const TENSORS_OF_FM = "bias,feature_bias,feature_embeddings";

const OPTIMIZERS: Readonly<Record<string, OptimizerKind>> = {
  AdagradOptimizer: "adagrad",
  AdamOptimizer: "adam",
  GradientDescentOptimizer: "sgd",
  MomentumOptimizer: "momentum",
};

/** The same option under another name. The value is checked here, so that messages name the flag that was typed. */
function rename(theirs: string, key: keyof typeof TRAIN_OPTIONS): AuthorsFlag {
  const { flags, parser }: OptionSpec<unknown> = TRAIN_OPTIONS[key];
  const [long] = flags.split(" ");
  return {
    theirs,
    ours: long,
    translate(text, flag) {
      if (parser !== undefined) parseValue(flag, parser, text);
      return [`${long}=${text}`];
    },
  };
}

/** A flag with few values, each of which becomes something, or is refused with a sentence. */
function choose(theirs: string, ours: string, meanings: Readonly<Record<string, string[] | Refusal>>): AuthorsFlag {
  return {
    theirs,
    ours,
    translate(text, flag) {
      const meaning = Object.hasOwn(meanings, text) ? meanings[text] : undefined;
      if (meaning === undefined) {
        throw new IfmError("IFM_USAGE", `${flag}: expected one of ${Object.keys(meanings).join(", ")}, got "${text}"`);
      }
      if (Array.isArray(meaning)) return meaning;
      throw new IfmError("IFM_USAGE", `${flag} ${text}: ${meaning.why}`, { hint: meaning.instead });
    },
  };
}

/** Why a flag has no meaning here, and what to use. */
interface Refusal {
  why: string;
  instead: string;
}

const hiddenFactor: AuthorsFlag = {
  theirs: "--hidden_factor [A,K]",
  ours: "--attention-factors A --factors K",
  translate(text, flag) {
    const numbers = parseValue(flag, list(whole({ min: 1 }), 2), text);
    const factors = `--factors=${numbers.at(-1)}`;
    return numbers.length === 1 ? [factors] : [`--attention-factors=${numbers[0]}`, factors];
  },
};

const validDimension: AuthorsFlag = {
  theirs: "--valid_dimen M",
  ours: "--fields 0,1,…,M-1",
  translate(text, flag) {
    const slots = parseValue(flag, whole({ min: 1, max: 65535 }), text);
    return [`--fields=${Array.from({ length: slots }, (_, slot) => slot).join(",")}`];
  },
};

const optimizer: AuthorsFlag = {
  theirs: "--optimizer AdagradOptimizer",
  ours: `--optimizer ${Object.values(OPTIMIZERS).join("|")}`,
  // What is not one of theirs is one of ours, or a mistake that our own option reports.
  translate: (text) => [`--optimizer=${Object.hasOwn(OPTIMIZERS, text) ? OPTIMIZERS[text] : text}`],
};

const verbose: AuthorsFlag = {
  theirs: "--verbose 0",
  ours: "--quiet",
  translate: (text, flag) => (parseValue(flag, whole({ min: 0 }), text) === 0 ? ["--quiet"] : []),
};

const decay: AuthorsFlag = {
  theirs: "--decay X",
  ours: "refused: the decay is fixed at 0.9",
  translate(text, flag) {
    throw new IfmError("IFM_USAGE", `${flag} ${text}: batch normalisation has a fixed decay of 0.9`, {
      hint: `leave ${flag} out`,
    });
  },
};

const AUTHORS_FLAGS: Readonly<Record<string, AuthorsFlag>> = {
  epoch: rename("--epoch N", "epochs"),
  batch_size: rename("--batch_size N", "batchSize"),
  hidden_factor: hiddenFactor,
  temp: rename("--temp X", "temperature"),
  kf: rename("--kf N", "fieldFactors"),
  lamda: rename("--lamda X", "l2Embedding"),
  lamda_bilinear: rename("--lamda_bilinear X", "l2Embedding"),
  lamda_attention: rename("--lamda_attention X", "l2Attention"),
  lamda_attention1: rename("--lamda_attention1 X", "l2Field"),
  optimizer,
  batch_norm: choose("--batch_norm 0|1", "--batch-norm", { 0: [], 1: ["--batch-norm"] }),
  freeze_fm: choose("--freeze_fm 0|1", "--freeze with the tensors of an FM", {
    0: [],
    1: [`--freeze=${TENSORS_OF_FM}`],
  }),
  valid_dimen: validDimension,
  valid_dim: validDimension,
  verbose,
  process: choose("--process train", "evaluate is a command of its own", {
    train: [],
    evaluate: { why: "evaluation is a command of its own", instead: "use: ifm-wasm evaluate MODEL FILE" },
  }),
  attention: choose("--attention 1", "without attention it is --model fm", {
    0: { why: "a model without attention is an FM", instead: "use --model fm" },
    1: [],
  }),
  mla: choose("--mla 0", "micro-level analysis is not there", {
    0: [],
    1: { why: "micro-level analysis is not there", instead: "use --freeze_fm 1 to train the attention alone" },
  }),
  decay,
};

/**
 * Rewrites the flags of the authors' scripts in a `train` command line to ours, in one pass. Flags that both share
 * (`--lr`, `--keep`, `--dataset`, `--path`, `--activation`, …) and everything else stay as they are.
 *
 * @throws IfmError `IFM_USAGE`: a value that the flag does not take, or a flag that has no meaning here.
 */
export function translateAuthors(args: readonly string[]): string[] {
  if (args[0] !== "train") return [...args];
  const translated: string[] = [];
  for (let i = 0; i < args.length; i++) {
    if (args[i] === "--") return [...translated, ...args.slice(i)];
    const [, flag, word, attached] = /^(--([a-z_0-9]+))(?:=(.*))?$/.exec(args[i]) ?? [];
    if (word === undefined || !Object.hasOwn(AUTHORS_FLAGS, word)) {
      translated.push(args[i]);
      continue;
    }
    const text = attached ?? args[++i];
    if (text === undefined) throw new IfmError("IFM_USAGE", `${flag}: expected a value`);
    translated.push(...AUTHORS_FLAGS[word].translate(text, flag));
  }
  return translated;
}

/** The authors' flags and ours in two columns, for the help. */
export function authorsHelp(): string {
  const rows = [...new Set(Object.values(AUTHORS_FLAGS)), PRETRAIN];
  return rows.map(({ theirs, ours }) => `  ${theirs.padEnd(29)}${ours}`).join("\n");
}

/** Not translated, because its meaning depends on other options. */
const PRETRAIN = {
  theirs: "--pretrain -1|0|1|2",
  ours: "save to pretrain/, nothing, start there, both",
};
