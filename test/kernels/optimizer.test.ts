import { describe, expect, test } from "vitest";
import { OPTIMIZER } from "../../src/wasm/abi.js";
import { cases } from "../support/cases.js";
import { assertSameBits } from "../support/compare.js";
import { GuardedMemory, inOut, input } from "../support/guards.js";
import { testKernel } from "../support/kernel-case.js";
import { Random } from "../support/random.js";

testKernel(cases.optimizerInit);
testKernel(cases.optimizerStep);
testKernel(cases.squaredNorm);
testKernel(cases.stepIsFinite);

describe("laws of the optimizers", () => {
  const memory = new GuardedMemory();
  const FLOATS = 20;
  const SETTINGS = {
    lr: 0.25,
    momentum: 0.95,
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    correction1: 10,
    correction2: 1000,
    ftrlBeta: 1,
    ftrlL1: 0.125,
    ftrlL2: 0.5,
  };

  /** Initial state, then one step for each gradient (`null`: the 0 pointer); weights and states afterwards. */
  function run(
    rule: keyof typeof OPTIMIZER,
    theta: Float32Array,
    gradients: (Float32Array | null)[],
    l2 = 0,
    scale = 1,
  ) {
    memory.clear();
    const at = memory.place("theta", inOut(theta));
    const state = memory.place("state", inOut(new Float32Array(FLOATS)));
    const state2 = memory.place("state2", inOut(new Float32Array(FLOATS)));
    const inputs = gradients.map((gradient) => (gradient ? memory.place("gradient", input(gradient)) : 0));
    const optimizer = OPTIMIZER[rule];
    const desc = memory.placeDesc({ ...SETTINGS, optimizer, state: state - at, state2: state2 - at });
    memory.kernels.optimizerInit(desc, at, FLOATS);
    for (const gradient of inputs) memory.kernels.optimizerStep(desc, at, gradient, FLOATS, l2, scale);
    memory.check(rule);
    return [at, state, state2].map((address) => new Float32Array(memory.memory.buffer, address, FLOATS).slice());
  }

  const theta = new Random(1).values(FLOATS, -2, 2);
  const zero = new Float32Array(FLOATS);

  test.each(["sgd", "momentum", "adagrad", "adam"] as const)(
    "%s: a zero gradient moves nothing, bit for bit",
    (rule) => {
      assertSameBits(rule, run(rule, theta, [zero, zero, zero])[0]!, theta);
    },
  );

  test("ftrl: a zero gradient moves nothing beyond rounding, and zeros stay zeros", () => {
    const sparse = theta.map((value, i) => (i % 3 === 0 ? 0 : value));
    const [after] = run("ftrl", sparse, [zero, zero, zero]);
    after!.forEach((value, i) => {
      if (sparse[i] === 0) expect(value).toBe(0);
      else expect(Math.abs(value / sparse[i]! - 1)).toBeLessThan(1e-6);
    });
  });

  test("adam: the 0 pointer is a zero gradient, bit for bit, also after steps", () => {
    const gradient = new Random(2).values(FLOATS);
    const [theta0, m0, v0] = run("adam", theta, [gradient, null, null]);
    const [theta1, m1, v1] = run("adam", theta, [gradient, zero, zero]);
    assertSameBits("weights", theta0!, theta1!);
    assertSameBits("m", m0!, m1!);
    assertSameBits("v", v0!, v1!);
  });

  test("ftrl: weights whose z stays below λ₁ become exactly 0", () => {
    // z = -θ (β/α + λ₂) - λ₁ + g with θ = 0.01: |z| = |0.045 + 0.125 - g| < 0.125 for g = 0.1; σ θ = 4 · 0.1 · 0.01
    const [after] = run("ftrl", new Float32Array(FLOATS).fill(0.01), [new Float32Array(FLOATS).fill(0.1)]);
    expect(after).toEqual(zero);
  });

  test.each(Object.keys(OPTIMIZER) as (keyof typeof OPTIMIZER)[])("%s: L2 is the gradient l2 θ", (rule) => {
    const gradient = new Random(3).values(FLOATS);
    const byL2 = run(rule, theta, [gradient], 0.5);
    const byHand = run(rule, theta, [gradient.map((g, i) => Math.fround(0.5 * theta[i]!) + g)]);
    for (const i of [0, 1, 2]) assertSameBits(`${rule} ${i}`, byL2[i]!, byHand[i]!);
  });

  test.each(Object.keys(OPTIMIZER) as (keyof typeof OPTIMIZER)[])(
    "%s: the scale multiplies gradient and L2",
    (rule) => {
      const gradient = new Random(4).values(FLOATS);
      const byScale = run(rule, theta, [gradient], 0.5, 0.25); // powers of 2: exact
      const byHand = run(rule, theta, [gradient.map((g) => 0.25 * g)], 0.125);
      for (const i of [0, 1, 2]) assertSameBits(`${rule} ${i}`, byScale[i]!, byHand[i]!);
    },
  );
});
