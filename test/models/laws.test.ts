import { describe, expect, test } from "vitest";
import { encodeModel } from "../../src/model/format.js";
import { decodeModel } from "../../src/model/format-read.js";
import { floatOf } from "../../src/model/layout.js";
import type { TrainOptions } from "../../src/train/trainer.js";
import { allPairs, cloneModel, type RefModel, type RefRow, type RefTensor } from "../reference/index.js";
import { assertClose, assertSameBits, largest, nearly } from "../support/compare.js";
import { BUILDS } from "../support/memory.js";
import { Random } from "../support/random.js";
import { assertTensors, configOf, modelOf, rowsOf, TestSession } from "../support/session.js";

const OPTIMIZERS: { name: string; train: TrainOptions }[] = [
  { name: "sgd", train: { optimizer: "sgd", lr: 0.01 } },
  { name: "momentum", train: { optimizer: "momentum", lr: 0.002 } },
  { name: "adagrad", train: { optimizer: "adagrad" } },
  { name: "adam, lazy", train: { optimizer: "adam", lr: 0.01 } },
  { name: "adam, exact", train: { optimizer: "adam", lr: 0.01, adam: { exact: true } } },
  { name: "ftrl", train: { optimizer: "ftrl", lr: 0.05, ftrl: { l1: 0.01, l2: 0.01 } } },
];

describe.each(BUILDS)("$build: laws of FM", ({ module }) => {
  const config = configOf({ model: "fm", factors: 13, features: 50 });
  const model = modelOf(config, 1);
  const rows = rowsOf(config, 40, 2, { upTo: 9, unknown: 5 });
  const random = new Random(3);

  test("the order of the features does not matter", () => {
    const session = new TestSession(module, model, rows);
    const shuffled = rows.map((row) => ({
      ...row,
      slots: random.permutation(row.slots.length).map((i) => row.slots[i]!),
    }));
    assertClose("scores", session.predict(shuffled), nearly(session.predict(rows)), 1e-6);
  });

  test("a feature with the value 0, and one that is unknown, is as good as absent", () => {
    const session = new TestSession(module, model, rows);
    const extra = [
      { feature: 7, value: 0 },
      { feature: 1000, value: 3 },
    ];
    const longer = rows.map((row) => {
      const at = random.int(row.slots.length + 1);
      return { ...row, slots: [...row.slots.slice(0, at), ...extra, ...row.slots.slice(at)] };
    });
    assertSameBits("scores", session.predict(longer), session.predict(rows));
  });

  test("values of 1 are the same whether they are written or not", () => {
    const ones = rowsOf(config, 40, 4, { upTo: 9, ones: true });
    // One other value in a last row makes the values of all rows be there.
    const written = [...ones, { label: 1, slots: [{ feature: 0, value: 0.5 }] }];
    const session = new TestSession(module, model, ones);
    assertSameBits("scores", session.predict(written).subarray(0, 40), session.predict(ones));
  });

  test("the score of a row does not depend on the rows around it", () => {
    const session = new TestSession(module, model, rows);
    const together = session.predict(rows);
    rows.forEach((row, r) => {
      expect(session.predict([row])[0]).toBe(together[r]);
    });
  });
});

describe.each(BUILDS)("$build: laws of IFM", ({ module }) => {
  const SLOTS = 5;
  const P = allPairs(SLOTS).length;
  const config = configOf({ model: "ifm", factors: 6, attentionFactors: 5, fieldFactors: 1, features: 30 }, SLOTS);
  const rows = rowsOf(config, 20, 2);
  const ones = (shape: number[]): RefTensor => {
    return { shape, data: new Float64Array(shape.reduce((product, extent) => product * extent, 1)).fill(1) };
  };
  /** F_p = 1: U and D are 1, K_F is 1. */
  const withoutFields = (model: RefModel): RefModel => {
    const { interaction, factor } = model.tensors;
    const tensors = { ...model.tensors, interaction: ones(interaction!.shape), factor: ones(factor!.shape) };
    return { ...model, tensors };
  };

  test("with every F_p = 1 it is attention pooling summed over K", () => {
    const model = withoutFields(modelOf(config, 1));
    const expected = rows.map((row) => attentionPooling(model, row));
    assertClose("scores", new TestSession(module, model, rows).predict(rows), nearly(expected), 2e-6);
  });

  test("with F_p = 1 and equal weights it is FM, whose pair term is P times that", () => {
    const model = withoutFields(modelOf(config, 1));
    model.tensors.attention_p!.data.fill(0); // every logit 0
    model.tensors.bias!.data.fill(0);
    model.tensors.feature_bias!.data.fill(0);
    const { bias, feature_bias, feature_embeddings } = model.tensors;
    const fm: RefModel = {
      config: { ...config, model: "fm", fieldOfSlot: [], fields: 0 },
      tensors: { bias: bias!, feature_bias: feature_bias!, feature_embeddings: feature_embeddings! },
    };
    const ofIFM = new TestSession(module, model, rows).predict(rows);
    const ofFM = new TestSession(module, fm, rows).predict(rows);
    assertClose(
      "P times the scores",
      ofIFM.map((score) => P * score),
      nearly(ofFM),
      2e-6,
    );
  });

  test("a row without pairs has its linear part for a score", () => {
    const model = modelOf(config, 1);
    const lonely = rows.map(({ label, slots }) => ({
      label,
      slots: slots.map((slot, s) => (s === 2 ? slot : { feature: 99, value: 7 })),
    }));
    const expected = lonely.map(({ slots }) => {
      const { feature, value } = slots[2]!;
      return Math.fround(
        model.tensors.bias!.data[0]! + Math.fround(model.tensors.feature_bias!.data[feature]! * value),
      );
    });
    assertSameBits("scores", new TestSession(module, model, rows).predict(lonely), Float32Array.from(expected));
  });

  test("the score of a row does not depend on the rows around it", () => {
    const session = new TestSession(module, modelOf(config, 1), rows);
    const some = rowsOf(config, 20, 3, { unknown: 20 });
    const together = session.predict(some);
    some.forEach((row, r) => {
      expect(session.predict([row])[0]).toBe(together[r]);
    });
  });
});

/** linear + Σ_k Σ_p T_p e_p[k], written out. */
function attentionPooling({ tensors, config }: RefModel, { slots }: RefRow): number {
  const { factors: K, attentionFactors: A, temperature } = config;
  const { bias, feature_bias: w, feature_embeddings: V, attention_W: W, attention_b: b, attention_p: h } = tensors;
  const e = allPairs(slots.length).map(([s, t]) =>
    Array.from({ length: K }, (_, k) => {
      const of = ({ feature, value }: { feature: number; value: number }) => V!.data[feature * K + k]! * value;
      return of(slots[s]!) * of(slots[t]!);
    }),
  );
  const logits = e.map((ep) => {
    let logit = 0;
    for (let a = 0; a < A; a++) {
      const z = ep.reduce((sum, x, k) => sum + x * W!.data[k * A + a]!, b!.data[a]!);
      logit += h!.data[a]! * Math.max(z, 0);
    }
    return Math.exp(logit / temperature);
  });
  const total = logits.reduce((sum, x) => sum + x, 0);
  const linear = slots.reduce((sum, { feature, value }) => sum + w!.data[feature]! * value, bias!.data[0]!);
  return e.reduce((sum, ep, p) => sum + (logits[p]! / total) * ep.reduce((s, x) => s + x, 0), linear);
}

describe.each(BUILDS)("$build: laws between models", ({ module }) => {
  const SLOTS = 5;
  const P = allPairs(SLOTS).length;
  const of = (part: Partial<RefModel["config"]> & Pick<RefModel["config"], "model">) =>
    configOf({ factors: 6, attentionFactors: 5, fieldFactors: 2, features: 30, activation: "tanh", ...part }, SLOTS);
  const ifm = modelOf(of({ model: "ifm" }), 1);
  const rows = rowsOf(ifm.config, 20, 2, { unknown: 3 });
  const full = (shape: number[], value: number): RefTensor => {
    return { shape, data: new Float64Array(shape.reduce((product, extent) => product * extent, 1)).fill(value) };
  };
  const scores = (model: RefModel) => new TestSession(module, model, rows).predict(rows);

  test("DeepIFM with a network of zeros is IFM, bit for bit", () => {
    const deep = modelOf(of({ model: "deepifm", hidden: [7, 3] }), 2);
    for (const name of Object.keys(deep.tensors)) {
      const { shape } = deep.tensors[name]!;
      deep.tensors[name] = name.startsWith("mlp.") ? full(shape, 0) : ifm.tensors[name]!;
    }
    assertSameBits("scores", scores(deep), scores(ifm));
  });

  test("INN with one linear unit of ones is IFM", () => {
    const config = of({ model: "inn", hidden: [] });
    const tensors = {
      ...ifm.tensors,
      "mlp.0.kernel": full([P * config.factors, 1], 1),
      "mlp.0.bias": full([1], 0),
    };
    assertClose("scores", scores({ config, tensors }), nearly([...scores(ifm)]), 2e-6);
  });

  test("AFM's attention weights of a row sum to 1: with the same product in every pair, that is the pooled vector", () => {
    const config = of({ model: "afm" });
    const model = modelOf(config, 3);
    // The same embedding everywhere and values of 1: every e_p is v ⊙ v, whatever the weights.
    const { data } = model.tensors.feature_embeddings!;
    const v = data.slice(0, config.factors);
    for (let i = 0; i < data.length; i++) data[i] = v[i % config.factors]!;
    const ones = rowsOf(config, 10, 4, { ones: true });
    const q = model.tensors.prediction!.data;
    const pooled = v.reduce((sum, x, k) => sum + q[k]! * x * x, 0);
    const expected = ones.map(({ slots }) =>
      slots.reduce(
        (sum, { feature }) => sum + model.tensors.feature_bias!.data[feature]!,
        model.tensors.bias!.data[0]! + pooled,
      ),
    );
    assertClose("scores", new TestSession(module, model, ones).predict(ones), nearly(expected), 2e-6);
  });

  test("AFM is IFM whose every F_p is q", () => {
    const afm = modelOf(of({ model: "afm" }), 4);
    const { prediction, ...shared } = afm.tensors;
    const config = of({ model: "ifm", fieldFactors: 1 });
    const tensors = {
      ...shared,
      interaction: full([config.fields, 1], 1),
      factor: { shape: [1, config.factors], data: prediction!.data },
    };
    assertClose("scores", scores({ config, tensors }), nearly([...scores(afm)]), 2e-6);
  });
});

const trained: { name: string; model: RefModel; rows: RefRow[] }[] = [
  (() => {
    const config = configOf({ model: "fm", factors: 5, features: 25 });
    return { name: "fm", model: modelOf(config, 1), rows: rowsOf(config, 40, 2, { upTo: 6, unknown: 4 }) };
  })(),
  ...(["relu", "sigmoid"] as const).map((activation, i) => {
    const part = { factors: 5, attentionFactors: 3, fieldFactors: 2, features: 25, activation };
    const config = configOf({ model: "ifm", ...part }, 4);
    return { name: `ifm, ${activation}`, model: modelOf(config, 3), rows: rowsOf(config, 40, 4 + i, { unknown: 4 }) };
  }),
  ...(["afm", "inn", "deepifm"] as const).map((kind) => {
    const config = configOf({ model: kind, factors: 5, attentionFactors: 3, features: 25, hidden: [6, 3] }, 4);
    return { name: kind, model: modelOf(config, 3), rows: rowsOf(config, 40, 6, { unknown: 4 }) };
  }),
];

describe.each(BUILDS)("$build: laws of training", ({ module }) => {
  describe.each(trained)("$name", ({ model, rows }) => {
    const { factors: K, features: n } = model.config;

    test("the gradient of a batch is the sum of those of its halves", () => {
      const gradients = [rows, rows.slice(0, 17), rows.slice(17)].map((part) => {
        const session = new TestSession(module, model, part, { optimizer: "momentum", reduction: "sum" });
        session.trainBatch();
        return session.gradients();
      });
      const [whole, first, second] = gradients as [Tensors, Tensors, Tensors];
      const sum = Object.fromEntries(Object.entries(first).map(([t, g]) => [t, g.map((x, i) => x + second[t]![i]!)]));
      assertTensors("gradients", whole, sum, 3e-6);
    });

    test("a mean is a sum over the rows divided by their number", () => {
      const of = (reduction: "sum" | "mean") => {
        const session = new TestSession(module, model, rows, { optimizer: "momentum", reduction });
        session.trainBatch();
        return session.gradients();
      };
      const sum = of("sum");
      const mean = Object.fromEntries(Object.entries(sum).map(([t, g]) => [t, g.map((x) => x / rows.length)]));
      assertTensors("gradients", of("mean"), mean, 3e-6);
    });

    test("keep = 1: training scores are those of prediction, bit for bit", () => {
      const session = new TestSession(module, model, rows, { keep: [1, 1] });
      const before = session.predict(rows);
      session.trainBatch();
      assertSameBits("scores", session.batchScores(), before);
    });

    test("a keep that rounds to 1 in 65536 steps is keep = 1", () => {
      const exact = new TestSession(module, model, rows, { keep: [1, 1] });
      const almost = new TestSession(module, model, rows, { keep: [1 - 1e-6, 1 - 1e-6] });
      exact.trainBatch();
      almost.trainBatch();
      assertTensors("weights", almost.tensors(), exact.tensors(), 1e-6);
    });

    test("dropout is for training only", () => {
      const session = new TestSession(module, model, rows, { keep: [0.5, 0.5] });
      const without = new TestSession(module, model, rows);
      assertSameBits("scores", session.predict(rows), without.predict(rows));
      session.trainBatch();
      without.trainBatch();
      expect(session.batchScores()).not.toEqual(without.batchScores());
    });

    test.each(OPTIMIZERS)("padding stays 0 for 50 steps: $name", ({ train }) => {
      const session = new TestSession(module, model, rows, {
        ...train,
        l2: { embedding: 0.1, linear: 0.1, field: 0.1 },
      });
      for (let step = 0; step < 50; step++) session.trainBatch((step * 7) % 20, 20);
      assertPadding(session);
    });

    test("padding stays 0 with dropout and clipping", () => {
      const session = new TestSession(module, model, rows, { keep: [0.7, 0.7], clipNorm: 1 });
      for (let step = 0; step < 50; step++) session.trainBatch();
      assertPadding(session);
    });

    test.each(OPTIMIZERS)("K = 5 in 8 lanes is K = 8 with zeros: $name", ({ name, train }) => {
      const wide = widened(model, 8);
      const sessions = [model, wide].map((m) => new TestSession(module, m, rows, train));
      for (let step = 0; step < 5; step++) {
        const [narrow, zeroExtended] = sessions.map((session) => [session.trainBatch(), session.batchScores()]);
        expect(zeroExtended).toEqual(narrow);
      }
      const [narrow, zeroExtended] = sessions.map((session) => session.tensors());
      for (const [tensor, values] of Object.entries(narrow!)) {
        assertSameBits(
          `${name}: ${tensor}`,
          cut(tensor, zeroExtended![tensor]!, { shape: model.tensors[tensor]!.shape, K, wide: 8 }),
          values,
        );
      }
    });

    test("the record of unknown features stays 0", () => {
      const unknown = rows.map(({ label, slots }) => ({
        label,
        slots: slots.map((slot, s) => (s % 2 ? slot : { ...slot, feature: n + s })),
      }));
      for (const { train } of OPTIMIZERS) {
        const session = new TestSession(module, model, unknown, train);
        for (let step = 0; step < 10; step++) session.trainBatch();
        const { rowFloats } = session.session.layout;
        expect(largest(session.session.parameters().slice(-rowFloats))).toBe(0);
      }
    });

    test("weights survive the model file, bit for bit", () => {
      const session = new TestSession(module, model, rows, { optimizer: "adam" });
      for (let step = 0; step < 3; step++) session.trainBatch();
      const specs = session.session.layout.tensors;
      const stored = specs.map((spec) => ({ name: spec.name, shape: spec.shape, data: session.session.read(spec) }));
      const { tensors, config } = decodeModel(encodeModel({ ...model.config, batchNorm: false }, {}, stored));
      const again: RefModel = cloneModel(model);
      for (const { name } of specs) again.tensors[name]!.data.set(tensors.get(name)!.data);
      expect(config).toEqual({ ...model.config, batchNorm: false });
      const loaded = new TestSession(module, again, rows);
      assertSameBits("parameters", loaded.session.parameters(), session.session.parameters());
      assertSameBits("scores", loaded.predict(rows), session.predict(rows));
    });
  });
});

type Tensors = Record<string, Float32Array>;

/** Lanes of parameters and states that belong to no tensor are exactly 0; Adagrad's G there is what it started with. */
function assertPadding(session: TestSession): void {
  const { layout } = session.session;
  const isPadding = new Uint8Array(layout.bytes / 4).fill(1);
  for (const spec of layout.tensors) {
    for (let r = 0; r < spec.rows; r++) {
      const at = spec.offset / 4 + floatOf(spec, r);
      isPadding.fill(0, at, at + spec.cols);
    }
  }
  const parameters = session.session.parameters();
  expect(parameters.every(Number.isFinite)).toBe(true);
  expect(parameters.filter((value, i) => isPadding[i] && value !== 0)).toEqual(new Float32Array(0));
  const start = session.train.optimizer === "adagrad" ? Math.fround(1e-8) : 0;
  for (const state of [session.state(), session.state("state2")]) {
    expect(state.every(Number.isFinite)).toBe(true);
    expect(state.filter((value, i) => isPadding[i] && value !== start)).toEqual(new Float32Array(0));
  }
}

/** Tensors made of blocks of K rows, and how many numbers a row has; the columns of some count as rows of one number. */
function rowLength(tensor: string, shape: number[]): number | undefined {
  if (tensor === "attention_W" || tensor === "mlp.0.kernel") return shape[1]!;
  return ["feature_embeddings", "factor", "prediction"].includes(tensor) ? 1 : undefined;
}

/** The same model with more factors, all 0. */
function widened(model: RefModel, factors: number): RefModel {
  const K = model.config.factors;
  const tensors = Object.fromEntries(
    Object.entries(model.tensors).map(([tensor, { shape, data }]) => {
      const length = rowLength(tensor, shape);
      if (length === undefined) return [tensor, { shape, data }];
      const out = new Float64Array((data.length / K) * factors);
      const block = K * length;
      for (let b = 0; b * block < data.length; b++) {
        out.set(data.subarray(b * block, (b + 1) * block), b * factors * length);
      }
      const axisOfK = ["feature_embeddings", "factor"].includes(tensor) ? 1 : 0;
      const wide = shape.map((extent, axis) => (axis === axisOfK ? (extent / K) * factors : extent));
      return [tensor, { shape: wide, data: out }];
    }),
  );
  return { config: { ...model.config, factors }, tensors };
}

/** The part of a wider tensor that the narrower has. */
function cut(tensor: string, values: Float32Array, { shape, K, wide }: { shape: number[]; K: number; wide: number }) {
  const length = rowLength(tensor, shape);
  return length === undefined ? values : values.filter((_, i) => Math.floor(i / length) % wide < K);
}
