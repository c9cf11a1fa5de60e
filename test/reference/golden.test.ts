import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  initialState,
  type LossKind,
  predict,
  type Reduction,
  type RefModel,
  type RefRow,
  readLibfm,
  readModel,
  trainStep,
} from "./index.js";

// The golden cases: computed in float64 by automatic differentiation, by others, from the equations of MODELS.md.
// Inputs are F32 and scores F64, so scores agree to rounding; `after` is F32.
const SCORE_TOLERANCE = 1e-9; // of the largest score of the case
const AFTER_TOLERANCE = 1e-6; // of the largest value of the tensor
const root = new URL("../fixtures/golden/", import.meta.url);

interface Expected {
  scores: number[];
  loss?: number;
  lr?: number;
  reduction?: Reduction;
  command?: string;
}

interface Case {
  model: RefModel;
  rows: RefRow[];
  expected: Expected;
  after: RefModel | undefined;
}

function readCase(name: string): Case {
  const file = (path: string): URL => new URL(`${name}/${path}`, root);
  return {
    model: readModel(readFileSync(file("model.safetensors"))),
    rows: readLibfm(readFileSync(file("rows.libfm"), "utf8")),
    expected: JSON.parse(readFileSync(file("expected.json"), "utf8")) as Expected,
    after: existsSync(file("after.safetensors")) ? readModel(readFileSync(file("after.safetensors"))) : undefined,
  };
}

/** The largest |a − b| over the largest |b|. */
function deviation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < b.length; i++) {
    largest = Math.max(largest, Math.abs(b[i]));
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
  }
  return largest === 0 ? difference : difference / largest;
}

const names = readdirSync(root).sort();

test("all golden cases are here", () => {
  expect(names.length).toBe(14);
});

describe.each(names)("%s", (name) => {
  const { model, rows, expected, after } = readCase(name);

  test("scores", () => {
    expect(deviation(predict(model, rows), expected.scores)).toBeLessThan(SCORE_TOLERANCE);
  });

  if (after === undefined) return; // batch norm: evaluation only
  test("loss and weights after one step of plain SGD", () => {
    const { command = "", lr = 0, reduction = "sum" } = expected;
    const loss = /--loss (\w+)/.exec(command)?.[1] as LossKind;
    expect(command).toContain(`--reduction ${reduction}`);
    expect(command).toContain(`--lr ${lr} `);
    expect(command).toContain(`--batch-size ${rows.length} `);

    const optimizer = { rule: "sgd", lr } as const;
    const result = trainStep(model, rows, { loss, reduction, optimizer }, initialState(model, optimizer));
    expect(deviation([result.loss], [expected.loss ?? Number.NaN])).toBeLessThan(SCORE_TOLERANCE);
    expect(Object.keys(model.tensors).sort()).toEqual(Object.keys(after.tensors).sort());
    for (const [tensor, { data }] of Object.entries(after.tensors)) {
      expect(deviation(model.tensors[tensor].data, data), tensor).toBeLessThan(AFTER_TOLERANCE);
    }
  });
});
