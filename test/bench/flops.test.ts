import { describe, expect, it } from "vitest";
import { madeRows } from "../../bench/data.js";
import {
  forwardBytes,
  forwardFlops,
  networkWeights,
  touchedPerBatch,
  trainFlops,
  workingSet,
} from "../../bench/flops.js";

const FM = { model: "fm", M: 10, K: 64, A: 0, KF: 0, hidden: [] } as const;
const IFM = { model: "ifm", M: 10, K: 256, A: 8, KF: 16, hidden: [] } as const;
const BATCH = { batch: 2048, touched: 1000 };

describe("operations of a row", () => {
  it("of FM are linear in M and K", () => {
    expect(forwardFlops(FM)).toBe(10 + 3 * 10 * 64 + 3 * 64);
    const [half, whole] = [32, 64].map((K) => trainFlops({ ...FM, K }, BATCH));
    expect(whole / half).toBeCloseTo(2, 1);
  });

  it("of IFM are mostly the three products of the attention, 6 P K A", () => {
    const products = 6 * 45 * 256 * 8;
    const all = trainFlops(IFM, BATCH);
    expect(all).toBeGreaterThan(products);
    expect(all).toBeLessThan(1.4 * products);
  });

  it("grow with what a model has", () => {
    const hidden = [16];
    const afm = trainFlops({ ...IFM, model: "afm", KF: 0 }, BATCH);
    const ifm = trainFlops(IFM, BATCH);
    expect(afm).toBeLessThan(ifm);
    expect(trainFlops({ ...IFM, model: "deepifm", hidden }, BATCH)).toBeGreaterThan(ifm);
    expect(trainFlops({ ...IFM, model: "inn", hidden }, BATCH)).toBeGreaterThan(ifm);
  });

  it("count every weight of a network", () => {
    expect(networkWeights(IFM)).toBe(0);
    expect(networkWeights({ ...IFM, model: "deepifm", hidden: [100, 50] })).toBe(2560 * 100 + 100 * 50 + 50);
    expect(networkWeights({ ...IFM, model: "inn", hidden: [16] })).toBe(45 * 256 * 16 + 16);
  });
});

describe("bytes", () => {
  it("are those of padded records", () => {
    expect(forwardBytes({ ...FM, K: 5 })).toBe(10 * 4 * (8 + 4));
  });

  it("that a batch goes over grow with the features that it touches", () => {
    const more = { ...BATCH, touched: 2000 };
    expect(workingSet(FM, more) - workingSet(FM, BATCH)).toBe(2 * 1000 * 4 * 68);
    expect(workingSet(FM, more, false)).toBe(2000 * 4 * 68);
  });
});

it("counts the features that a batch touches", () => {
  const data = { ...madeRows([2, 2], 4), features: Uint32Array.of(0, 2, 0, 2, 0, 3, 1, 3) };
  expect(touchedPerBatch(data, 2)).toBe((2 + 3) / 2);
  expect(touchedPerBatch(data, 4)).toBe(4);
  expect(touchedPerBatch(data, 8)).toBe(4); // no whole batch
});
