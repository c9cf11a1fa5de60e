import { describe, expect, test } from "vitest";
import { type ModelKind, validateTrainConfig } from "../../src/config.js";
import { configureModel } from "../../src/train/configure.js";
import { Session } from "../../src/wasm/session.js";
import { parse, plantedRows } from "../support/data.js";
import { BUILDS } from "../support/memory.js";

// What the debug build asserts, and nothing else does: numbers of a batch that addresses are made of.

const debug = BUILDS.find(({ build }) => build === "debug")!.module;
const data = await parse(plantedRows(20, 1));

/** A training of the rows, and its rows in linear memory. */
function session(model: ModelKind) {
  const config = configureModel({ model, factors: 4, attentionFactors: 4, fieldFactors: 4 }, data, undefined);
  const made = new Session(debug, config, data.maxSlots, {
    config: validateTrainConfig({ optimizer: "adagrad", batchSize: 20 }, model, "squared"),
    data,
  });
  made.initialise(1);
  made.initialiseState();
  made.order(0, 1, false);
  made.beginTraining();
  return made;
}

const batch = { first: 0, count: 20, step: 0, dyScale: 1, correction1: 1, correction2: 1 };

describe.each(["fm", "ifm", "inn"] as const)("the debug build of %s", (model) => {
  test("trains what is right", () => {
    expect(session(model).trainBatch(batch)).toBeGreaterThan(0);
  });

  const faults: [string, (made: Session) => void][] = [
    ["an id beyond the table", (made) => made.trainingRows().features.set([made.config.features + 1], 7)],
    ["a row beyond the rows", (made) => made.trainingRows().order.set([2 ** 28], 3)],
    ["a row that ends before it begins", (made) => made.rowData().rowPtr.set([0], 5)],
    ["a row beyond its slots", (made) => made.rowData().rowPtr.set([2 ** 30], 20)],
  ];
  test.each(faults)("stops at %s", (_, damage) => {
    const made = session(model);
    damage(made);
    expect(() => made.trainBatch(batch)).toThrow(
      expect.objectContaining({ code: "IFM_WASM", message: expect.stringContaining("an assertion failed") }),
    );
  });

  test("stops at a batch longer than the rows", () => {
    expect(() => session(model).trainBatch({ ...batch, count: 2 ** 28 })).toThrow("an assertion failed");
  });
});
