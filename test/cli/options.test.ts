import { Option } from "commander";
import { describe, expect, it } from "vitest";
import {
  describeOption,
  EVALUATE_OPTIONS,
  JSON_OPTION,
  type OptionSpec,
  PREDICT_OPTIONS,
  TRAIN_OPTIONS,
} from "../../src/cli/options.js";
import { modelOverrides, namingFlag, trainOverrides } from "../../src/cli/overrides.js";
import { defaultModel, defaultTrain } from "../../src/config.js";
import { IfmError } from "../../src/errors.js";

const tables: Record<string, Readonly<Record<string, OptionSpec<unknown>>>> = {
  TRAIN_OPTIONS,
  PREDICT_OPTIONS,
  EVALUATE_OPTIONS,
  JSON_OPTION,
};

describe("the table of options", () => {
  it.each(Object.keys(tables))("%s has the keys that commander makes of the flags", (table) => {
    for (const [key, { flags }] of Object.entries(tables[table])) expect(new Option(flags).attributeName()).toBe(key);
  });

  it("has every flag of the contract", () => {
    const flags = Object.values(TRAIN_OPTIONS).map(({ flags }) => flags.split(" ")[0]);
    const contract =
      "--validation --test --dataset --path --model --output --init --freeze --factors --attention-factors " +
      "--field-factors --hidden --activation --temperature --temperature-on --sample-pairs --sample-after --fields " +
      "--loss --reduction --optimizer --lr --epochs --batch-size --clip-norm --keep --batch-norm --l2-embedding " +
      "--l2-linear --l2-attention --l2-field --l2-hidden --early-stop --seed --no-shuffle --threads --json --quiet " +
      "--pretrain";
    expect(flags).toEqual(expect.arrayContaining(contract.split(" ")));
  });

  it("takes a value for every option that is no switch", () => {
    for (const { flags, parser } of Object.values(TRAIN_OPTIONS as Record<string, OptionSpec<unknown>>)) {
      expect(new Option(flags).required, flags).toBe(parser !== undefined);
    }
  });

  it("shows the defaults of the configuration", () => {
    expect(describeOption(TRAIN_OPTIONS.lr)).toContain(`default ${defaultTrain("ifm", "squared").lr}`);
    expect(describeOption(TRAIN_OPTIONS.factors)).toContain(`default ${defaultModel("ifm").factors}`);
    expect(describeOption(TRAIN_OPTIONS.reduction)).toContain("default sum (mean with logistic and bpr loss)");
    expect(describeOption(TRAIN_OPTIONS.keep)).toContain("[> 0 and ≤ 1; default");
  });
});

describe("what a trainer is told", () => {
  it("is nothing but the kind when nothing was said", () => {
    expect(modelOverrides("ifm", {})).toEqual({ model: "ifm" });
    expect(trainOverrides("ifm", {})).toEqual({});
  });

  it("is what was said of the model", () => {
    const said = modelOverrides("ifm", { factors: 8, fields: [0, 0, 2], temperatureOn: "projection", hidden: [5] });
    expect(said).toEqual({
      model: "ifm",
      factors: 8,
      fields: 3,
      fieldOfSlot: [0, 0, 2],
      temperatureOn: "projection",
      hidden: [5],
    });
  });

  it("is what was said of the training, in groups", () => {
    const said = trainOverrides("ifm", {
      lr: 0.1,
      shuffle: false,
      l2Embedding: 0.5,
      l2Hidden: 0,
      beta1: 0.8,
      adamExact: true,
      ftrlL1: 1,
      samplePairs: 0.1,
      sampleAfter: 100,
    });
    expect(said).toEqual({
      lr: 0.1,
      shuffle: false,
      l2: { embedding: 0.5, hidden: 0 },
      adam: { beta1: 0.8, exact: true },
      ftrl: { l1: 1 },
      samplePairs: 0.1,
      sampleAfter: 100,
    });
  });

  it("leaves shuffling on unless it was switched off", () => {
    // Commander gives an option `--no-…` the default true.
    expect(trainOverrides("ifm", { shuffle: true })).toEqual({});
  });

  it("takes one or two numbers to keep for fm, of which the last counts, and two for the others", () => {
    expect(trainOverrides("fm", { keep: [0.3] }).keep).toEqual([1, 0.3]);
    expect(trainOverrides("fm", { keep: [0.9, 0.3] }).keep).toEqual([0.9, 0.3]);
    expect(trainOverrides("ifm", { keep: [0.9, 0.3] }).keep).toEqual([0.9, 0.3]);
    expect(() => trainOverrides("ifm", { keep: [0.9] })).toThrow('--keep: expected two numbers for ifm, got "0.9"');
  });
});

describe("an error of the library", () => {
  it.each([
    ['freeze: ifm has no tensor "x"', '--freeze: ifm has no tensor "x"'],
    ["batchSize: expected a whole number", "--batch-size: expected a whole number"],
    ["fieldOfSlot: expected at most 1024 slots", "--fields: expected at most 1024 slots"],
    ["trainer: used after dispose()", "trainer: used after dispose()"],
    ["toString: odd", "toString: odd"],
  ])("names the flag of the option that it names: %s", (message, ours) => {
    expect(namingFlag(new IfmError("IFM_USAGE", message, { hint: "do it" }))).toMatchObject({
      code: "IFM_USAGE",
      message: ours,
      hint: "do it",
    });
  });

  it("is left alone when it is about something else", () => {
    const error = new IfmError("IFM_DATA", "freeze: no");
    expect(namingFlag(error)).toBe(error);
  });
});
