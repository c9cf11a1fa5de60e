import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { AUTHORS_TABLE, authorsHelp, compatDefaults, translateAuthors } from "../../src/cli/authors.js";
import { main } from "../../src/cli/main.js";
import { TRAIN_OPTIONS } from "../../src/cli/options.js";
import { MODELS, type ModelKind } from "../../src/config.js";
import { IfmError } from "../../src/errors.js";
import { initialState, readLibfm, readModel, trainStep } from "../reference/index.js";
import { inRepository, jsonLines, temporaryFolder, testIo } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);

function translate(flags: string): string {
  return translateAuthors(["train", ...flags.split(" ").filter(Boolean)])
    .slice(1)
    .join(" ");
}

/** parse_args of the scripts at the commits that docs/MIGRATION.md names, with the defaults that stand there. */
const PARSE_ARGS: Readonly<Record<"fm" | "afm" | "ifm" | "inn", string>> = {
  fm:
    "--process train --mla 0 --path ../data/ --dataset ml-tag --epoch 20 --pretrain -1 --batch_size 4096 " +
    "--hidden_factor 256 --lamda 0 --keep 0.7 --lr 0.01 --optimizer AdagradOptimizer --verbose 1 --batch_norm 1",
  afm:
    "--process train --mla 0 --path ../data/ --dataset ml-tag --valid_dimen 3 --epoch 20 --pretrain -1 " +
    "--batch_size 4096 --attention 1 --hidden_factor [16,16] --lamda_attention 1e+2 --keep [1.0,0.5] --lr 0.1 " +
    "--freeze_fm 0 --optimizer AdagradOptimizer --verbose 1 --batch_norm 0 --decay 0.999 --activation relu",
  ifm:
    "--process train --mla 0 --path ../data/ --dataset ml-tag --valid_dimen 3 --epoch 20 --pretrain -1 " +
    "--batch_size 4096 --attention 1 --hidden_factor [16,16] --lamda_attention 0.0 --lamda_attention1 0.0 --kf 16 " +
    "--temp 1.0 --keep [1.0,0.5] --lr 0.1 --freeze_fm 0 --optimizer AdagradOptimizer --verbose 1 --batch_norm 0 " +
    "--decay 0.999 --activation relu",
  inn:
    "--process train --mla 0 --path ../data/ --dataset ml-tag --valid_dimen 3 --epoch 20 --pretrain -1 " +
    "--batch_size 4096 --attention 1 --hidden_factor [16,16] --lamda_attention 0.0 --lamda_attention1 0.0 --kf 16 " +
    "--temp 1.0 --keep [1.0,0.5] --lr 0.1 --freeze_fm 0 --optimizer AdagradOptimizer --verbose 1 --batch_norm 0 " +
    "--decay 0.999 --activation relu",
};

/** The keys that README.md and sifm_network.py of DeepIFM have, with the values of the README where it has values. */
const MODEL_PARAMS =
  "--wide_columns x --deep_columns x --learning_rate 0.001 --batch_norm_decay 0.999 --l2_reg 0.001 " +
  "--interaction_factor_hidden 6 --attention_size 16 --embedding_size 8 --lamda_factorization 0.001 " +
  "--lamda_attention 0.001 --dim_to_field [0,0,1] --num_samples 0.1 --temperature 10 --num_field 3 " +
  "--deep_layers '100,75,50' --dropout 0.7 --optimizer Adagrad --batch_norm False";

/** A line as its flags with their values. */
const pairsOf = (line: string) => line.match(/--\S+ \S+/g) ?? [];

describe("the authors' flags", () => {
  it("run as their README gives them", () => {
    expect(
      translate(
        "--model fm --dataset ml-tag --epoch 100 --pretrain -1 --batch_size 4096 --hidden_factor 256 --lr 0.01 --keep 0.3",
      ),
    ).toBe(
      "--model fm --dataset ml-tag --epochs=100 --pretrain -1 --batch-size=4096 --factors=256 --lr 0.01 --keep 0.3",
    );
    expect(
      translate(
        "--model ifm --dataset ml-tag --epoch 100 --pretrain 1 --batch_size 4096 --hidden_factor [8,256] " +
          "--keep [1.0,0.9] --temp 10 --lr 0.1 --lamda_attention1 0.01",
      ),
    ).toBe(
      "--model ifm --dataset ml-tag --epochs=100 --pretrain 1 --batch-size=4096 --attention-factors=8 --factors=256 " +
        "--keep [1.0,0.9] --temperature=10 --lr 0.1 --l2-field=0.01",
    );
  });

  it.each([
    ["--epoch=3", "--epochs=3"],
    ["--hidden_factor=[8,256]", "--attention-factors=8 --factors=256"],
    ["--kf 16", "--field-factors=16"],
    ["--lamda 0.5", "--l2-embedding=0.5"],
    ["--lamda_bilinear 0.5", "--l2-embedding=0.5"],
    ["--lamda_attention 2.0", "--l2-attention=2.0"],
    ["--optimizer AdagradOptimizer", "--optimizer=adagrad"],
    ["--optimizer AdamOptimizer", "--optimizer=adam"],
    ["--optimizer GradientDescentOptimizer", "--optimizer=sgd"],
    ["--optimizer MomentumOptimizer", "--optimizer=momentum"],
    ["--optimizer ftrl", "--optimizer=ftrl"],
    ["--optimizer Adagrad", "--optimizer=adagrad"],
    ["--optimizer Adam", "--optimizer=adam"],
    ["--optimizer Momentum", "--optimizer=momentum"],
    ["--optimizer sgd", "--optimizer=sgd"],
    ["--batch_norm 0", ""],
    ["--model fm --batch_norm 0", "--model fm --no-batch-norm"],
    ["--model=fm --batch_norm 1", "--model=fm --batch-norm"],
    ["--batch_norm True --model fm", "--batch-norm --model fm"],
    ["--freeze_fm 0", ""],
    ["--freeze_fm 1", "--freeze=bias,feature_bias,feature_embeddings"],
    ["--valid_dimen 3", "--fields=0,1,2"],
    ["--valid_dim 2", "--fields=0,1"],
    ["--verbose 0", "--quiet"],
    ["--verbose 5", ""],
    ["--process train", ""],
    ["--attention 1", ""],
    ["--mla 0", ""],
    ["--learning_rate 0.001", "--lr=0.001"],
    ["--embedding_size 8", "--factors=8"],
    ["--attention_size 16", "--attention-factors=16"],
    ["--interaction_factor_hidden 6", "--field-factors=6"],
    ["--deep_layers 100,75,50", "--hidden=100,75,50"],
    ["--deep_layers '100,75,50'", "--hidden=100,75,50"],
    ["--num_field 3", "--fields=0,1,2"],
    ["--dim_to_field [0,0,1] --num_field 3", "--fields=0,0,1"],
    ["--num_field 3 --fields 0,0,1", "--fields 0,0,1"],
    ["--dim_to_field {0:0,2:1,1:0}", "--fields=0,0,1"],
    ["--num_samples 0.1", "--sample-pairs=0.1"],
    ["--dropout 0.7", "--keep=1,0.7"],
    ["--l2_reg 0.001", "--l2-hidden=0.001"],
    ["--lamda_factorization 0.001", "--l2-field=0.001"],
    ["--batch_norm False", ""],
    ["--temperature 10", "--temperature 10"],
    ["--activation tanh", "--activation tanh"],
    ["rows.libfm --lr 1 --no-shuffle", "rows.libfm --lr 1 --no-shuffle"],
    ["-- --epoch 3", "-- --epoch 3"],
  ])("%s means %s", (theirs, ours) => {
    expect(translate(theirs)).toBe(ours);
  });

  it.each([
    ["--epoch x", '--epoch: expected a whole number ≥ 0, got "x"'],
    ["--epoch", "--epoch: expected a value"],
    [
      "--hidden_factor [8,256,2]",
      '--hidden_factor: expected one or two whole numbers ≥ 1, separated by commas, got "[8,256,2]"',
    ],
    ["--lamda_attention -1", '--lamda_attention: expected a number ≥ 0, got "-1"'],
    ["--batch_norm yes", '--batch_norm: expected one of 0, 1, False, True, got "yes"'],
    ["--batch_norm 1", "--batch_norm 1: ifm has no batch normalisation, nor has their code"],
    ["--process evaluate", "--process evaluate: evaluation is a command of its own"],
    ["--attention 0", "--attention 0: a model without attention is an FM"],
    ["--mla 1", "--mla 1: micro-level analysis is not there"],
    ["--decay 0.99", "--decay 0.99: batch normalisation has a fixed decay of 0.9"],
    ["--optimizer dcsgd", "--optimizer dcsgd: it makes up for the delays between workers, and here there is one"],
    ["--dropout 0", '--dropout: expected a number > 0 and ≤ 1, got "0"'],
    ["--num_field 0", '--num_field: expected a whole number from 1 to 1024, got "0"'],
    ...["{0:0,2:1}", "{0:0,1:x}", "{}", "[0,x]", "{4294967295:0}"].map((map) => [
      `--dim_to_field ${map}`,
      `--dim_to_field: expected the field of each slot, such as [0,0,1] or {0:0,1:0,2:1}, got "${map}"`,
    ]),
    ...["--wide_columns", "--deep_columns x"].map((columns) => [
      columns,
      `${columns.split(" ")[0]}: feature columns are TensorFlow's; here a row is a line of a libFM file`,
    ]),
  ])("%s is refused in their spelling", (theirs, message) => {
    expect(() => translate(theirs)).toThrow(expect.objectContaining({ code: "IFM_USAGE", message }));
  });

  it.each([...Object.entries(PARSE_ARGS), ["deepifm", MODEL_PARAMS]])(
    "of %s work, or are refused with what to use instead",
    (kind, line) => {
      const known = new Set(Object.values(TRAIN_OPTIONS).map(({ flags }) => flags.split(" ")[0]));
      const refused: string[] = [];
      for (const pair of pairsOf(line)) {
        try {
          const [first, ...more] = translate(`--model ${kind} ${pair}`).split(" ").slice(2);
          for (const arg of [first, ...more]) {
            if (!arg?.startsWith("--")) continue;
            expect(known, pair).toContain(arg.split("=")[0].replace("--no-batch-norm", "--batch-norm"));
          }
        } catch (error) {
          if (!(error instanceof IfmError)) throw error;
          expect(error.hint, pair).toMatch(/use|leave/);
          refused.push(pair.split(" ")[0]);
        }
      }
      const decay = { afm: ["--decay"], ifm: ["--decay"], inn: ["--decay"] }[kind] ?? [];
      expect(refused).toEqual(kind === "deepifm" ? ["--wide_columns", "--deep_columns", "--batch_norm_decay"] : decay);
    },
  );

  it("are all in the table of the documents, with their scripts", () => {
    const names: Record<string, string> = { fm: "FM", afm: "AFM", ifm: "IFM", inn: "INN", deepifm: "model_params" };
    for (const [kind, line] of Object.entries({ ...PARSE_ARGS, deepifm: MODEL_PARAMS })) {
      for (const pair of pairsOf(line)) {
        const [flag] = pair.split(" ");
        const rows = AUTHORS_TABLE.filter(({ theirs }) => theirs.split(" ")[0] === flag);
        expect(rows, flag).toHaveLength(1);
        expect(rows[0].of.split(" "), flag).toContain(names[kind]);
      }
    }
  });

  it("say what to use instead when a value is refused", () => {
    for (const flags of ["--process evaluate", "--attention 0", "--mla 1", "--decay 0.9", "--optimizer dcsgd"]) {
      expect(() => translate(flags)).toThrow(expect.objectContaining({ hint: expect.stringMatching(/use|leave/) }));
    }
  });

  it("are left alone in other commands", () => {
    const args = ["predict", "m", "f", "--epoch", "3"];
    expect(translateAuthors(args)).toEqual(args);
  });

  it("are all in the help, within 80 columns", () => {
    const lines = authorsHelp().split("\n");
    expect(lines.length).toBeGreaterThan(15);
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});

describe("--compat authors", () => {
  const scripts: Partial<Record<ModelKind, string>> = PARSE_ARGS;

  it("ignores the flags that their code reads and never uses, and no others", () => {
    expect(translate("--compat authors --batch_norm 1 --decay 0.999")).toBe("--compat authors");
    const unused =
      "--l2_reg 1 --lamda_factorization 1 --lamda_attention 1 --num_samples 0.1 --batch_norm True --batch_norm_decay 0.9";
    expect(translate(`--model deepifm --compat authors ${unused}`)).toBe("--model deepifm --compat authors");
    expect(translate("--compat=authors --lamda_attention 2 --lamda_attention1 1")).toBe(
      "--compat=authors --l2-attention=2 --l2-field=1",
    );
    expect(translate("--model fm --compat authors --batch_norm 1")).toBe("--model fm --compat authors --batch-norm");
    expect(translate("--l2_reg 1 -- --compat authors")).toBe("--l2-hidden=1 -- --compat authors");
  });

  it("leaves to an initial model what it gives", () => {
    const shape = (kind: ModelKind, from?: ModelKind) => {
      const { factors, attentionFactors, temperature, temperatureOn, batchNorm } = compatDefaults(kind, from);
      return [factors, attentionFactors, temperature, temperatureOn, batchNorm];
    };
    expect(shape("ifm")).toEqual([16, 16, 1, "projection", undefined]);
    expect(shape("ifm", "fm")).toEqual([undefined, 16, 1, "projection", undefined]);
    expect(shape("ifm", "ifm")).toEqual([undefined, undefined, undefined, "projection", undefined]);
    expect(shape("inn", "ifm")).toEqual([undefined, undefined, undefined, "projection", undefined]);
    expect(shape("fm")).toEqual([256, undefined, undefined, undefined, true]);
    expect(shape("fm", "ifm")).toEqual([undefined, undefined, undefined, undefined, true]);
    expect(shape("fm", "fm")).toEqual([undefined, undefined, undefined, undefined, undefined]);
  });

  /** The configuration of a training of three slots a row. */
  async function configured(flags: string): Promise<Record<string, unknown>> {
    const io = testIo();
    const rows = join(inRepository("test/fixtures/golden"), "ifm", "rows.libfm");
    const output = join(folder.path, "configured.safetensors");
    const args = ["train", rows, ...flags.split(" "), "--output", output, "--pretrain", "0", "--json"];
    expect(await main(args, io), io.stderr()).toBe(0);
    const { event: _event, files: _files, ...config } = jsonLines(io.stdout())[0];
    const { secondsToFirstBatch: _ready, readSeconds: _read, ...timeless } = config;
    return timeless;
  }

  it.each(MODELS)("has the defaults of parse_args and the numerics for %s", async (kind) => {
    const script = { optimizer: "adagrad", earlyStop: 0, adam: { exact: true }, reduction: "sum", loss: "squared" };
    const attention = {
      factors: 16,
      attentionFactors: 16,
      temperature: 1,
      keep: [1, 0.5],
      lr: 0.1,
      activation: "relu",
    };
    const field = { ...attention, fieldFactors: 16, temperatureOn: "projection", l2: { attention: 0, field: 0 } };
    const expected = {
      fm: { ...script, factors: 256, keep: [1, 0.7], lr: 0.01, batchNorm: true },
      afm: { ...script, ...attention, l2: { attention: 100 } },
      ifm: { ...script, ...field },
      inn: { ...script, ...field, hidden: [5] },
      deepifm: {
        ...{ attentionFactors: 16, fieldFactors: 6, temperature: 10, temperatureOn: "projection", activation: "tanh" },
        ...{ lr: 0.001, keep: [1, 0.7], clipNorm: 50, hidden: [100, 75, 50], samplePairs: 1, optimizer: "adagrad" },
        ...{ loss: "logistic", reduction: "mean", earlyStop: 0 },
      },
    }[kind];
    const config = await configured(`--model ${kind} --compat authors --epochs 0`);
    expect(config).toMatchObject(expected);
    // Said or not said, their defaults are the same.
    const line = scripts[kind];
    if (line === undefined) return;
    const said = pairsOf(line).filter((pair) => !/^--(dataset|path|pretrain|valid_dimen) /.test(pair));
    const spelled = await configured(`--model ${kind} --compat authors ${said.join(" ")} --epochs 0`);
    expect(spelled).toEqual(config);
    expect(await configured(`--model ${kind} --compat authors`)).toMatchObject({ epochs: 20, batchSize: 4096 });
  });

  it("is outdone by what the command line says", async () => {
    const said = "--temperature-on logits --lr 0.5 --keep 1,1 --no-adam-exact --epochs 0 --factors 4";
    expect(await configured(`--compat authors ${said}`)).toMatchObject({
      ...{ temperatureOn: "logits", lr: 0.5, keep: [1, 1], adam: { exact: false }, factors: 4, attentionFactors: 16 },
    });
    const plain = await configured("--model fm --compat authors --batch_norm 0 --epochs 0");
    expect(plain).toMatchObject({ batchNorm: false, factors: 256 });
  });

  it("steps as the f64 twin with the temperature on the projection", async () => {
    const golden = inRepository("test/fixtures/golden/ifm");
    const expected = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")) as { command: string; lr: number };
    const output = join(folder.path, "after.safetensors");
    const inGolden = /^(model\.safetensors|rows\.libfm)$/;
    const args = expected.command.split(" ").map((word) => (inGolden.test(word) ? join(golden, word) : word));
    args[args.indexOf("after.safetensors")] = output;
    const io = testIo();
    expect(await main([...args, "--compat", "authors"], io), io.stderr()).toBe(0);
    const found = readModel(readFileSync(output));
    expect(found.config.temperatureOn).toBe("projection");

    const twin = readModel(readFileSync(join(golden, "model.safetensors")));
    expect(twin.config.temperatureOn).toBe("logits");
    twin.config.temperatureOn = "projection";
    const rows = readLibfm(readFileSync(join(golden, "rows.libfm"), "utf8"));
    const optimizer = { rule: "sgd", lr: expected.lr } as const;
    trainStep(twin, rows, { loss: "squared", reduction: "sum", optimizer }, initialState(twin, optimizer));
    for (const [tensor, { data }] of Object.entries(twin.tensors)) {
      const largest = Math.max(...data.map(Math.abs));
      const error = Math.max(...data.map((value, i) => Math.abs(found.tensors[tensor].data[i] - value)));
      expect(error / largest, tensor).toBeLessThan(1e-5);
    }
  });
});
