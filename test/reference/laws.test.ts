import { describe, expect, test } from "vitest";
import {
  activate,
  afm,
  allPairs,
  attentionForward,
  batchGradient,
  cloneModel,
  deepifm,
  dot,
  dropoutScale,
  embedding,
  fieldForward,
  fm,
  fmSumOfPairs,
  fmSumSquare,
  generator,
  ifm,
  inn,
  linearForward,
  type ModelKind,
  predict,
  type RefConfig,
  type RefModel,
  type RefRow,
  randomModel,
  randomRows,
  rowPairs,
  softmax,
  twins,
} from "./index.js";

const kinds: ModelKind[] = ["fm", "afm", "ifm", "inn", "deepifm"];
const seeds = [1, 2, 3, 4, 5];

function configOf(model: ModelKind, rest: Partial<RefConfig> = {}): RefConfig {
  return {
    model,
    features: 12,
    fields: 4,
    factors: 5,
    attentionFactors: 3,
    fieldFactors: 2,
    hidden: [4],
    activation: "relu",
    temperature: 2,
    temperatureOn: "logits",
    loss: "squared",
    fieldOfSlot: [0, 1, 2, 3],
    excludeSameField: false,
    ...rest,
  };
}

/** The model under another kind or with other settings, with the same tensors and perhaps some more. */
function as(model: RefModel, config: Partial<RefConfig>, tensors: RefModel["tensors"] = {}): RefModel {
  return { config: { ...model.config, ...config }, tensors: { ...model.tensors, ...tensors } };
}

function filled(shape: number[], value: number): { shape: number[]; data: Float64Array } {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return { shape, data: new Float64Array(size).fill(value) };
}

/** Tensors with which F_p = q for every pair: U = 1 with one field factor, D = q. */
function prototypesOf(q: Float64Array, fields: number): RefModel["tensors"] {
  return { interaction: filled([fields, 1], 1), factor: { shape: [1, q.length], data: q } };
}

/** Row and config with the slots in this order. */
function permuted(row: RefRow, order: readonly number[]): RefRow {
  return { label: row.label, slots: order.map((s) => row.slots[s]) };
}

function withoutSlot(row: RefRow, s: number): RefRow {
  return { label: row.label, slots: row.slots.filter((_, i) => i !== s) };
}

function shuffled(count: number, seed: number): number[] {
  const random = generator(seed);
  const keys = Array.from({ length: count }, random);
  return keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b]);
}

describe.each(seeds)("seed %i", (seed) => {
  describe("fm", () => {
    const model = randomModel(configOf("fm"), seed);
    const [row] = randomRows(model.config, 1, seed);

    test("the sum over pairs is the sum-square form", () => {
      const u = row.slots.map((_, s) => embedding(model, row, s));
      const squares = fmSumSquare(u, 5);
      fmSumOfPairs(u, 5).forEach((z, k) => {
        expect(z).toBeCloseTo(squares[k], 12);
      });
      const pairs = rowPairs(model, row, undefined);
      const score = linearForward(model, row) + pairs.reduce((sum, { e }) => sum + e.reduce((a, b) => a + b), 0);
      expect(fm.forward(model, row).score).toBeCloseTo(score, 12);
    });

    test("the order of the features does not matter", () => {
      const { score } = fm.forward(model, permuted(row, shuffled(4, seed)));
      expect(score).toBeCloseTo(fm.forward(model, row).score, 12);
    });

    test("a value of zero is an absent feature", () => {
      for (let s = 0; s < 4; s++) {
        const zeroed = { ...row, slots: row.slots.map((slot, i) => (i === s ? { ...slot, value: 0 } : slot)) };
        expect(fm.forward(model, zeroed).score).toBeCloseTo(fm.forward(model, withoutSlot(row, s)).score, 12);
      }
    });

    test("rows of 0 and 1 features have no pair term", () => {
      for (const slots of [[], [row.slots[0]]]) {
        const short = { ...row, slots };
        expect(fm.forward(model, short).score).toBe(linearForward(model, short));
      }
    });
  });

  test.each<ModelKind>(["afm", "ifm"])("%s: slots may change places together with their fields", (kind) => {
    const model = randomModel(configOf(kind), seed);
    const [row] = randomRows(model.config, 1, seed);
    const order = shuffled(4, seed);
    const moved = as(model, { fieldOfSlot: order });
    expect(predict(moved, [permuted(row, order)])[0]).toBeCloseTo(predict(model, [row])[0], 12);
  });

  test.each<ModelKind>(["fm", "afm", "ifm"])("%s: an unknown feature is an absent one", (kind) => {
    const model = randomModel(configOf(kind), seed);
    const [row] = randomRows(model.config, 1, seed);
    for (let s = 0; s < 4; s++) {
      const unknown = { ...row, slots: row.slots.map((slot, i) => (i === s ? { feature: 12, value: 3 } : slot)) };
      const shorter = as(model, { fieldOfSlot: model.config.fieldOfSlot.filter((_, i) => i !== s) });
      expect(predict(model, [unknown])[0]).toBeCloseTo(predict(shorter, [withoutSlot(row, s)])[0], 12);
    }
  });

  test("inn, deepifm: an unknown feature leaves zeros in its places of the MLP's input", () => {
    for (const kind of ["inn", "deepifm"] as const) {
      const model = randomModel(configOf(kind), seed);
      const [row] = randomRows(model.config, 1, seed);
      row.slots[1].feature = 99;
      const input = kind === "inn" ? inn.forward(model, row).mlp.inputs[0] : deepifm.forward(model, row).mlp.inputs[0];
      const absent = kind === "inn" ? allPairs(4).map(([s, t]) => s === 1 || t === 1) : [false, true, false, false];
      input.forEach((value, i) => {
        expect(value === 0).toBe(absent[Math.floor(i / 5)]);
      });
    }
  });

  test.each<ModelKind>(["afm", "ifm", "inn", "deepifm"])(
    "%s: pairs of a shared field are left out as if never chosen",
    (kind) => {
      const fieldOfSlot = [0, 1, 1, 2];
      const model = randomModel(configOf(kind, { fieldOfSlot }), seed);
      const [row] = randomRows(model.config, 1, seed);
      const others = allPairs(4).filter(([s, t]) => fieldOfSlot[s] !== fieldOfSlot[t]);
      const twin = twins[kind];
      expect(twin.score(as(model, { excludeSameField: true }), row)).toBe(twin.score(model, row, { pairs: others }));
      expect(twin.score(model, row, { pairs: allPairs(4) })).toBe(twin.score(model, row));
      expect(twin.score(model, row)).not.toBeCloseTo(twin.score(model, row, { pairs: others }), 6);
    },
  );

  test("attention sums to 1 and does not overflow", () => {
    const model = randomModel(configOf("ifm"), seed);
    const [row] = randomRows(model.config, 1, seed);
    const e = rowPairs(model, row, undefined).map((pair) => pair.e);
    for (const scale of [1, 1e3, 1e6]) {
      const { weights } = attentionForward(
        model,
        e.map((ep) => ep.map((value) => value * scale)),
      );
      expect(weights.reduce((sum, weight) => sum + weight)).toBeCloseTo(1, 12);
      expect(weights.every((weight) => weight >= 0)).toBe(true);
    }
  });

  test("with b = 0 and ReLU it does not matter where the temperature is", () => {
    const model = randomModel(configOf("ifm"), seed);
    const [row] = randomRows(model.config, 1, seed);
    const place = (temperatureOn: "logits" | "projection"): RefModel => as(model, { temperatureOn });
    expect(ifm.forward(place("logits"), row).score).not.toBeCloseTo(ifm.forward(place("projection"), row).score, 6);
    model.tensors.attention_b.data.fill(0);
    expect(ifm.forward(place("logits"), row).score).toBeCloseTo(ifm.forward(place("projection"), row).score, 12);
  });

  test("ifm with every F_p = 1 is attention pooling summed over K", () => {
    const model = randomModel(configOf("ifm", { fieldFactors: 1 }), seed);
    Object.assign(model.tensors, prototypesOf(new Float64Array(5).fill(1), 4));
    const [row] = randomRows(model.config, 1, seed);
    const { score, pairs, attention } = ifm.forward(model, row);
    let expected = linearForward(model, row);
    pairs.forEach(({ e }, p) => {
      expect(fieldForward(model, pairs[p].s, pairs[p].t)).toEqual([1, 1, 1, 1, 1]);
      for (const value of e) expected += attention.weights[p] * value;
    });
    expect(score).toBeCloseTo(expected, 12);
  });

  test("fm's pair term is that pooling with equal weights, times P", () => {
    const model = randomModel(configOf("ifm", { fieldFactors: 1 }), seed);
    Object.assign(model.tensors, prototypesOf(new Float64Array(5).fill(1), 4));
    model.tensors.attention_p.data.fill(0); // equal logits: T_p = 1/P
    const [row] = randomRows(model.config, 1, seed);
    const linear = linearForward(model, row);
    const pooled = ifm.forward(model, row).score - linear;
    expect(fm.forward(as(model, { model: "fm" }), row).score - linear).toBeCloseTo(6 * pooled, 12);
  });

  test("afm is ifm with F_p = q", () => {
    const model = randomModel(configOf("afm", { fieldFactors: 1 }), seed);
    const asIfm = as(model, { model: "ifm" }, prototypesOf(model.tensors.prediction.data, 4));
    const [row] = randomRows(model.config, 1, seed);
    expect(ifm.forward(asIfm, row).score).toBeCloseTo(afm.forward(model, row).score, 12);
  });

  test("deepifm with an MLP of zeros is ifm", () => {
    const model = randomModel(configOf("deepifm"), seed);
    for (const [name, tensor] of Object.entries(model.tensors)) if (name.startsWith("mlp.")) tensor.data.fill(0);
    const [row] = randomRows(model.config, 1, seed);
    expect(deepifm.forward(model, row).score).toBe(ifm.forward(model, row).score);
  });

  test("inn with one linear unit of ones is ifm", () => {
    const model = randomModel(configOf("inn", { hidden: [] }), seed);
    model.tensors["mlp.0.kernel"].data.fill(1);
    model.tensors["mlp.0.bias"].data.fill(0);
    const [row] = randomRows(model.config, 1, seed);
    expect(inn.forward(model, row).score).toBeCloseTo(ifm.forward(model, row).score, 12);
  });

  test("fm batch norm: with γ = 1 and β = 0, z over the batch has mean 0 and variance about 1", () => {
    const model = randomModel(configOf("fm"), seed, true);
    model.tensors["batch_norm.gamma"].data.fill(1);
    model.tensors["batch_norm.beta"].data.fill(0);
    const rows = randomRows(model.config, 20, seed);
    const statistics = fm.batchStatistics(model, rows);
    const z = rows.map((row) => fm.forward(model, row, {}, statistics).normalized);
    for (let k = 0; k < 5; k++) {
      const lane = z.map((zb) => zb[k]);
      expect(lane.reduce((sum, value) => sum + value)).toBeCloseTo(0, 10);
      const variance = statistics.variance[k];
      expect(dot(lane, lane) / 20).toBeCloseTo(variance / (variance + fm.BATCH_NORM_EPSILON), 10);
    }
  });

  test("fm batch norm with moving mean 0 and variance 1 − ε is γ z + β", () => {
    const model = randomModel(configOf("fm"), seed, true);
    const { "batch_norm.gamma": gamma, "batch_norm.beta": beta } = model.tensors;
    model.tensors["batch_norm.moving_mean"].data.fill(0);
    model.tensors["batch_norm.moving_variance"].data.fill(1 - 1e-3);
    const [row] = randomRows(model.config, 1, seed);
    const { score, z } = fm.forward(model, row);
    const expected = z.reduce((sum, zk, k) => sum + gamma.data[k] * zk + beta.data[k], linearForward(model, row));
    expect(score).toBeCloseTo(expected, 12);
  });
});

describe.each(kinds)("%s", (kind) => {
  const config = configOf(kind);
  const model = randomModel(config, 7);
  const rows = randomRows(config, 9, 8);

  test.each(["squared", "logistic"] as const)("%s: the gradient of a batch is the sum over its halves", (loss) => {
    const gradientOf = (some: readonly RefRow[]) => batchGradient(model, some, { loss, reduction: "sum" });
    const whole = gradientOf(rows);
    const halves = [gradientOf(rows.slice(0, 4)), gradientOf(rows.slice(4))];
    expect(whole.loss).toBeCloseTo(halves[0].loss + halves[1].loss, 10);
    for (const [name, gradient] of Object.entries(whole.gradients)) {
      gradient.forEach((g, i) => {
        expect(g).toBeCloseTo(halves[0].gradients[name][i] + halves[1].gradients[name][i], 10);
      });
    }
  });

  test("the mean is the sum over the number of rows", () => {
    const sum = batchGradient(model, rows, { loss: "logistic", reduction: "sum" });
    const mean = batchGradient(model, rows, { loss: "logistic", reduction: "mean" });
    expect(mean.loss).toBeCloseTo(sum.loss / 9, 12);
    for (const [name, gradient] of Object.entries(mean.gradients)) {
      gradient.forEach((g, i) => {
        expect(g).toBeCloseTo(sum.gradients[name][i] / 9, 12);
      });
    }
  });

  test("masks that keep everything with probability 1 change nothing", () => {
    const everything = (count: number) => ({ mask: new Array<number>(count).fill(1), keep: 1 });
    const counts = { fm: [5, 0], afm: [6, 5], ifm: [6, 30], inn: [6, 30], deepifm: [6, 30] }[kind];
    const dropout = [everything(counts[0]), everything(counts[1])] as const;
    for (const row of rows) {
      expect(twins[kind].score(model, row, { dropout })).toBe(twins[kind].score(model, row));
    }
  });

  test("prediction changes no weight", () => {
    const before = cloneModel(model);
    predict(model, rows);
    expect(model).toEqual(before);
  });
});

describe("dropout", () => {
  test("a kept value is divided by keep, a dropped one is 0", () => {
    expect(dropoutScale({ mask: [1, 0, 1], keep: 0.5 }, 3)).toEqual([2, 0, 2]);
    expect(dropoutScale(undefined, 2)).toEqual([1, 1]);
    expect(() => dropoutScale({ mask: [1, 0], keep: 0.5 }, 3)).toThrow(RangeError);
  });

  test("masks are by the place p among all pairs, whichever take part", () => {
    const model = randomModel(configOf("ifm"), 1);
    const [row] = randomRows(model.config, 1, 2);
    const mask = [0, 1, 1, 1, 1, 0]; // drops (0,1) and (2,3)
    const some = allPairs(4).filter((_, p) => p === 0 || p === 3);
    const { weights, attention } = ifm.forward(model, row, { pairs: some, dropout: [{ mask, keep: 0.5 }, undefined] });
    expect(weights).toEqual([0, 2 * attention.weights[1]]);
  });
});

test("softmax by hand", () => {
  // e^0 : e^ln 2 : e^ln 5 = 1 : 2 : 5
  softmax([0, Math.log(2), Math.log(5)]).forEach((weight, i) => {
    expect(weight).toBeCloseTo([0.125, 0.25, 0.625][i], 15);
  });
  expect(softmax([1e4, 1e4])).toEqual([0.5, 0.5]);
  expect(softmax([])).toEqual([]);
});

test("activations by hand", () => {
  expect([-2, 0, 3].map((x) => activate("relu", x))).toEqual([0, 0, 3]);
  expect([-2, 0, 3].map((x) => activate("identity", x))).toEqual([-2, 0, 3]);
  expect(activate("sigmoid", Math.log(3))).toBeCloseTo(0.75, 15); // 1/(1 + 1/3)
  expect(activate("tanh", Math.log(3))).toBeCloseTo(0.8, 15); // (9 − 1)/(9 + 1)
});

test("pairs come in order", () => {
  const order = [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 3],
    [2, 3],
  ];
  expect(allPairs(4)).toEqual(order);
  expect(allPairs(1)).toEqual([]);
});

test("a whole ifm by hand", () => {
  // K = A = K_F = 1, three slots of fields 0, 1, 2; u_s = V[s] x_s = 1, 2, 3, so e = 2, 3, 6.
  // act(e·1 + 0)/τ with h = 1, τ = 1/ln 2: logits e·ln 2, T = 4 : 8 : 64 over 76.  F = (1·2, 1·3, 2·3)·D = 4, 6, 12.
  // y = 0.5 + (0.1·1 + 0.2·1 + 0.3·1.5) + (4·2·4 + 8·3·6 + 64·6·12)/76 = 1.25 + 4784/76
  const config = configOf("ifm", { features: 3, fields: 3, factors: 1, attentionFactors: 1, fieldFactors: 1 });
  const tensor = (shape: number[], ...values: number[]) => ({ shape, data: Float64Array.from(values) });
  const model: RefModel = {
    config: { ...config, temperature: 1 / Math.LN2, fieldOfSlot: [0, 1, 2] },
    tensors: {
      bias: tensor([1], 0.5),
      feature_bias: tensor([3], 0.1, 0.2, 0.3),
      feature_embeddings: tensor([3, 1], 1, 2, 2),
      attention_W: tensor([1, 1], 1),
      attention_b: tensor([1], 0),
      attention_p: tensor([1], 1),
      interaction: tensor([3, 1], 1, 2, 3),
      factor: tensor([1, 1], 2),
    },
  };
  const slots = [1, 1, 1.5].map((value, feature) => ({ feature, value }));
  expect(ifm.forward(model, { label: 1, slots }).score).toBeCloseTo(1.25 + 4784 / 76, 12);
});
