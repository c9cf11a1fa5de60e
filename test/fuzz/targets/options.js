import { translateAuthors } from "../../../src/cli/authors.js";
import { EVALUATE_OPTIONS, PREDICT_OPTIONS, TRAIN_OPTIONS } from "../../../src/cli/options.js";
import { parseValue } from "../../../src/cli/parse.js";
import { TUNE_OPTIONS } from "../../../src/cli/tune-options.js";
import { validateModelConfig, validateTrainConfig } from "../../../src/config.js";

const SPECS = [TRAIN_OPTIONS, TUNE_OPTIONS, PREDICT_OPTIONS, EVALUATE_OPTIONS].flatMap((table) =>
  Object.values(table).filter(({ parser }) => parser !== undefined),
);
/** Of all; which depends on the input. */
const OPTIONS_PER_WORD = 4;
const line = (...words) => new TextEncoder().encode(words.join("\0"));

/** A command line: it is translated, its words are offered to options; numbers of JSON to the two validators. */
export default {
  seeds: () => [
    line("train", "--model", "ifm", "--hidden_factor", "[8,256]", "--keep", "[1.0,0.9]", "--temp", "10"),
    line("train", "--compat", "authors", "--optimizer", "AdagradOptimizer", "--pretrain", "1", "--batch_norm", "0"),
    line("5m", "0.5", "100,75,50", "auto", "relu", "[0,1,2]", "1e-3", "lr=0.01..0.1"),
    line('{"model":"ifm","features":3,"fields":3,"keep":[1,1],"l2":{"field":0.1}}'),
  ],
  words: [
    "--",
    "=",
    ",",
    "[",
    "]",
    "1e309",
    "__proto__",
    "--no-",
    "auto",
    "sgd",
    "\0",
    '{"model":"fm","features":1}',
    "..",
    ":",
  ],
  maxBytes: 512,
  memory: { base: 1e6, factor: 256 },
  run(bytes) {
    const words = new TextDecoder().decode(bytes).split("\0");
    refuses(() => translateAuthors(words));
    for (const word of words) {
      for (let i = 0; i < OPTIONS_PER_WORD; i++) {
        const { parser, flags } = SPECS[(bytes.length + i * word.length) % SPECS.length];
        refuses(() => parseValue(flags, parser, word));
      }
      refuses(() => {
        const given = parse(word);
        validateModelConfig(given);
        validateTrainConfig(given, "ifm", "squared");
      });
      refuses(() => validateTrainConfig(parse(word), "ifm", "squared"));
    }
    if ({}.polluted !== undefined) throw new Error("a prototype has been changed");
  },
};

function parse(word) {
  try {
    return Object(JSON.parse(word));
  } catch {
    return {};
  }
}

/** One refusal does not hide the next fault. */
function refuses(action) {
  try {
    action();
  } catch (error) {
    if (error?.name !== "IfmError") throw error;
  }
}
