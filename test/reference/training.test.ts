import { describe, expect, test } from "vitest";
import {
  accuracy,
  adagrad,
  adam,
  addL2,
  auc,
  batchGradient,
  batchLoss,
  clipGlobalNorm,
  cloneModel,
  f1,
  fm,
  ftrl,
  ftrlInitialZ,
  ftrlWeight,
  globalNorm,
  initialState,
  logloss,
  mae,
  momentum,
  type Optimizer,
  predict,
  type RefConfig,
  randomModel,
  randomRows,
  readLibfm,
  rmse,
  rowLoss,
  rowLossSlope,
  type StepOptions,
  sgd,
  trainStep,
  zeroGradients,
} from "./index.js";

const config: RefConfig = {
  model: "deepifm",
  features: 8,
  fields: 3,
  factors: 3,
  attentionFactors: 2,
  fieldFactors: 2,
  hidden: [4],
  activation: "tanh",
  temperature: 1,
  temperatureOn: "logits",
  loss: "logistic",
  fieldOfSlot: [0, 1, 2],
  excludeSameField: false,
};

const optimizers: Optimizer[] = [
  { rule: "sgd", lr: 0.05 },
  { rule: "momentum", lr: 0.01, mu: 0.95, rows: "lazy" },
  { rule: "momentum", lr: 0.01, mu: 0.95, rows: "exact" },
  { rule: "adagrad", lr: 0.05 },
  { rule: "adam", lr: 0.02, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rows: "lazy" },
  { rule: "adam", lr: 0.02, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, rows: "exact" },
  { rule: "ftrl", lr: 0.1, beta: 1, lambda1: 0, lambda2: 0 },
];

const array = (...values: number[]): Float64Array => Float64Array.from(values);

describe("optimizer rules by hand", () => {
  test("sgd", () => {
    const theta = array(1, -2);
    sgd(theta, array(0.5, 4), 0.1); // 1 − 0.05, −2 − 0.4
    expect(theta[0]).toBeCloseTo(0.95, 15);
    expect(theta[1]).toBeCloseTo(-2.4, 15);
  });

  test("momentum", () => {
    const theta = array(1);
    const m = array(0);
    momentum(theta, array(2), m, 0.1, 0.95); // m = 2, θ = 1 − 0.2
    expect(theta[0]).toBeCloseTo(0.8, 15);
    momentum(theta, array(1), m, 0.1, 0.95); // m = 1.9 + 1 = 2.9, θ = 0.8 − 0.29
    expect(theta[0]).toBeCloseTo(0.51, 15);
  });

  test("adagrad", () => {
    const theta = array(1, 1);
    const G = array(7, 1e-8);
    adagrad(theta, array(3, 0), G, 0.1); // G = 7 + 9 = 16, θ = 1 − 0.1·3/4; no gradient, no change
    expect(theta[0]).toBeCloseTo(0.925, 15);
    expect(theta[1]).toBe(1);
    adagrad(theta, array(-3, 2), G, 0.1); // G = 25, θ = 0.925 + 0.1·3/5; the first gradient moves by about lr
    expect(theta[0]).toBeCloseTo(0.985, 15);
    expect(theta[1]).toBeCloseTo(0.9, 8);
  });

  test("adam", () => {
    const settings = { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    const theta = array(1);
    const m = array(0);
    const v = array(0);
    adam(theta, array(2), m, v, 1, settings); // m̂ = 2, v̂ = 4: θ = 1 − 0.1·2/(2 + 1e-8)
    expect(theta[0]).toBeCloseTo(1 - 0.2 / (2 + 1e-8), 15);
    adam(theta, array(1), m, v, 2, settings);
    // m = 0.9·0.2 + 0.1 = 0.28, m̂ = 0.28/0.19;  v = 0.999·0.004 + 0.001 = 0.004996, v̂ = 0.004996/0.001999
    const second = 0.28 / 0.19 / (Math.sqrt(0.004996 / 0.001999) + 1e-8);
    expect(theta[0]).toBeCloseTo(1 - 0.2 / (2 + 1e-8) - 0.1 * second, 14);
    expect(second).toBeCloseTo(0.93218, 5);
  });

  test("ftrl", () => {
    const settings = { alpha: 0.5, beta: 1, lambda1: 0.1, lambda2: 0.2 };
    // z₀ = −1·(1/0.5 + 0.2) − 0.1 = −2.3, and back: −(−2.3 + 0.1)/2.2 = 1
    expect(ftrlInitialZ(1, settings)).toBeCloseTo(-2.3, 15);
    expect(ftrlInitialZ(-1, settings)).toBeCloseTo(2.3, 15);
    for (const theta0 of [1, -1, 0.01, 0]) {
      expect(ftrlWeight(ftrlInitialZ(theta0, settings), 0, settings)).toBeCloseTo(theta0, 15);
    }
    expect(ftrlWeight(0.1, 4, settings)).toBe(0);

    const theta = array(1);
    const z = array(ftrlInitialZ(1, settings));
    const n = array(0);
    ftrl(theta, array(0), z, n, settings); // no gradient, no change
    expect(theta[0]).toBeCloseTo(1, 15);
    ftrl(theta, array(3), z, n, settings); // σ = 3/0.5 = 6, z = −2.3 + 3 − 6 = −5.3, n = 9, θ = 5.2/(4/0.5 + 0.2)
    expect(z[0]).toBeCloseTo(-5.3, 14);
    expect(theta[0]).toBeCloseTo(5.2 / 8.2, 14);
    ftrl(theta, array(4), z, n, settings); // σ = (5 − 3)/0.5 = 4, z = −5.3 + 4 − 4·5.2/8.2, n = 25, /(6/0.5 + 0.2)
    expect(n[0]).toBe(25);
    expect(theta[0]).toBeCloseTo((1.3 + 20.8 / 8.2 - 0.1) / 12.2, 14);
  });
});

describe("training steps", () => {
  const rows = randomRows(config, 12, 2);
  const options = (optimizer: Optimizer): StepOptions => ({ loss: "logistic", reduction: "mean", optimizer });

  test.each(optimizers)("$rule: forty steps over one batch lower its loss", (optimizer) => {
    const model = randomModel(config, 1);
    const state = initialState(model, optimizer);
    const first = trainStep(model, rows, options(optimizer), state).loss;
    for (let step = 0; step < 39; step++) trainStep(model, rows, options(optimizer), state);
    expect(batchGradient(model, rows, options(optimizer)).loss).toBeLessThan(0.9 * first);
    expect(state.step).toBe(40);
  });

  test("a table's untouched rows stand still, except under exact momentum and adam", () => {
    const touching = (feature: number) => ({
      label: 1,
      slots: [0, 1, 2].map((s) => ({ feature: feature + s, value: 1 })),
    });
    for (const optimizer of optimizers) {
      const model = randomModel(config, 1);
      const state = initialState(model, optimizer);
      trainStep(model, [touching(0)], options(optimizer), state);
      const before = cloneModel(model);
      trainStep(model, [touching(3)], options(optimizer), state); // features 0, 1, 2 are not in this batch
      const exact = "rows" in optimizer && optimizer.rows === "exact";
      for (const name of ["feature_embeddings", "feature_bias"]) {
        const columns = model.tensors[name].shape[1] ?? 1;
        const still = (feature: number): boolean =>
          model.tensors[name].data[feature * columns] === before.tensors[name].data[feature * columns];
        expect([0, 1, 2].map(still)).toEqual([!exact, !exact, !exact]);
        expect([3, 4, 5].map(still)).toEqual([false, false, false]);
        expect([6, 7].map(still)).toEqual([true, true]);
      }
    }
  });

  test("a feature that occurs several times gets one update of its summed gradient", () => {
    const optimizer: Optimizer = { rule: "adagrad", lr: 0.1 };
    const model = randomModel(config, 1);
    const before = cloneModel(model);
    const twice = [rows[0], rows[0]];
    const single = batchGradient(model, [rows[0]], { loss: "squared", reduction: "sum" }).gradients;
    trainStep(model, twice, { loss: "squared", reduction: "sum", optimizer }, initialState(model, optimizer));
    const j = rows[0].slots[0].feature;
    const g = 2 * single.feature_bias[j];
    const expected = before.tensors.feature_bias.data[j] - (0.1 * g) / Math.sqrt(1e-8 + g * g);
    expect(model.tensors.feature_bias.data[j]).toBeCloseTo(expected, 14);
  });

  test("sgd with L2 and clipping moves by −lr times the clipped gradient", () => {
    const optimizer: Optimizer = { rule: "sgd", lr: 0.5 };
    const model = randomModel(config, 1);
    const before = cloneModel(model);
    const step: StepOptions = { ...options(optimizer), l2: { embedding: 1, hidden: 2 }, clipNorm: 0.25 };
    const { gradients } = batchGradient(model, rows, step);
    const norm = globalNorm(gradients);
    expect(norm).toBeGreaterThan(0.25);
    trainStep(model, rows, step, initialState(model, optimizer));
    for (const [name, gradient] of Object.entries(gradients)) {
      gradient.forEach((g, i) => {
        const expected = before.tensors[name].data[i] - 0.5 * g * (0.25 / norm);
        expect(model.tensors[name].data[i]).toBeCloseTo(expected, 14);
      });
    }
  });

  test("the moving statistics of batch norm go a tenth of the way to the batch", () => {
    const optimizer: Optimizer = { rule: "sgd", lr: 0.1 };
    const model = randomModel({ ...config, model: "fm" }, 1, true);
    const before = cloneModel(model);
    const batch = fm.batchStatistics(model, rows);
    trainStep(model, rows, options(optimizer), initialState(model, optimizer));
    for (const [name, values] of [
      ["batch_norm.moving_mean", batch.mean],
      ["batch_norm.moving_variance", batch.variance],
    ] as const) {
      model.tensors[name].data.forEach((value, k) => {
        expect(value).toBeCloseTo(0.9 * before.tensors[name].data[k] + 0.1 * values[k], 14);
      });
    }
  });
});

test("L2 by hand: touched rows once, untouched rows not at all", () => {
  const model = randomModel({ ...config, model: "fm", factors: 2 }, 1);
  model.tensors.feature_embeddings.data.set([1, 2, 3, 4], 0);
  model.tensors.feature_bias.data.set([5, 6], 0);
  const gradients = zeroGradients(model);
  // V: 0.1·½(3² + 4²) = 1.25;  w: 0.5·½·6² = 9, both in row 1 only
  expect(addL2(model, { embedding: 0.1, linear: 0.5 }, [1], gradients)).toBeCloseTo(10.25, 14);
  expect([...gradients.feature_embeddings.subarray(0, 4)]).toEqual([0, 0, 0.1 * 3, 0.1 * 4]);
  expect([...gradients.feature_bias.subarray(0, 2)]).toEqual([0, 3]);
  expect(gradients.bias[0]).toBe(0);

  const row = { label: 1, slots: [1, 1, 1].map((feature) => ({ feature, value: 1 })) };
  const result = batchGradient(model, [row, row], { loss: "squared", reduction: "sum", l2: { linear: 0.5 } });
  expect(result.touched).toEqual([1]);
  expect(result.penalty).toBeCloseTo(9, 14);
});

test("clipping by hand", () => {
  const gradients = { a: array(3), b: array(0, 4) };
  expect(clipGlobalNorm(gradients, 10)).toBe(5); // ‖(3, 0, 4)‖ = 5, below the limit
  expect(gradients).toEqual({ a: array(3), b: array(0, 4) });
  expect(clipGlobalNorm(gradients, 2.5)).toBe(5);
  expect(gradients).toEqual({ a: array(1.5), b: array(0, 2) });
});

describe("loss", () => {
  test("squared by hand", () => {
    expect(rowLoss("squared", 1, 3)).toBe(2); // ½·2²
    expect(rowLossSlope("squared", 1, 3)).toBe(2);
  });

  test("logistic by hand", () => {
    expect(rowLoss("logistic", 1, 0)).toBeCloseTo(Math.LN2, 15);
    expect(rowLossSlope("logistic", 1, 0)).toBe(-0.5);
    expect(rowLoss("logistic", 1, Math.log(3))).toBeCloseTo(Math.log(4 / 3), 15);
    expect(rowLossSlope("logistic", -1, Math.log(3))).toBeCloseTo(0.75, 15);
  });

  test("logistic takes 0 for −1 and stays finite", () => {
    for (const score of [-1000, -1, 0.5, 1000]) {
      expect(rowLoss("logistic", 0, score)).toBe(rowLoss("logistic", -1, score));
      expect(rowLossSlope("logistic", 0, score)).toBe(rowLossSlope("logistic", -1, score));
    }
    expect(rowLoss("logistic", -1, 1000)).toBe(1000);
    expect(rowLoss("logistic", 1, 1000)).toBe(0);
  });

  test("sum and mean", () => {
    expect(batchLoss("squared", "sum", [1, 0], [3, 1])).toEqual({ loss: 2.5, dScores: [2, 1] });
    expect(batchLoss("squared", "mean", [1, 0], [3, 1])).toEqual({ loss: 1.25, dScores: [1, 0.5] });
  });
});

describe("metrics by hand", () => {
  const labels = [1, -1, 1, -1];
  const scores = [2, 0.5, 0.5, -1];
  const range = { min: -1, max: 1 };

  test("rmse and mae, clipped to a range or not", () => {
    // errors 0, 1.5, 0.5, 0 in the range; 1, 1.5, 0.5, 0 without
    expect(rmse(labels, scores, range)).toBeCloseTo(Math.sqrt(2.5 / 4), 15);
    expect(rmse(labels, scores)).toBeCloseTo(Math.sqrt(3.5 / 4), 15);
    expect(mae(labels, scores, range)).toBe(0.5);
    expect(mae(labels, scores)).toBe(0.75);
  });

  test("auc: 2 > 0.5, 2 > −1, 0.5 = 0.5, 0.5 > −1", () => {
    expect(auc(labels, scores)).toBe(3.5 / 4);
    expect(auc([1, 0, 1, 0], scores)).toBe(3.5 / 4);
    expect(auc([1, 1], [0, 1])).toBeNaN();
  });

  test("logloss", () => {
    const expected = (Math.log1p(Math.exp(-2)) + Math.log1p(Math.exp(0.5)) + Math.log1p(Math.exp(-0.5))) / 4;
    expect(logloss(labels, scores)).toBeCloseTo(expected + Math.log1p(Math.exp(-1)) / 4, 15);
    expect(logloss([1, 0], [0, 0])).toBeCloseTo(Math.LN2, 15);
  });

  test("accuracy and f1: two true positives, one false positive", () => {
    expect(accuracy(labels, scores)).toBe(0.75);
    expect(f1(labels, scores)).toBe(0.8); // 4/(4 + 1)
    expect(f1([1, -1], [-1, -1])).toBe(0);
    expect(accuracy([1, 0], [0.7, 0.3], 0.5)).toBe(1);
  });
});

test("the libFM reader skips comments and blank lines", () => {
  expect(readLibfm("# head\n1 0:1 3:-0.5 # tail\r\n\n-1\n")).toEqual([
    {
      label: 1,
      slots: [
        { feature: 0, value: 1 },
        { feature: 3, value: -0.5 },
      ],
    },
    { label: -1, slots: [] },
  ]);
});

test("an unknown feature trains nothing of the tables", () => {
  const model = randomModel(config, 1);
  const row = { label: 1, slots: [1, 8, 9].map((feature) => ({ feature, value: 1 })) };
  const { gradients, touched } = batchGradient(model, [row], { loss: "squared", reduction: "sum" });
  expect(touched).toEqual([1]);
  expect([...gradients.feature_bias].filter((g) => g !== 0).length).toBe(1);
  expect(Number.isFinite(predict(model, [row])[0])).toBe(true);
});
