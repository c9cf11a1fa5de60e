import { defaultModel, defaultTrain, type ModelKind, type OptimizerKind } from "../config.js";
import { IfmError } from "../errors.js";
import { type Dimension, parseSpace, type Searchable, type Space, type TrialOptions, textOf } from "../tune/space.js";
import { shortPath } from "./files.js";
import { type Group, type OptionSpec, TRAIN_OPTIONS, type TrainValues, toggle, type Values, value } from "./options.js";
import { path, whole } from "./parse.js";

/** What `tune` does unless told otherwise. */
export const TUNE_DEFAULTS = { trials: 27, epochs: 27, reduce: 3 } as const;

/** What `train` has and `tune` has not, or has with another meaning. */
const APART = [
  ...["test", "output", "evaluateTrain", "plan", "pretrain", "fast", "compat", "epochs", "seed"],
  ...["checkpoint", "checkpointEvery", "resume", "onDivergence", "divergenceRetries"],
] as const;
/** Of the others, which all trials have alike, those that the help lists. It says that there are more. */
const LISTED = ["validation", "dataset", "path", "cache", "model", "init", "loss", "earlyStop", "json", "quiet"];

const HELD = Object.fromEntries(
  Object.entries<OptionSpec<unknown>>(TRAIN_OPTIONS)
    .filter(([key]) => !(APART as readonly string[]).includes(key))
    .map(([key, spec]) => [key, LISTED.includes(key) ? spec : { ...spec, hidden: true }]),
) as Omit<typeof TRAIN_OPTIONS, (typeof APART)[number]>;

/** All options of `tune`. The key of each is its flag in camel case. */
export const TUNE_OPTIONS = {
  space: value("--space <file>", "Search", "JSON file of what is tried", path, "what --print-space prints"),
  printSpace: toggle("--print-space", "Search", "print what would be tried, as a start for a --space, and end"),
  trials: value("--trials <n>", "Search", "settings that are tried", whole({ min: 1 }), String(TUNE_DEFAULTS.trials)),
  epochs: value("--epochs <n>", "Search", "most epochs of a trial", whole({ min: 1 }), String(TUNE_DEFAULTS.epochs)),
  reduce: value(
    "--reduce <n>",
    "Search",
    "η: of so many trials, the best goes on, for so many times the epochs",
    whole({ min: 2 }),
    String(TUNE_DEFAULTS.reduce),
  ),
  seed: {
    ...TRAIN_OPTIONS.seed,
    group: "Search",
    about: "of what is tried, and of each training; the same seed gives the same answer",
  },
  study: value(
    "--study <file>",
    "Search",
    "results so far; an interrupted search goes on from there",
    path,
    "tune-MODEL-HASH.jsonl, HASH of all that matters",
  ),
  ...HELD,
  validation: { ...TRAIN_OPTIONS.validation, about: "rows that trials are compared on" },
  output: value("--output <file>", "Output", "model file to write the best model to", path),
} as const satisfies Record<string, OptionSpec<unknown>>;

export type TuneValues = Values<typeof TUNE_OPTIONS>;

/** Options that say what is compared, or that would change how trials are compared. */
const NOT_SEARCHED = ["model", "init", "freeze", "loss", "groupBy", "itemFields", "earlyStop"];
const SEARCHED_GROUPS: readonly Group[] = ["Model", "Training", "Optimizers", "Regularisation"];

/** A searchable option: its key in the values of `train`, and its entry. */
interface Searched {
  readonly key: string;
  readonly spec: OptionSpec<unknown>;
}

/** By flag without dashes. */
const SEARCHED: ReadonlyMap<string, Searched> = new Map(
  Object.entries<OptionSpec<unknown>>(HELD)
    .filter(([key, { group }]) => SEARCHED_GROUPS.includes(group) && !NOT_SEARCHED.includes(key))
    .map(([key, spec]) => [flagOf(spec).slice(2), { key, spec }]),
);

const SEARCHABLE: Searchable = new Map([...SEARCHED].map(([name, { spec }]) => [name, spec.parser]));

function flagOf({ flags }: OptionSpec<unknown>): string {
  return flags.split(" ")[0];
}

/** Adagrad divides by the size of past gradients; plain descent does not, and these may be sums over a batch. */
const LEARNING_RATES: Readonly<Record<OptimizerKind, Dimension>> = {
  adagrad: { min: 0.005, max: 0.2, scale: "log" },
  ftrl: { min: 0.005, max: 0.2, scale: "log" },
  adam: { min: 0.0005, max: 0.02, scale: "log" },
  sgd: { min: 0.00001, max: 0.1, scale: "log" },
  momentum: { min: 0.00001, max: 0.1, scale: "log" },
};

const ATTENTION = ["attention-factors", "temperature", "keep"];

/** What is tried of each kind of model where nobody says. */
const TRIED: Readonly<Record<ModelKind, readonly string[]>> = {
  fm: ["lr", "factors", "keep", "l2-embedding"],
  afm: ["lr", "factors", ...ATTENTION, "l2-attention"],
  ifm: ["lr", "factors", ...ATTENTION, "field-factors", "l2-field"],
  inn: ["lr", "factors", ...ATTENTION, "l2-field", "hidden"],
  deepifm: ["lr", "factors", ...ATTENTION, "l2-field", "hidden"],
};

/** What gives tensors their shapes: other shapes than those of an initial model could not take its weights. */
const SHAPES = ["factors", "attention-factors", "field-factors", "hidden"];

/** The space of nobody's making: what is held does not vary. */
function defaultSpace(kind: ModelKind, options: TuneValues): Record<string, unknown> {
  const train = defaultTrain(kind, options.loss ?? defaultModel(kind).loss ?? "squared");
  // L2 weighs against the loss of a batch, which a mean makes about a thousandth.
  const l2 = (options.reduction ?? train.reduction) === "mean" ? [0, 0.00001, 0.0001, 0.001] : [0, 0.01, 0.1, 1];
  const all: Record<string, unknown> = {
    lr: LEARNING_RATES[options.optimizer ?? train.optimizer],
    factors: [8, 16, 32, 64],
    "attention-factors": [4, 8, 16],
    "field-factors": [8, 16, 32],
    hidden: kind === "inn" ? [[5], [16], [32, 16]] : [[100, 75, 50], [64, 32], [128]],
    temperature: [1, 3, 10, 30],
    keep:
      kind === "fm"
        ? [1, 0.9, 0.7, 0.5]
        : [
            [1, 1],
            [1, 0.9],
            [1, 0.8],
            [0.9, 0.8],
          ],
    "l2-embedding": l2,
    "l2-attention": l2,
    "l2-field": l2,
  };
  const tried = TRIED[kind].filter((name) => !isHeld(name, options) && !(options.init && SHAPES.includes(name)));
  return Object.fromEntries(tried.map((name) => [name, all[name]]));
}

/** Whether the command line gives an option. Commander gives `--no-shuffle` the default true. */
function isHeld(name: string, options: TuneValues): boolean {
  const { key } = SEARCHED.get(name) as Searched;
  const held = (options as Record<string, unknown>)[key];
  return held !== undefined && !(key === "shuffle" && held === true);
}

/**
 * What is tried.
 *
 * @param given the text of `--space`, if there is one
 * @throws IfmError `IFM_USAGE`
 */
export function searchSpace(kind: ModelKind, options: TuneValues, given: string | undefined): Space {
  if (given === undefined || options.space === undefined) {
    const space = defaultSpace(kind, options);
    if (Object.keys(space).length > 0) return parseSpace(JSON.stringify(space), "", SEARCHABLE);
    throw new IfmError("IFM_USAGE", "every option that would be tried is given", {
      hint: "leave some out, or say in a file what to try: --space FILE",
    });
  }
  const space = parseSpace(given, options.space, SEARCHABLE);
  const both = Object.keys(space).find((name) => isHeld(name, options));
  if (both === undefined) return space;
  throw new IfmError("IFM_USAGE", `--${both}: given, and to be tried by ${options.space}`, {
    hint: "leave it out here or there",
  });
}

/** A space as JSON, an option a line. */
export function spaceText(space: Space): string {
  const lines = Object.entries(space).map(([name, dimension]) => `  "${name}": ${spaced(dimension)}`);
  return `{\n${lines.join(",\n")}\n}\n`;
}

/** JSON as people write it, on one line. */
function spaced(json: unknown): string {
  if (Array.isArray(json)) return `[${json.map(spaced).join(", ")}]`;
  if (typeof json !== "object" || json === null) return JSON.stringify(json);
  const entries = Object.entries(json).map(([key, value]) => `"${key}": ${spaced(value)}`);
  return `{ ${entries.join(", ")} }`;
}

/** The options of a trial as `train` has them. */
export function trialValues(options: TrialOptions): TrainValues {
  const entries = Object.entries(options).map(([name, given]) => {
    const { key, spec } = SEARCHED.get(name) as Searched;
    // A switch `--no-…` is about the opposite of its key.
    return [key, spec.parser === undefined ? given !== name.startsWith("no-") : spec.parser.read(textOf(given))];
  });
  return Object.fromEntries(entries);
}

/** What all trials have alike of the model and of training, but for its kind and the seed. */
export function heldValues(options: TuneValues): TrainValues {
  const apart = ["validation", "dataset", "path", "cache", "model", "init", "threads", "json", "quiet"];
  const held = Object.entries(options).filter(([key, given]) => {
    return key in HELD && !apart.includes(key) && !(key === "shuffle" && given === true);
  });
  return Object.fromEntries(held);
}

/** The command that trains with these options. */
export function trainCommand(file: string, options: TrainValues): string {
  // A name that begins with a dash would be read as an option.
  const name = shortPath(file).replace(/^-/, "./-");
  return ["ifm-wasm", "train", name, ...optionWords(options)].map(shellWord).join(" ");
}

/** Options as words of a command line. */
export function optionWords(options: TrainValues): string[] {
  return Object.entries<OptionSpec<unknown>>(TRAIN_OPTIONS).flatMap(([key, spec]) => {
    const given = (options as Record<string, unknown>)[key];
    if (given === undefined) return [];
    const flag = flagOf(spec);
    if (spec.parser === undefined) return given === flag.startsWith("--no-") ? [] : [flag];
    return [flag, textOf(given as string | number | number[])];
  });
}

/** A word that a shell passes on as it is. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
