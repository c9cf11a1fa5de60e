import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TrainOptions } from "../../src/train/trainer.js";
import { readLibfm, readModel } from "../reference/index.js";
import { assertClose, nearly } from "../support/compare.js";
import { ALL_BUILDS } from "../support/memory.js";
import { assertTensors, TestSession } from "../support/session.js";

// The golden cases: computed in float64 by automatic differentiation, by others, from the equations of MODELS.md.
const TOLERANCE = 2e-6;

const ROOT = new URL("../fixtures/golden/", import.meta.url);
const names = readdirSync(ROOT).filter((name) => name !== "fm-batch-norm");

interface Expected {
  scores: number[];
  loss: number;
  lr: number;
  reduction: "sum" | "mean";
  command: string;
}

test("all cases are here", () => {
  expect(names.sort()).toEqual([
    "afm",
    "deepifm",
    "deepifm-shared-fields",
    "fm",
    "fm-logistic-mean",
    "fm-values-odd-k",
    "ifm",
    "ifm-logistic",
    "ifm-projection",
    "ifm-ten-fields",
    "ifm-values-odd",
    "inn",
    "inn-deeper",
  ]);
});

describe.each(ALL_BUILDS)("$build", ({ module }) => {
  test.each(names)("%s: scores, loss, and the weights after one step of plain SGD", (name) => {
    const file = (path: string) => readFileSync(new URL(`${name}/${path}`, ROOT));
    const stored = readModel(file("model.safetensors"));
    const after = readModel(file("after.safetensors"));
    const rows = readLibfm(file("rows.libfm").toString());
    const { scores, loss, lr, reduction, command } = JSON.parse(file("expected.json").toString()) as Expected;
    const flag = (flag: string) => new RegExp(`--${flag} (\\S+)`).exec(command)?.[1];
    expect([flag("lr"), flag("reduction"), flag("optimizer"), flag("batch-size")]).toEqual([
      String(lr),
      reduction,
      "sgd",
      String(rows.length),
    ]);
    const model = { ...stored, config: { ...stored.config, loss: flag("loss") as "squared" | "logistic" } };
    const train: TrainOptions = { optimizer: "sgd", lr, reduction };

    const session = new TestSession(module, model, rows, train);
    assertClose("scores", session.predict(rows), nearly(scores), TOLERANCE);
    const sum = session.trainBatch();
    assertClose("training scores", session.batchScores(), nearly(scores), TOLERANCE);
    assertClose("loss", [reduction === "mean" ? sum / rows.length : sum], nearly([loss]), TOLERANCE);
    const weights = Object.fromEntries(Object.entries(after.tensors).map(([tensor, { data }]) => [tensor, data]));
    assertTensors("weights", session.tensors(), weights, TOLERANCE);
  });
});
