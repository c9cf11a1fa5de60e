import { Command, Option } from "commander";
import { VERSION } from "../version.js";
import { authorsHelp, translateAuthors } from "./authors.js";
import { check } from "./check.js";
import { errorColors, hasColors, outputColors } from "./colors.js";
import { evaluate } from "./evaluate.js";
import { EXIT, reportError } from "./exit.js";
import { explain } from "./explain.js";
import { inspect } from "./inspect.js";
import type { Io } from "./io.js";
import {
  describeOption,
  EVALUATE_OPTIONS,
  type EvaluateValues,
  EXPLAIN_OPTIONS,
  type ExplainValues,
  type Group,
  JSON_OPTION,
  type JsonValues,
  type OptionSpec,
  PREDICT_OPTIONS,
  type PredictValues,
  QUANTIZE_OPTIONS,
  type QuantizeValues,
  TRAIN_OPTIONS,
  type TrainValues,
} from "./options.js";
import { parseValue } from "./parse.js";
import { predict } from "./predict.js";
import { quantize } from "./quantize.js";
import { SERVE_OPTIONS, type ServeValues } from "./serve/options.js";
import { serve } from "./serve.js";
import { train } from "./train.js";
import { tune } from "./tune.js";
import { TUNE_OPTIONS, type TuneValues } from "./tune-options.js";

// Commander wraps descriptions; what is added after its help is laid out here, for 80 columns.

const ABOUT =
  "Trains factorization machines and predicts with them. IFM is the Interaction-aware FM of Hong, Huang and Chen " +
  "(AAAI 2019), not DeepCTR's IFM, which is the Input-aware FM (IJCAI 2019).";

const DATA_HELP = `Data files are libFM text, "label id:value id:value …" a line, plain or gzipped;
- is stdin.`;

const MAIN_HELP = `
${DATA_HELP}

Examples:
  ifm-wasm train                    on the bundled sample: who earns how much
  ifm-wasm train rows.libfm --validation more.libfm
  ifm-wasm predict ifm.safetensors rows.libfm > scores.txt
  ifm-wasm train --help             all options of a command

Exit codes: 0 done, 2 wrong usage, 3 bad data, 4 training diverged, 5 bad or
unfit model file, 6 not enough memory, 130 interrupted.`;

const TRAIN_HELP = `
${DATA_HELP}

With --init of the same kind of model, what shapes the model comes from that
file unless the command says otherwise. Regularisation, clipping and sampling
are off unless asked for.

The flags of the authors' scripts work too, in their spelling; --compat authors
sets what is not said as they do (docs/MIGRATION.md):
${authorsHelp()}

Examples:
  ifm-wasm train rows.libfm.gz --validation more.libfm.gz --epochs 20
  ifm-wasm train rows.libfm --model fm --factors 64 --lr 0.01
  ifm-wasm train rows.libfm --init fm.safetensors --keep 1.0,0.9 --lr 0.1
  ifm-wasm train rows.libfm --loss logistic --json > log.jsonl
  ifm-wasm train --model ifm --dataset ml-tag --epoch 100 --pretrain 1 \\
    --batch_size 4096 --hidden_factor [8,256] --keep [1.0,0.9] --temp 10 \\
    --lr 0.1 --lamda_attention1 0.01`;

const TUNE_HELP = `
Other options of train can be given, too: all trials then have them. What is
tried is drawn by the seed. All trials are trained for a few epochs, the best of
them for more, the best of these for more still (successive halving). The
command that trains the best one again is printed on stdout. The same command
goes on with a search that was interrupted.

The file of --space has lists of values, and ranges, by option:
  {
    "lr": { "min": 0.005, "max": 0.2, "scale": "log" },
    "factors": { "min": 8, "max": 64, "step": 8 },
    "keep": [[1, 1], [1, 0.9], [1, 0.8]]
  }

Examples:
  ifm-wasm tune                     on the bundled sample
  ifm-wasm tune rows.libfm --validation more.libfm --output best.safetensors
  ifm-wasm tune rows.libfm --validation more.libfm --optimizer adam --trials 81
  ifm-wasm tune --model fm --print-space > space.json`;

const PREDICT_HELP = `
${DATA_HELP} Labels are there, but not used.

Examples:
  ifm-wasm predict ifm.safetensors rows.libfm | head
  ifm-wasm predict ifm.safetensors rows.libfm.gz --link sigmoid --output p.txt
  ifm-wasm predict ifm.safetensors rows.libfm --sample-pairs 0.5
  zcat rows.libfm.gz | ifm-wasm predict ifm.safetensors -`;

const EVALUATE_HELP = `
${DATA_HELP} Printed are rows, rmse, mae and, for two-valued labels,
logloss, auc, accuracy and f1; of a model of logistic loss also ece, the
expected calibration error. --group-by adds ndcg, recall, hit rate, mrr and
gauc, the auc within the groups.

Examples:
  ifm-wasm evaluate ifm.safetensors test.libfm
  ifm-wasm evaluate ifm.safetensors test.libfm --json | jq .rmse
  ifm-wasm evaluate ifm.safetensors test.libfm --group-by 0 --top-k 5
  ifm-wasm evaluate click.safetensors test.libfm --calibration --bins 20`;

const EXPLAIN_HELP = `
${DATA_HELP}

What the bias, each slot and each pair of slots add to the score of one row.
Of the networks of inn and deepifm it is their integrated gradients.

Examples:
  ifm-wasm explain ifm.safetensors rows.libfm --row 17
  ifm-wasm explain ifm.safetensors rows.libfm --row 17 --output why.svg
  ifm-wasm explain ifm.safetensors rows.libfm --json | jq .pairs`;

const QUANTIZE_HELP = `
The embeddings become 16-bit floats, or 8-bit integers with a scale for each
feature; weights of the attention and of networks stay as they are. Predictions
are computed from the small form.

Examples:
  ifm-wasm quantize ifm.safetensors --to int8 --output small.safetensors
  ifm-wasm quantize ifm.safetensors --to f16 --output half.safetensors \\
    --validation rows.libfm`;

const INSPECT_HELP = `
Examples:
  ifm-wasm inspect ifm.safetensors
  ifm-wasm inspect ifm.safetensors --json | jq .config`;

const SERVE_HELP = `
Routes: POST /v1/rank /v1/predict /v1/explain, GET /v1/model /healthz /metrics
/openapi.json. What they take and give: docs/SERVING.md.

The URL is printed on stdout when all processes are ready. A model file that
changes is loaded again; one that cannot be is named on stderr and at /v1/model,
and the old model stays. SIGTERM lets requests that are there be answered, and
ends with 0; Ctrl-C does the same, and ends with 130.

Examples:
  ifm-wasm serve ifm.safetensors
  ifm-wasm serve ifm.safetensors --port 0 --workers 1
  TOKEN=secret ifm-wasm serve ifm.safetensors --host 0.0.0.0 --token-env TOKEN
  curl -d '{"rows":[{"features":[3,17,42]}]}' \\
    -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/predict`;

const CHECK_HELP = `
${DATA_HELP}

Examples:
  ifm-wasm check rows.libfm
  ifm-wasm check rows.libfm.gz --json`;

/**
 * The command line.
 *
 * @param args What follows the name of the program.
 * @returns The exit code.
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  let exitCode: number = EXIT.done;
  const program = buildProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(translateAuthors(args), { from: "user" });
    return exitCode;
  } catch (error) {
    return reportError(error, io);
  }
}

/** All commands; `done` gets the exit code of the one that ran. */
function buildProgram(io: Io, done: (exitCode: number) => void): Command {
  const program = new Command("ifm-wasm")
    .description(ABOUT)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out.write(text),
      writeErr: (text) => io.err.write(text),
      outputError: (text, write) => write(text.replace(/^error:/, errorColors(io).red("error:"))),
      getOutHelpWidth: () => io.out.columns,
      getErrHelpWidth: () => io.err.columns,
      getOutHasColors: () => hasColors(io.out, io.env),
      getErrHasColors: () => hasColors(io.err, io.env),
    })
    .configureHelp({ styleTitle: (title) => outputColors(io).bold(title) })
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", MAIN_HELP);

  addCommand(program, "train", "train a model; without FILE on the bundled sample", TRAIN_OPTIONS, TRAIN_HELP)
    .argument("[FILE]", "training rows")
    .action(async (file: string | undefined, options: TrainValues) => done(await train(file, options, io)));

  addCommand(program, "tune", "search for options that train a better model", TUNE_OPTIONS, TUNE_HELP)
    .argument("[FILE]", "training rows")
    .action(async (file: string | undefined, options: TuneValues) => done(await tune(file, options, io)));

  addCommand(program, "predict", "print one prediction per row", PREDICT_OPTIONS, PREDICT_HELP)
    .argument("<MODEL>", "model file")
    .argument("<FILE>", "rows to predict")
    .action(async (model: string, file: string, options: PredictValues) =>
      done(await predict(model, file, options, io)),
    );

  addCommand(program, "evaluate", "print the metrics of a model on rows with labels", EVALUATE_OPTIONS, EVALUATE_HELP)
    .argument("<MODEL>", "model file")
    .argument("<FILE>", "rows with labels")
    .action(async (model: string, file: string, options: EvaluateValues) =>
      done(await evaluate(model, file, options, io)),
    );

  addCommand(program, "explain", "say why a row has its score", EXPLAIN_OPTIONS, EXPLAIN_HELP)
    .argument("<MODEL>", "model file")
    .argument("<FILE>", "rows, of which one is explained")
    .action(async (model: string, file: string, options: ExplainValues) =>
      done(await explain(model, file, options, io)),
    );

  addCommand(program, "quantize", "make a model file smaller", QUANTIZE_OPTIONS, QUANTIZE_HELP)
    .argument("<MODEL>", "model file")
    .action(async (model: string, options: QuantizeValues) => done(await quantize(model, options, io)));

  addCommand(program, "inspect", "print what a model file holds", JSON_OPTION, INSPECT_HELP)
    .argument("<MODEL>", "model file")
    .action(async (model: string, options: JsonValues) => done(await inspect(model, options, io)));

  addCommand(program, "check", "look for what is wrong or odd in a data file", JSON_OPTION, CHECK_HELP)
    .argument("<FILE>", "rows to look at")
    .action(async (file: string, options: JsonValues) => done(await check(file, options, io)));

  addCommand(program, "serve", "answer requests over HTTP with a model", SERVE_OPTIONS, SERVE_HELP)
    .argument("<MODEL>", "model file")
    .action(async (model: string, options: ServeValues) => done(await serve(model, options, io)));

  return program;
}

/** Adds a command with the options of a table, in the order and the groups of the table. */
function addCommand(
  program: Command,
  name: string,
  about: string,
  table: Readonly<Record<string, OptionSpec<unknown>>>,
  help: string,
): Command {
  const group = (title: Group) => `${title}:`;
  const command = program
    .command(name)
    .description(about)
    .addHelpOption(new Option("-h, --help", "print this help").helpGroup(group("Output")))
    .addHelpText("after", help);
  for (const spec of Object.values(table)) {
    const option = new Option(spec.flags, describeOption(spec))
      .helpGroup(group(spec.group))
      .hideHelp(spec.hidden === true);
    const { parser } = spec;
    if (parser !== undefined) option.argParser((text) => parseValue(option.long ?? spec.flags, parser, text));
    command.addOption(option);
    // What a mode such as --compat turns on can be turned off.
    if (parser === undefined && !option.negate) {
      command.addOption(new Option(spec.flags.replace("--", "--no-")).hideHelp());
    }
  }
  return command;
}
