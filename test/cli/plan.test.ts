import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { machineMemory, needOf, refuseTooLarge } from "../../src/cli/plan.js";
import { MODELS, type ModelKind } from "../../src/config.js";
import type { Dataset } from "../../src/data/dataset.js";
import { readLibfm } from "../../src/data/read.js";
import { IfmError } from "../../src/errors.js";
import { createTrainer, type TrainOptions } from "../../src/train/trainer.js";
import { jsonLines, rowsText, temporaryFolder, testIo } from "./support.js";

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (name: string) => join(folder.path, name);
let train: Dataset;

beforeAll(async () => {
  writeFileSync(at("rows.libfm"), rowsText(3000, 6, 500));
  writeFileSync(at("more.libfm"), rowsText(50, 6, 500));
  train = await readLibfm(rowsText(3000, 6, 500));
});

async function call(...args: string[]) {
  const io = testIo();
  return { code: await main(args, io), out: io.stdout(), err: io.stderr() };
}

describe("train --plan", () => {
  it("says what training would take, and writes nothing", async () => {
    const before = readdirSync(folder.path);
    const output = at("not-written.safetensors");
    const args = ["--validation", at("more.libfm"), "--output", output, "--epochs", "7"];
    const { code, out, err } = await call("train", at("rows.libfm"), ...args, "--plan");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^model +ifm$/m);
    expect(out).toMatch(/^rows +3,000 training, 50 validation$/m);
    expect(out).toMatch(/^features +3,000$/m);
    expect(out).toMatch(/^parameters +51,641$/m);
    expect(out).toMatch(/^ {2}optimizer state \(adagrad\) +243 kB$/m);
    expect(out).toMatch(/^ {2}WebAssembly memory +[\d.]+ MB$/m);
    expect(out).toMatch(/^ {2}an epoch +[\d.]+ s, [\d,]+ rows\/s$/m);
    expect(out).toMatch(/^ {2}7 epochs +at most /m);
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(readdirSync(folder.path)).toEqual(before);
    expect(existsSync(output)).toBe(false);
  });

  it("says it to programs, in the numbers of the training itself", async () => {
    const args = ["train", at("rows.libfm"), "--epochs", "1", "--optimizer", "adam"];
    const { out } = await call(...args, "--plan", "--json");
    const [plan, ...more] = jsonLines(out);
    expect(more).toEqual([]);
    const trained = await call(...args, "--json", "--output", at("m.safetensors"));
    const [start] = jsonLines(trained.out);
    expect(plan).toMatchObject({
      event: "plan",
      model: "ifm",
      rows: { train: 3000 },
      features: 3000,
      parameters: start.parameters,
      memoryBytes: start.memoryBytes,
      bytes: { linear: start.memoryBytes, data: train.features.length * 4 + 8 * 3000 + 4 },
      machineBytes: machineMemory(),
      epochs: 1,
      estimate: { rowsPerSecond: expect.any(Number), secondsPerEpoch: expect.any(Number), seconds: expect.any(Number) },
    });
    const parts = plan.bytes as Record<string, number>;
    expect(parts.weights + parts.optimizerState + parts.rows + parts.work).toBe(parts.linear);
    expect(parts.optimizerState).toBe(2 * parts.weights);
    expect(parts.linear + parts.data + parts.bestWeights).toBe(parts.total);
  });

  it("reports errors of the options as training does", async () => {
    const { code, err } = await call("train", at("rows.libfm"), "--plan", "--freeze", "nothing");
    expect(code).toBe(2);
    expect(err).toContain("--freeze: ");
    expect((await call("train", at("none.libfm"), "--plan")).code).toBe(3);
  });
});

describe("the estimate before there is a memory", () => {
  const cases = MODELS.flatMap((model) =>
    (
      [
        ["adagrad", 16, 256],
        ["adam", 64, 1024],
        ["sgd", 100, 3000],
      ] as const
    ).map(([optimizer, factors, batchSize]) => [model, optimizer, factors, batchSize] as const),
  );

  it.each(cases)("of %s with %s, K %i, batch %i is within a tenth", async (model, optimizer, factors, batchSize) => {
    const options: TrainOptions = { optimizer, batchSize };
    using trainer = await createTrainer({
      model: { model, factors, loss: "logistic" },
      train: options,
      data: { train: two },
    });
    const { start } = trainer;
    const { linear } = needOf(start.model, start.train, { train: two });
    expect(Math.abs(linear - start.memoryBytes)).toBeLessThan(0.1 * start.memoryBytes + 1.5e6);
  });

  let two: Dataset;
  beforeAll(async () => {
    two = await readLibfm(rowsText(3000, 6, 500));
  });
});

describe("a training that does not fit", () => {
  async function refused(text: string, ...args: string[]) {
    const file = at("large.libfm");
    writeFileSync(file, text);
    const started = process.memoryUsage.rss();
    const result = await call("train", file, ...args, "--output", at("large.safetensors"));
    // Nothing of that size was taken.
    expect(process.memoryUsage.rss() - started).toBeLessThan(5e8);
    expect(result.code).toBe(6);
    expect(existsSync(at("large.safetensors"))).toBe(false);
    return result.err;
  }

  it.each(["100000000", "2147483646", "2147483647"])("is refused with the numbers: id %s", async (id) => {
    const err = await refused(`1 0:1 ${id}:1\n`);
    expect(err).toMatch(/needs [\d.]+ [GT]B of WebAssembly memory, expected at most 4.29 GB: weights /);
    expect(err).toMatch(/optimizer state [\d.]+ [GT]B, training rows \d+ B, work space /);
    expect(err).toContain("but only 2 ids occur: number the features without gaps");
  });

  it("is refused by --plan and with --features, too", async () => {
    expect(await refused("1 0:1 1:1\n", "--plan", "--features", "1000000000")).toContain("--features is large");
  });

  it("is refused where the machine has less, with what to change", () => {
    const config = { ...configOf("fm"), features: 3000 };
    const need = needOf(config, trainConfig, { train });
    expect(() => refuseTooLarge(config, need, { train }, need.total)).not.toThrow();
    const error = thrown(() => refuseTooLarge(config, need, { train }, need.total - 1));
    expect(error.code).toBe("IFM_MEMORY");
    expect(error.message).toMatch(/the fm model \(3,000 features, 16 factors\) needs [\d.]+ MB, this machine has /);
    expect(error.message).toMatch(/rows as they were read [\d.]+ kB, best weights so far [\d.]+ kB$/);
    const tables = { ...need, weights: 1e9, optimizerState: 1e9, total: 3e9 };
    expect(thrown(() => refuseTooLarge(config, tables, { train }, 1)).hint).toBe(
      "fewer --factors need less, and --optimizer sgd no optimizer state; --features N leaves out ids from N on",
    );
    const rows = { ...need, data: 1e9, rows: 1e9, total: 3e9 };
    expect(thrown(() => refuseTooLarge(config, rows, { train }, 1)).hint).toContain("train on a part of the rows");
    const work = { ...need, work: 1e9, total: 1.1e9 };
    expect(thrown(() => refuseTooLarge(config, work, { train }, 1)).hint).toContain("--batch-size");
  });

  it("knows what the machine has", () => {
    expect(machineMemory()).toBeGreaterThan(1e8);
    expect(machineMemory()).toBeLessThan(1e15);
  });

  let configOf: (model: ModelKind) => Parameters<typeof needOf>[0];
  let trainConfig: Parameters<typeof needOf>[1];
  beforeAll(async () => {
    using trainer = await createTrainer({ model: { model: "fm" }, data: { train } });
    const { start } = trainer;
    trainConfig = start.train;
    configOf = (model) => ({ ...start.model, model });
  });

  function thrown(action: () => void): IfmError {
    try {
      action();
    } catch (error) {
      if (error instanceof IfmError) return error;
      throw error;
    }
    throw new Error("nothing was thrown");
  }
});
