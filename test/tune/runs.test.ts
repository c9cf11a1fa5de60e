import { describe, expect, it } from "vitest";
import type { TrainerOptions } from "../../src/train/trainer.js";
import { Runs } from "../../src/tune/runs.js";
import { parse, plantedRows } from "../support/data.js";

const data = { train: await parse(plantedRows(200, 1)), validation: await parse(plantedRows(80, 2)) };

/** Trial i is an FM of 4 i factors; `started` gets the factors of each training that begins. */
function makeRuns(train: TrainerOptions["train"] = {}, signal?: AbortSignal) {
  const started: number[] = [];
  let bytes = 0; // of the training that began last
  const runs = new Runs(
    (trial) => ({
      model: { model: "fm", factors: 4 * trial },
      train: { epochs: 8, batchSize: 50, ...train },
      data,
      ...(signal && { signal }),
    }),
    (start) => {
      started.push(start.model.factors);
      bytes = start.memoryBytes + 4 * start.parameters;
    },
  );
  return { runs, started, bytes: () => bytes };
}

describe("a paused training", () => {
  it("goes on where it was, and comes out as if it had never paused", async () => {
    const { runs, started } = makeRuns();
    const first = { ...(await runs.advance(1, 2)) };
    expect(first).toMatchObject({ epochs: 2 });
    const paused = await runs.advance(1, 8);
    expect(started).toEqual([4]);
    const whole = await makeRuns().runs.advance(1, 8);
    expect(paused.epochs).toBe(8);
    expect(paused.kept?.validation).toEqual(whole.kept?.validation);
    expect(paused.kept?.epoch).toBe(whole.kept?.epoch);
    runs.dispose();
  });

  it("is made again, with the same outcome, when it was given up", async () => {
    const { runs, started } = makeRuns();
    await runs.advance(1, 2);
    runs.keep([]);
    expect(runs.paused).toEqual([]);
    const again = await runs.advance(1, 4);
    expect(started).toEqual([4, 4]);
    const whole = await makeRuns().runs.advance(1, 4);
    expect(again.kept?.validation).toEqual(whole.kept?.validation);
    runs.dispose();
  });

  it("is given up when others are surer to be needed and memory is short", async () => {
    const { runs, bytes } = makeRuns();
    const held: number[] = [];
    for (const trial of [1, 2, 3, 4]) {
      await runs.advance(trial, 1);
      held[trial] = bytes();
    }
    runs.keep([3, 1, 2, 9]);
    expect(runs.paused).toEqual([1, 2, 3]);
    runs.keep([3, 1, 2], held[3] + held[1] + held[2]);
    expect(runs.paused).toEqual([1, 2, 3]);
    runs.keep([3, 1, 2], held[3] + held[1] + held[2] - 1);
    expect(runs.paused).toEqual([1, 3]);
    runs.keep([3, 1], held[3] - 1);
    expect(runs.paused).toEqual([]);
  });

  it("keeps its best epoch, or its last when early stopping is off", async () => {
    const best = await makeRuns({ lr: 0.5 }).runs.advance(2, 8);
    const last = await makeRuns({ lr: 0.5, earlyStop: 0 }).runs.advance(2, 8);
    expect(last.kept?.epoch).toBe(8);
    expect(best.kept?.best).toBe(true);
  });

  it("ends by itself when nothing improves", async () => {
    const { runs } = makeRuns({ lr: 1e-12, optimizer: "sgd", earlyStop: 1 });
    const { epochs } = await runs.advance(1, 8);
    expect(epochs).toBeLessThan(8);
    expect((await runs.advance(1, 8)).epochs).toBe(epochs);
  });

  it("ends with an error when it diverges or is aborted, and is given up", async () => {
    const diverging = makeRuns({ lr: 1e30, optimizer: "sgd" });
    await expect(diverging.runs.advance(1, 8)).rejects.toMatchObject({ code: "IFM_DIVERGED" });
    expect(diverging.runs.paused).toEqual([]);
    const controller = new AbortController();
    const { runs } = makeRuns({}, controller.signal);
    await runs.advance(1, 1);
    controller.abort();
    await expect(runs.advance(1, 2)).rejects.toMatchObject({ code: "IFM_ABORTED" });
  });
});
