import { expect, test } from "vitest";
import { parse, plantedRows } from "../support/data.js";
import { train } from "../support/train.js";

const data = { train: await parse(plantedRows(400, 1)), validation: await parse(plantedRows(200, 2)) };
const model = { model: "ifm", factors: 4, attentionFactors: 2, fieldFactors: 2 } as const;

test("a model that learns with some of the pairs is measured with as many", async () => {
  const { epochs, model: trained } = await train({
    model,
    train: { samplePairs: 0.34, epochs: 2, batchSize: 50, earlyStop: 0 },
    data,
  });
  const some = trained.evaluate(data.validation, { samplePairs: 0.34 });
  expect(epochs[1]!.validation).toEqual(some);
  expect(trained.evaluate(data.validation).rmse).not.toBe(some.rmse);
});

test("before sampling begins it is measured with all", async () => {
  const { epochs, model: trained } = await train({
    model,
    train: { samplePairs: 0.34, sampleAfter: 8, epochs: 1, batchSize: 50 },
    data,
  });
  expect(epochs[0]!.validation).toEqual(trained.evaluate(data.validation));
});
