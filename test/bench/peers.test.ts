import { expect, it } from "vitest";
import { madeRows } from "../../bench/data.js";
import { javascript } from "../../bench/peers/javascript.js";
import { fieldVectors, onnxModel, pairLists } from "../../bench/peers/onnx.js";
import { createTrainer } from "../../src/node.js";

const data = madeRows([5, 4, 3, 6], 300);

/** Tensors of a model of ours that has seen the rows once, and how the next epochs go. */
async function own(model: "fm" | "ifm") {
  const train = { lr: 0.05, batchSize: 64, reduction: "sum", shuffle: false, epochs: 2 } as const;
  const options = { model: { model, factors: 6, loss: "logistic" }, data: { train: data } } as const;
  const first = await createTrainer({ ...options, train: { ...train, epochs: 1 } });
  for await (const _ of first);
  const base = first.model();
  const second = await createTrainer({ ...options, train, init: base });
  const losses: number[] = [];
  for await (const event of second) if (event.event === "epoch") losses.push(event.loss / data.rows);
  const { factors: K, attentionFactors: A, fieldFactors: KF, features, temperature } = base.config;
  return {
    config: { model, K, A, KF, features, temperature },
    weights: () => Object.fromEntries(base.tensors.map(({ name }) => [name, base.tensor(name)])),
    scores: base.predict(data),
    losses,
  };
}

it.each(["fm", "ifm"] as const)("%s in plain JavaScript computes what ours computes", async (model) => {
  const { config, weights, scores, losses } = await own(model);
  const peer = javascript({ config, weights, data, batchSize: 64, lr: 0.05 });
  expect(Math.max(...peer.predict().map((y, r) => Math.abs(y - scores[r])))).toBeLessThan(1e-5);
  expect(peer.train()).toBeCloseTo(losses[0], 5);
  expect(peer.train()).toBeCloseTo(losses[1], 5);
});

it("writes an ONNX file: nested messages of the stated lengths", async () => {
  const { config, weights } = await own("ifm");
  const bytes = onnxModel(weights(), config, 4);
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const fields: number[] = [];
  while (at < bytes.length) {
    const tag = varint();
    fields.push(tag >> 3);
    const value = varint();
    if ((tag & 7) === 2) at += value;
  }
  expect(at).toBe(bytes.length);
  expect(fields).toEqual([1, 7, 8]); // ir_version, graph, opset_import
});

it("lists pairs and their vectors", () => {
  expect(pairLists(3)).toEqual([
    [0, 0, 1],
    [1, 2, 2],
  ]);
  const F = fieldVectors({ interaction: Float32Array.of(2, 3, 5), factor: Float32Array.of(1, 10) }, { K: 2, KF: 1 }, 3);
  expect([...F]).toEqual([6, 60, 10, 100, 15, 150]);
});
