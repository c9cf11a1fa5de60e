import { type ExecFileOptions, execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VERSION } from "../../src/version.js";

// What a user does: install the package into an empty folder, and use it there.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TSC = join(ROOT, "node_modules", "typescript", "bin", "tsc");

let folder: string;
let project: string;

const execute = promisify(execFile);
const run = (file: string, args: string[], options: ExecFileOptions = {}) =>
  execute(file, args, { cwd: project, encoding: "utf8", shell: process.platform === "win32", ...options });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ifm-wasm-install-"));
  project = join(folder, "project");
  await mkdir(project);
  await writeFile(join(project, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
  // Without its scripts: npm test has built what is packed.
  await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: ROOT });
  const tarball = join(folder, `ifm-wasm-${VERSION}.tgz`);
  await run("npm", ["install", tarball, "--offline", "--no-audit", "--no-fund"]);
  for (const part of ["train", "validation"]) {
    const name = `adult.${part}.libfm.gz`;
    await cp(join(project, "node_modules", "ifm-wasm", "sample", name), join(project, name));
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe("the installed package", () => {
  it("brings nothing else with it", async () => {
    const names = await readdir(join(project, "node_modules"));
    expect(names.filter((name) => !name.startsWith("."))).toEqual(["ifm-wasm"]);
  });

  it("is imported from ESM, trains and predicts", async () => {
    const program = `
      import { createTrainer, loadDataset, Model, VERSION } from "ifm-wasm";
      const train = await loadDataset("adult.train.libfm.gz");
      const trainer = await createTrainer({ model: { model: "fm" }, train: { epochs: 1 }, data: { train } });
      for await (const _event of trainer);
      await trainer.model().save("api.safetensors");
      const model = await Model.load("api.safetensors");
      const scores = model.predict(train);
      console.log(JSON.stringify({ version: VERSION, rows: scores.length, rmse: model.evaluate(train).rmse }));`;
    await writeFile(join(project, "program.js"), program);
    const { stdout } = await run(process.execPath, ["program.js"]);
    const { version, rows, rmse } = JSON.parse(String(stdout));
    expect(version).toBe(VERSION);
    expect(rows).toBe(28561);
    expect(rmse).toBeLessThan(0.7);
  });

  it("compiles nothing when it is imported", async () => {
    const program = `
      for (const name of ["compile", "instantiate", "Module", "Instance"]) {
        WebAssembly[name] = () => { throw new Error(name); };
      }
      for (const entry of ["", "/predict", "/inline", "/predict/inline", "/metrics"]) await import("ifm-wasm" + entry);`;
    await run(process.execPath, ["--input-type=module", "--eval", program]);
  });

  it("has a program: npx ifm-wasm", async () => {
    const { stdout } = await run("npx", ["--no-install", "ifm-wasm", "--version"]);
    expect(String(stdout).trim()).toBe(VERSION);
  });

  it("trains, measures and predicts from the shell", async () => {
    const ifm = (...args: string[]) => run("npx", ["--no-install", "ifm-wasm", ...args]);
    const [rows, more, model] = ["adult.train.libfm.gz", "adult.validation.libfm.gz", "shell.safetensors"];
    const trained = await ifm("train", rows, "--validation", more, "--epochs", "1", "--json", "--output", model);
    const events = String(trained.stdout).trim().split("\n");
    expect(events.map((line) => JSON.parse(line).event)).toEqual(["start", "epoch", "end"]);
    expect((await stat(join(project, model))).size).toBeGreaterThan(10_000);

    const measured = JSON.parse(String((await ifm("evaluate", model, more, "--json")).stdout));
    expect(measured).toEqual(JSON.parse(events[1]).validation);

    await ifm("predict", model, more, "--output", "scores.txt");
    const scores = (await readFile(join(project, "scores.txt"), "utf8")).trim().split("\n");
    expect(scores).toHaveLength(4000);
    expect(scores.every((line) => Number.isFinite(Number(line)))).toBe(true);
  });
});

const CONSUMER = `
import {
  createTrainer,
  type Dataset,
  IfmError,
  loadDataset,
  type Metrics,
  Model,
  type ModelConfig,
  readLibfm,
  type TrainOptions,
} from "ifm-wasm";
import { createTrainer as createInlineTrainer } from "ifm-wasm/inline";
import { type KernelSource, Model as Predictor, type ModelSource } from "ifm-wasm/predict";
import { Model as InlinePredictor } from "ifm-wasm/predict/inline";
import { calibration, groupRows, type RankingMetrics, rankingMetrics } from "ifm-wasm/metrics";

const train: Dataset = await readLibfm("1 0:1 1:0.5\\n-1 0:1\\n");
const shape: Partial<ModelConfig> = { model: "fm", factors: 8 };
const how: TrainOptions = { optimizer: "adam", adam: { exact: true }, l2: { embedding: 0.1 } };
const trainer = await createTrainer({ model: shape, train: how, data: { train } });
for await (const event of trainer) {
  if (event.event === "epoch") {
    const rmse: number = event.train.rmse;
    const auc: number | undefined = event.validation?.auc;
    console.log(rmse, auc);
  }
}
const model: Model = trainer.model();
const scores: Float32Array = model.predict(await loadDataset("rows.libfm"), { link: "sigmoid" });
const metrics: Metrics = model.evaluate(train);
console.log(scores, metrics.rows, new IfmError("IFM_USAGE", "no").code);
const ranking: RankingMetrics = rankingMetrics(scores, train.labels, groupRows(train, [0]), { k: 5, ...model.record });
console.log(ranking.gauc, calibration(scores, train.labels, { bins: 5 }).ece);
const wasm: KernelSource = new URL("https://example.org/ifm.wasm");
const sources: ModelSource[] = [model.toBytes(), new Response(), new Blob(), new Blob().stream(), "model.safetensors"];
for (const source of sources) (await Predictor.load(source, { wasm })).predict(await readLibfm(new Response()));
(await createInlineTrainer({ data: { train }, wasm })).dispose();
(await InlinePredictor.load(model.toBytes())).dispose();
// @ts-expect-error no such source
await Predictor.load(17);
// @ts-expect-error ifm-wasm/predict trains nothing
import("ifm-wasm/predict").then(({ createTrainer }) => createTrainer);
// @ts-expect-error no such model
await createTrainer({ model: { model: "ffm" }, data: { train } });
`;

describe("the types of the installed package", () => {
  // Libraries are checked, too, so that nothing in ours leans on what only we have.
  const common = { strict: true, noEmit: true, skipLibCheck: false, types: [], target: "es2022" };
  const lib = ["es2022", "dom", "dom.asynciterable"];
  it.each([
    ["bundler", { ...common, module: "esnext", moduleResolution: "bundler", lib }],
    ["node16", { ...common, module: "node16", moduleResolution: "node16", lib }],
    ["nodenext", { ...common, module: "nodenext", moduleResolution: "nodenext", lib }],
  ])("satisfy TypeScript with moduleResolution %s", async (name, compilerOptions) => {
    const source = join(project, name);
    await mkdir(source);
    await writeFile(join(source, "consumer.ts"), CONSUMER);
    await writeFile(join(source, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["consumer.ts"] }));
    const output = await run(process.execPath, [TSC, "-p", join(source, "tsconfig.json")]).then(
      ({ stdout }) => String(stdout),
      (error) => String(error.stdout),
    );
    expect(output).toBe("");
  });
});
