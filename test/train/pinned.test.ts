import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TrainerOptions } from "../../src/api.js";
import { parse, plantedRows } from "../support/data.js";
import { configOf, rowsOf } from "../support/session.js";
import { digest, train } from "../support/train.js";

/*
 * The losses of fixed runs and the SHA-256 of their weights, exactly: the same on every machine and in every build. A
 * change of these numbers is a change of what users get with their seeds; it belongs into the CHANGELOG.
 *
 * UPDATE_PINS=1 npx vitest run --project unit test/train/pinned
 */
const FILE = new URL("../fixtures/pinned-runs.json", import.meta.url);

interface Pin {
  losses: number[];
  validation: number[];
  weights: string;
}

const pinned = existsSync(FILE) ? (JSON.parse(readFileSync(FILE, "utf8")) as Record<string, Pin>) : {};
const update = process.env.UPDATE_PINS === "1";

const ifm = { model: "ifm", factors: 7, attentionFactors: 5, fieldFactors: 3 } as const;
const real = configOf({ model: "ifm", features: 30 }, 4);

const planted = { train: await parse(plantedRows(500, 1)), validation: await parse(plantedRows(100, 2)) };
const valued = { train: await parse(rowsOf(real, 300, 3)), validation: await parse(rowsOf(real, 100, 4)) };

const runs: Record<string, TrainerOptions> = {
  fm: { model: { model: "fm", factors: 8 }, train: { batchSize: 64 }, data: planted },
  "fm, dropout, adam, logistic": {
    model: { model: "fm", factors: 5, loss: "logistic" },
    train: { optimizer: "adam", lr: 0.01, keep: [1, 0.7], batchSize: 100, l2: { embedding: 0.001 } },
    data: valued,
  },
  ifm: { model: ifm, train: { batchSize: 64, lr: 0.1 }, data: planted },
  "ifm, dropout, sgd, clipped, tanh": {
    model: { ...ifm, activation: "tanh", temperatureOn: "projection", loss: "logistic" },
    train: { optimizer: "sgd", lr: 0.5, keep: [0.9, 0.7], clipNorm: 1, batchSize: 200 },
    data: valued,
  },
  "ifm, ftrl": {
    model: { ...ifm, activation: "sigmoid" },
    train: { optimizer: "ftrl", lr: 0.1, ftrl: { l1: 0.001, l2: 0.01 }, batchSize: 300 },
    data: valued,
  },
  "fm, batch norm": {
    model: { model: "fm", factors: 5, batchNorm: true },
    train: { batchSize: 50, keep: [1, 0.8] },
    data: valued,
  },
  afm: { model: { ...ifm, model: "afm" }, train: { batchSize: 100, keep: [0.9, 0.8] }, data: valued },
  inn: { model: { ...ifm, model: "inn", hidden: [5] }, train: { batchSize: 64, keep: [0.9, 0.8] }, data: planted },
  "deepifm, sampling": {
    model: { ...ifm, model: "deepifm", hidden: [8, 3] },
    train: { batchSize: 50, keep: [0.9, 0.8], clipNorm: 5, samplePairs: 0.5, sampleAfter: 7 },
    data: valued,
  },
  "fm, bpr, listed": {
    model: { model: "fm", factors: 8, loss: "bpr" },
    train: { bpr: { groupBy: [0] }, batchSize: 64, keep: [1, 0.9] },
    data: planted,
  },
  "ifm, bpr, drawn": {
    model: { ...ifm, loss: "bpr" },
    train: { bpr: { groupBy: [0], itemFields: [1], negatives: 2 }, batchSize: 50, optimizer: "adam", lr: 0.01 },
    data: planted,
  },
};

describe.each(Object.entries(runs))("%s", (name, options) => {
  test("losses and weights are those of the record", async () => {
    const { epochs, model } = await train({
      ...options,
      train: { seed: 2019, epochs: 5, earlyStop: 0, ...options.train },
    });
    const found: Pin = {
      losses: epochs.map(({ loss }) => loss),
      validation: epochs.map(({ validation }) => validation!.rmse),
      weights: digest(model),
    };
    if (update) {
      pinned[name] = found;
      writeFileSync(FILE, `${JSON.stringify(pinned, null, 2)}\n`);
    }
    expect(found).toEqual(pinned[name]);
  });
});

test("the record has no run that is not here", () => {
  expect(Object.keys(pinned)).toEqual(Object.keys(runs));
});
