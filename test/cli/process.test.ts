import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  buildCommand,
  ended,
  inRepository,
  jsonLines,
  readTensors,
  rowsText,
  run,
  start,
  temporaryFolder,
} from "./support.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const inFolder = { cwd: folder.path };

/** Small and quick, with an outcome that does not depend on much. */
const QUICK = ["--epochs", "2", "--factors", "4", "--attention-factors", "4", "--field-factors", "4"];

beforeAll(async () => {
  buildCommand();
  writeFileSync(at("rows.libfm"), rowsText(300));
  writeFileSync(at("more.libfm"), rowsText(80));
  writeFileSync(at("rows.libfm.gz"), gzipSync(rowsText(300)));
  const made = await run(["train", "rows.libfm", ...QUICK, "--output", "model.safetensors"], inFolder);
  expect(made).toMatchObject({ code: 0, stdout: "model.safetensors\n" });
});

afterAll(folder.remove);

describe("golden cases", () => {
  const cases = [
    ...["fm", "fm-values-odd-k", "fm-logistic-mean"],
    ...["ifm", "ifm-logistic", "ifm-projection", "ifm-ten-fields", "ifm-values-odd"],
  ];

  it.each(cases)("%s: scores", async (name) => {
    const golden = inRepository(`test/fixtures/golden/${name}`);
    const { scores } = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")) as { scores: number[] };
    const { code, stdout } = await run(["predict", join(golden, "model.safetensors"), join(golden, "rows.libfm")]);
    expect(code).toBe(0);
    const found = stdout.trimEnd().split("\n").map(Number);
    expect(found).toHaveLength(scores.length);
    expect(relativeError(found, scores)).toBeLessThan(1e-5);
  });

  it.each(cases)("%s: one step of plain SGD", async (name) => {
    const golden = inRepository(`test/fixtures/golden/${name}`);
    const { command } = JSON.parse(readFileSync(join(golden, "expected.json"), "utf8")) as { command: string };
    const output = at(`after-${name}.safetensors`);
    const args = command.split(" ").map((word) => (word === "after.safetensors" ? output : word));
    const { code, stdout } = await run(args, { cwd: golden });
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${output}\n` });
    const expected = readTensors(join(golden, "after.safetensors"));
    const found = readTensors(output);
    expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [tensor, values] of expected) {
      expect(relativeError([...(found.get(tensor) ?? [])], [...values]), tensor).toBeLessThan(1e-5);
    }
  });
});

/** Largest difference, relative to the largest expected value. */
function relativeError(found: readonly number[], expected: readonly number[]): number {
  const largest = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, i) => Math.abs(found[i] - value))) / largest;
}

describe("exit codes", () => {
  it("2: wrong usage", async () => {
    for (const args of [
      [],
      ["trian"],
      ["train", "rows.libfm", "--epocs", "3"],
      ["train", "rows.libfm", "--lr", "abc"],
      ["train", "rows.libfm", "--keep", "0.9"],
      ["train", "rows.libfm", "--model", "ffm"],
      ["train", "rows.libfm", "--freeze", "nothing"],
      ["train", "rows.libfm", "--output", "rows.libfm"],
      ["train", "rows.libfm", "--output", "no/such/folder/m.safetensors"],
      ["train", "-", "--validation", "-"],
      ["predict", "model.safetensors"],
      ["predict", "model.safetensors", "rows.libfm", "--output", "no/such/folder/scores"],
      ["predict", "-", "-"],
    ]) {
      const { code, stdout, stderr } = await run(args, inFolder);
      expect({ code, stdout }, `${args}: ${stderr}`).toEqual({ code: 2, stdout: "" });
      expect(stderr).not.toContain("unexpected");
    }
  });

  it.each([
    ["broken.libfm", "1 0:1 1:1\n\n1 x:1\n", "broken.libfm:3:3: "],
    ["label.libfm", "yes 0:1\n", "label.libfm:1:1: "],
    ["uneven.libfm", "1 0:1 1:1\n# a comment\n-1 0:1\n", "uneven.libfm:3: "],
    ["empty.libfm", "", "empty.libfm: "],
    ["cut.libfm.gz", gzipSync(rowsText(300)).subarray(0, 200), "cut.libfm.gz: "],
  ])("3: bad data in %s, named with its place; nothing is written", async (name, content, place) => {
    writeFileSync(at(name), content);
    const { code, stdout, stderr } = await run(["train", name, "--output", `${name}.safetensors`], inFolder);
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toContain(`error: ${place}`);
    expect(existsSync(at(`${name}.safetensors`))).toBe(false);
  });

  it("3: no such data file, wherever it is asked for", async () => {
    for (const args of [
      ["train", "nowhere.libfm"],
      ["train", "rows.libfm", "--validation", "nowhere.libfm"],
      ["train", "--dataset", "nowhere", "--path", "."],
      ["predict", "model.safetensors", "nowhere.libfm"],
      ["evaluate", "model.safetensors", "nowhere.libfm"],
      ["check", "nowhere.libfm"],
    ]) {
      const { code, stderr } = await run(args, inFolder);
      expect(code, `${args}: ${stderr}`).toBe(3);
      expect(stderr).toContain("nowhere");
    }
  });

  it("3: rows that do not fit the model, named with their line", async () => {
    writeFileSync(at("short.libfm"), "1 0:1 5:1 10:1 15:1\n1 0:1 5:1 10:1\n");
    const { code, stderr } = await run(["predict", "model.safetensors", "short.libfm"], inFolder);
    expect(code).toBe(3);
    expect(stderr).toContain("error: short.libfm:2: ");
  });

  it("4: training that diverges in its first epoch saves nothing", async () => {
    const args = ["train", "rows.libfm", "--optimizer", "sgd", "--lr", "1e30", "--batch-size", "50"];
    const { code, stdout, stderr } = await run([...args, "--json", "--output", "diverged.safetensors"], inFolder);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^error: .*epoch 1, batch \d+ \(lr 1e\+30\)/);
    expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "end", reason: "diverged", bestEpoch: 0, output: null });
    expect(existsSync(at("diverged.safetensors"))).toBe(false);
  });

  it("4: training that diverges later saves the epochs before", async () => {
    const args = ["train", "rows.libfm", "--model", "fm", "--optimizer", "sgd", "--lr", "1e30", "--batch-size", "1000"];
    const { code, stdout } = await run([...args, "--output", "diverged.safetensors"], inFolder);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "diverged.safetensors\n" });
    expect((await run(["inspect", "diverged.safetensors"], inFolder)).code).toBe(0);
  });

  it("5: a model file that is missing or is none", async () => {
    const model = readFileSync(at("model.safetensors"));
    writeFileSync(at("cut.safetensors"), model.subarray(0, model.length - 4));
    for (const file of ["nowhere.safetensors", "rows.libfm", "cut.safetensors", "."]) {
      for (const args of [
        ["inspect", file],
        ["predict", file, "more.libfm"],
        ["evaluate", file, "nowhere.libfm"],
        ["train", "more.libfm", "--init", file],
        ["train", "nowhere.libfm", "--init", file],
      ]) {
        const { code, stderr } = await run(args, inFolder);
        expect(code, `${args}: ${stderr}`).toBe(5);
      }
    }
  });

  it("5: no pretrained FM, with how to make one", async () => {
    const { code, stderr } = await run(["train", "rows.libfm", "--pretrain", "1", "--factors", "3"], inFolder);
    expect(code).toBe(5);
    expect(stderr).toContain("make one: ifm-wasm train --model fm");
  });

  it("6: more memory needed than there can be", async () => {
    const huge = ["--model", "fm", "--features", "2000000000", "--factors", "60000"];
    const { code, stderr } = await run(["train", "rows.libfm", ...huge], inFolder);
    expect(code).toBe(6);
    expect(stderr).toMatch(/^error: /);
  });
});

describe("interrupts", () => {
  const ENDLESS = ["--epochs", "2000000000", "--early-stop", "0"];

  /** Sends a signal as soon as a stream has said something, and waits for the end. */
  async function interrupt(args: string[], signal: NodeJS.Signals, stream: "stdout" | "stderr", said: RegExp) {
    const child = start(["train", "rows.libfm", ...args], inFolder);
    const patience = setTimeout(() => child.kill("SIGKILL"), 20_000);
    let heard = "";
    const listen = (text: string) => {
      heard += text;
      if (!said.test(heard)) return;
      child[stream].off("data", listen);
      child.kill(signal);
    };
    child[stream].on("data", listen);
    const result = await ended(child);
    clearTimeout(patience);
    return result;
  }

  it.each([
    ["SIGINT", "with validation rows", ["--validation", "more.libfm"]],
    ["SIGTERM", "without validation rows", []],
  ] as const)("%s saves the best epoch, %s", async (signal, name, rows) => {
    const output = `interrupted ${name}.safetensors`;
    const args = [...rows, ...ENDLESS, "--json", "--output", output];
    const { code, stdout, stderr } = await interrupt(args, signal, "stdout", /"epoch":2,/);
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "end", reason: "aborted", output });
    expect((await run(["inspect", output], inFolder)).code).toBe(0);
    expect(readdirSync(folder.path).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  it("prints the path of what was saved", async () => {
    const args = [...ENDLESS, "--validation", "more.libfm"];
    const { code, stdout, stderr } = await interrupt(args, "SIGINT", "stderr", /^ +3 /m);
    expect({ code, stdout }).toEqual({ code: 130, stdout: "ifm.safetensors\n" });
    expect(stderr).toContain("interrupted");
    expect(stderr).toContain("saved ifm.safetensors");
  });
});

describe("train", () => {
  it("tells a person on stderr, without escape sequences, and the path on stdout", async () => {
    const args = ["train", "rows.libfm", "--validation", "more.libfm", "--test", "more.libfm", "--epochs", "4"];
    const { code, stdout, stderr } = await run([...args, "--output", "told.safetensors"], inFolder);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "told.safetensors\n" });
    expect(stderr).toMatch(/epoch +loss +train RMSE +validation +test/);
    expect(stderr).toMatch(/seed +\d+/);
    expect(stderr).toContain("RMSE, validation, epochs 1 to 4");
    expect(stderr).not.toContain("\x1b");
    expect(stderr).not.toContain("\r");
    for (const line of stderr.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("honours FORCE_COLOR, and NO_COLOR before it", async () => {
    const args = ["train", "rows.libfm", ...QUICK, "--output", "coloured.safetensors"];
    expect((await run(args, { ...inFolder, env: { FORCE_COLOR: "1" } })).stderr).toContain("\x1b[");
    const plain = await run(args, { ...inFolder, env: { FORCE_COLOR: "1", NO_COLOR: "1" } });
    expect(plain.stderr).not.toContain("\x1b");
  });

  it("says nothing with --quiet but warnings", async () => {
    const args = ["train", "rows.libfm", ...QUICK, "--quiet", "--output", "quiet.safetensors"];
    expect(await run(args, inFolder)).toMatchObject({ code: 0, stdout: "quiet.safetensors\n", stderr: "" });
    writeFileSync(at("unknown.libfm"), "1 0:1 5:1 10:1 999:1\n");
    const warned = await run([...args, "--validation", "unknown.libfm"], inFolder);
    expect(warned.stderr).toBe(
      "warning: validation rows: 1 of 4 features (25.0 %) are unknown to the model and count as absent\n",
    );
  });

  it("tells a program one event a line on stdout, nothing else", async () => {
    const args = ["train", "rows.libfm", "--validation", "more.libfm", "--json", "--output", "json.safetensors"];
    const { code, stdout, stderr } = await run([...args, ...QUICK], inFolder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const events = jsonLines(stdout);
    expect(events.map(({ event }) => event)).toEqual(["start", "epoch", "epoch", "end"]);
    expect(events[0]).toMatchObject({
      model: "ifm",
      factors: 4,
      epochs: 2,
      seed: expect.any(Number),
      rows: { train: 300, validation: 80 },
      files: { train: "rows.libfm", validation: "more.libfm", output: "json.safetensors" },
      secondsToFirstBatch: expect.any(Number),
      readSeconds: expect.any(Number),
      fromCache: false,
    });
    expect(events[2]).toMatchObject({
      epoch: 2,
      loss: expect.any(Number),
      train: { rmse: expect.any(Number), auc: expect.any(Number) },
      validation: { rmse: expect.any(Number), logloss: expect.any(Number) },
      rowsPerSecond: expect.any(Number),
      seconds: expect.any(Number),
    });
    expect(events[2]).not.toHaveProperty("test");
    expect(events[3]).toMatchObject({
      bestEpoch: expect.any(Number),
      output: "json.safetensors",
      reason: "epochs",
      seconds: expect.any(Number),
      validation: { rmse: expect.any(Number) },
    });
  });

  it("reads a large file from its cache the second time, unless told not to", async () => {
    writeFileSync(at("long.libfm"), rowsText(60_000));
    const args = ["long.libfm", "--model", "fm", "--epochs", "0", "--json", "--output", "long.safetensors"];
    const fromCache = async (...more: string[]) => {
      const { code, stdout } = await run(["train", ...args, ...more], inFolder);
      expect(code).toBe(0);
      return jsonLines(stdout)[0].fromCache;
    };
    expect(await fromCache("--no-cache")).toBe(false);
    expect(existsSync(at("long.libfm.ifmcache"))).toBe(false);
    await run(["train", ...args, "--plan"], inFolder);
    expect(existsSync(at("long.libfm.ifmcache"))).toBe(false);
    expect(await fromCache()).toBe(false);
    expect(existsSync(at("long.libfm.ifmcache"))).toBe(true);
    expect(await fromCache("--no-cache")).toBe(false);
    expect(await fromCache()).toBe(true);
    const { stderr } = await run(["train", ...args.filter((arg) => arg !== "--json")], inFolder);
    expect(stderr).toMatch(/^ {2}ready +after [\d.]+ s, rows read in [\d.]+ s, from the cache$/m);
    const [cached, read] = [[], ["--no-cache"]].map((flags) =>
      run(["predict", "long.safetensors", "long.libfm", ...flags], inFolder),
    );
    expect((await cached).stdout).toBe((await read).stdout);
    expect((await cached).stdout.split("\n")).toHaveLength(60_001);
  });

  it("has no NaN in its JSON", async () => {
    writeFileSync(at("one-class.libfm"), "1 0:1 5:1 10:1 15:1\n");
    const args = ["train", "rows.libfm", "--validation", "one-class.libfm", "--json", "--output", "nan.safetensors"];
    const { stdout } = await run([...args, ...QUICK], inFolder);
    expect(stdout).not.toMatch(/NaN|Infinity/);
    expect(jsonLines(stdout)[1]).toMatchObject({ validation: { auc: null } });
  });

  it("gives the same bytes for the same seed, others for another", async () => {
    const make = async (output: string, seed: string) => {
      const dropout = ["--keep", "0.9,0.8", "--batch-size", "64"];
      expect(
        (await run(["train", "rows.libfm", ...QUICK, ...dropout, "--seed", seed, "--output", output], inFolder)).code,
      ).toBe(0);
      return readFileSync(at(output));
    };
    const first = await make("seed-a.safetensors", "1");
    expect((await make("seed-b.safetensors", "1")).equals(first)).toBe(true);
    expect((await make("seed-c.safetensors", "2")).equals(first)).toBe(false);
  });

  it("reads packed rows and standard input as it reads a file", async () => {
    const outputs = ["plain.safetensors", "packed.safetensors", "piped.safetensors"];
    const inputs = ["rows.libfm", "rows.libfm.gz", "-"];
    const piped = { ...inFolder, input: gzipSync(rowsText(300)) };
    for (const [i, input] of inputs.entries()) {
      const { code } = await run(["train", input, ...QUICK, "--output", outputs[i]], input === "-" ? piped : inFolder);
      expect(code).toBe(0);
    }
    const [plain, packed, stdin] = outputs.map((output) => readFileSync(at(output)));
    expect(packed.equals(plain) && stdin.equals(plain)).toBe(true);
  });

  it("starts from a model of the same kind with its configuration, of another kind with what fits", async () => {
    const again = await run(
      ["train", "more.libfm", "--init", "model.safetensors", "--epochs", "1", "--json"],
      inFolder,
    );
    expect(jsonLines(again.stdout)[0]).toMatchObject({
      factors: 4,
      attentionFactors: 4,
      features: 20,
      init: { left: [] },
    });
    const fm = ["train", "rows.libfm", "--model", "fm", "--factors", "3", "--epochs", "1"];
    expect((await run(fm, inFolder)).stdout).toBe("fm.safetensors\n");
    const fromFm = await run(
      ["train", "rows.libfm", "--init", "fm.safetensors", "--epochs", "1", "--freeze", "feature_embeddings", "--json"],
      inFolder,
    );
    expect(jsonLines(fromFm.stdout)[0]).toMatchObject({
      model: "ifm",
      factors: 3,
      init: { taken: expect.arrayContaining(["bias", "feature_bias", "feature_embeddings"]), left: [] },
    });
    const { stdout } = await run(["inspect", "ifm.safetensors"], inFolder);
    expect(stdout).toMatch(/^Started from\n {2}bias +taken from the initial fm$/m);
    expect(stdout).toMatch(/^ {2}attention_W +from the seed, as the initial fm has none$/m);
    const frozen = readTensors(at("ifm.safetensors")).get("feature_embeddings");
    expect(frozen).toEqual(readTensors(at("fm.safetensors")).get("feature_embeddings"));
  });

  it("warns of tensors that it could not take", async () => {
    const args = ["train", "rows.libfm", "--init", "model.safetensors", "--factors", "5", "--epochs", "1", "--quiet"];
    const { code, stderr } = await run(args, inFolder);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: --init: feature_embeddings was not taken: /m);
  });

  it("runs the commands of the authors' README", async () => {
    const home = at("home");
    const data = join(home, "data", "ml-tag");
    mkdirSync(data, { recursive: true });
    mkdirSync(join(home, "code"));
    for (const part of ["train", "validation", "test"]) {
      writeFileSync(join(data, `ml-tag.${part}.libfm`), rowsText(part === "train" ? 300 : 60, 3));
    }
    const inCode = { cwd: join(home, "code") };
    const fm = "--dataset ml-tag --epoch 2 --pretrain -1 --batch_size 64 --hidden_factor 6 --lr 0.01 --keep 0.3";
    const trained = await run(["train", "--model", "fm", ...fm.split(" ")], inCode);
    expect(trained).toMatchObject({ code: 0, stdout: "fm.safetensors\n" });
    expect(existsSync(join(home, "code", "pretrain", "fm_ml-tag_6.safetensors"))).toBe(true);
    const ifm =
      "--dataset ml-tag --epoch 2 --pretrain 1 --batch_size 64 --hidden_factor [8,6] --keep [1.0,0.9] --temp 10 " +
      "--lr 0.1 --lamda_attention1 0.01";
    const { code, stdout } = await run(["train", "--model", "ifm", ...ifm.split(" "), "--json"], inCode);
    expect(code).toBe(0);
    const events = jsonLines(stdout);
    expect(events[0]).toMatchObject({
      epochs: 2,
      batchSize: 64,
      factors: 6,
      attentionFactors: 8,
      keep: [1, 0.9],
      temperature: 10,
      lr: 0.1,
      l2: { field: 0.01, attention: 0 },
      files: { init: join("pretrain", "fm_ml-tag_6.safetensors") },
      rows: { train: 300, validation: 60, test: 60 },
      init: { left: [] },
    });
    expect(events[1]).toHaveProperty("test.rmse");
  });

  it("trains the same bytes with every number of threads, and predicts the same lines", async () => {
    const outputs: string[] = [];
    for (const threads of ["1", "2", "3", "auto"]) {
      const args = [
        "train",
        "rows.libfm",
        ...QUICK,
        "--threads",
        threads,
        "--output",
        `t${threads}.safetensors`,
        "--json",
      ];
      const { stdout } = await run(args, inFolder);
      if (threads !== "auto") expect(jsonLines(stdout)[0]).toMatchObject({ threads: Number(threads) });
      const scores = await run(["predict", "t1.safetensors", "rows.libfm", "--threads", threads], inFolder);
      outputs.push(readFileSync(at(`t${threads}.safetensors`), "latin1") + scores.stdout);
    }
    expect(new Set(outputs).size).toBe(1);
  });

  it("makes a model of initial weights in 0 epochs", async () => {
    const args = [
      "train",
      "rows.libfm",
      "--init",
      "model.safetensors",
      "--epochs",
      "0",
      "--output",
      "zero.safetensors",
    ];
    expect(await run(args, inFolder)).toMatchObject({ code: 0, stdout: "zero.safetensors\n" });
    expect(readTensors(at("zero.safetensors"))).toEqual(readTensors(at("model.safetensors")));
  });
});

describe("train without a file", () => {
  it("compares the constant guess, FM and IFM on the sample, and says what to do next", async () => {
    const { code, stdout, stderr } = await run(["train", "--epochs", "2", "--output", "sample.safetensors"], inFolder);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "sample.safetensors\n" });
    expect(stderr).toMatch(/ {2}always the same guess +0\.\d{4} .*\n {2}fm +0\.\d{4} .*\n {2}ifm +0\.\d{4} /);
    expect(stderr).toContain("ifm-wasm predict sample.safetensors ");
  });

  it("has the comparison in its JSON", async () => {
    const { stdout, stderr } = await run(
      ["train", "--epochs", "1", "--json", "--output", "sample.safetensors"],
      inFolder,
    );
    expect(stderr).toBe("");
    const events = jsonLines(stdout);
    expect(events.map(({ event }) => event)).toEqual(["start", "baseline", "epoch", "end"]);
    expect(events[0]).toMatchObject({ model: "ifm", init: { left: [] } });
    expect(events[1]).toMatchObject({
      constant: { validation: { rmse: expect.any(Number), auc: 0.5 } },
      fm: { validation: { rmse: expect.any(Number) } },
    });
  });
});

describe("predict", () => {
  it("prints one score a row, or writes the same to a file", async () => {
    const { code, stdout, stderr } = await run(["predict", "model.safetensors", "rows.libfm"], inFolder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^(-?\d\.\d+(e[+-]\d+)?\n){300}$/);
    const args = ["predict", "model.safetensors", "rows.libfm.gz", "--output", "scores.txt"];
    expect(await run(args, inFolder)).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect(readFileSync(at("scores.txt"), "utf8")).toBe(stdout);
    const piped = await run(["predict", "model.safetensors", "-"], { ...inFolder, input: rowsText(300) });
    expect(piped.stdout).toBe(stdout);
  });

  it("has probabilities with --link sigmoid, and keeps to the label range with --clip", async () => {
    const golden = inRepository("test/fixtures/golden/ifm-ten-fields");
    const files = [join(golden, "model.safetensors"), join(golden, "rows.libfm")];
    const scores = numbers(await run(["predict", ...files]));
    const probabilities = numbers(await run(["predict", ...files, "--link", "sigmoid"]));
    expect(
      relativeError(
        probabilities,
        scores.map((score) => 1 / (1 + Math.exp(-score))),
      ),
    ).toBeLessThan(1e-6);

    const clipped = await run(["predict", ...files, "--clip"]);
    expect(clipped).toMatchObject({ code: 5, stdout: "" });
    expect(clipped.stderr).toContain("range of its training labels");

    const own = numbers(await run(["predict", "model.safetensors", "rows.libfm", "--clip"], inFolder));
    expect(Math.max(...own.map(Math.abs))).toBeLessThanOrEqual(1);
  });

  it("warns of features that the model does not know", async () => {
    writeFileSync(at("strange.libfm"), "1 0:1 5:1 10:1 15:1\n1 0:1 5:1 10:1 500:1\n");
    const { code, stdout, stderr } = await run(["predict", "model.safetensors", "strange.libfm"], inFolder);
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(3);
    expect(stderr).toContain("warning: 1 of 8 features (12.5 %) are unknown");
  });

  it("ends quietly when nobody reads on", async () => {
    writeFileSync(at("many.libfm"), rowsText(60_000));
    const child = start(["predict", "model.safetensors", "many.libfm"], inFolder);
    child.stdout.once("data", () => child.stdout.destroy());
    expect(await ended(child)).toMatchObject({ code: 0, signal: null, stderr: "" });
  });

  it.runIf(process.platform !== "win32")("can be piped into head", async () => {
    const command = `"${process.execPath}" "${inRepository("bin/ifm-wasm.js")}" predict model.safetensors many.libfm`;
    writeFileSync(at("many.libfm"), rowsText(60_000));
    const shell = spawn("bash", ["-c", `${command} | head -1; echo "\${PIPESTATUS[0]}"`], inFolder);
    const { stdout, stderr } = await ended(shell);
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^-?\d\.\d+(e[+-]\d+)?\n0\n$/);
  });
});

function numbers({ stdout }: { stdout: string }): number[] {
  return stdout.trimEnd().split("\n").map(Number);
}

describe("evaluate", () => {
  it("prints metrics for people and for programs", async () => {
    const json = await run(["evaluate", "model.safetensors", "more.libfm", "--json"], inFolder);
    expect({ code: json.code, stderr: json.stderr }).toEqual({ code: 0, stderr: "" });
    const [metrics] = jsonLines(json.stdout);
    expect(Object.keys(metrics)).toEqual(["rows", "rmse", "mae", "logloss", "auc", "accuracy", "f1"]);
    expect(metrics.rows).toBe(80);
    const { stdout } = await run(["evaluate", "model.safetensors", "more.libfm"], inFolder);
    expect(stdout).toMatch(/^rows +80\nrmse +\d\.\d{4}\nmae /);
    expect(stdout).toContain(Number(metrics.rmse).toFixed(4));
  });

  it("leaves out what only two classes have", async () => {
    writeFileSync(at("ratings.libfm"), "1 0:1 5:1 10:1 15:1\n2.5 1:1 5:1 10:1 15:1\n-1 1:1 6:1 10:1 15:1\n");
    const { stdout } = await run(["evaluate", "model.safetensors", "ratings.libfm", "--json"], inFolder);
    expect(Object.keys(jsonLines(stdout)[0])).toEqual(["rows", "rmse", "mae"]);
  });
});

describe("inspect", () => {
  it("shows configuration, tensors, sizes and how the model was trained", async () => {
    const { code, stdout } = await run(["inspect", "model.safetensors"], inFolder);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ifm, Interaction-aware FM/);
    expect(stdout).toMatch(/feature_embeddings +20 × 4 +80 +320 B/);
    expect(stdout).toMatch(/seed +\d+/);
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    const [json] = jsonLines((await run(["inspect", "model.safetensors", "--json"], inFolder)).stdout);
    expect(json).toMatchObject({
      config: { model: "ifm", factors: 4 },
      tensors: expect.arrayContaining([
        { name: "attention_W", shape: [4, 4], dtype: "F32", parameters: 16, bytes: 64 },
      ]),
      record: { seed: expect.any(Number), labelMin: -1, labelMax: 1, bestEpoch: 2 },
    });
  });

  it("shows a model that tells nothing but its configuration", async () => {
    const { code, stdout } = await run(["inspect", inRepository("test/fixtures/golden/fm/model.safetensors")]);
    expect(code).toBe(0);
    expect(stdout).not.toContain("Trained");
  });
});

describe("check", () => {
  it("describes a file and exits with 0 when its lines can be read", async () => {
    const { code, stdout } = await run(["check", "rows.libfm.gz"], inFolder);
    expect(code).toBe(0);
    expect(stdout).toMatch(/rows +300/);
    const [json] = jsonLines((await run(["check", "rows.libfm", "--json"], inFolder)).stdout);
    expect(json).toMatchObject({ rows: 300, fields: 4, broken: { count: 0, errors: [] } });
  });

  it("names lines that cannot be read and exits with 3", async () => {
    writeFileSync(at("odd.libfm"), "1 0:1\n1 zero:1\n1 1:1\n");
    const { code, stdout } = await run(["check", "odd.libfm"], inFolder);
    expect(code).toBe(3);
    expect(stdout).toContain("odd.libfm:2:3: ");
    const [json] = jsonLines((await run(["check", "odd.libfm", "--json"], inFolder)).stdout);
    expect(json).toMatchObject({ rows: 2, broken: { count: 1, errors: [{ line: 2, message: expect.any(String) }] } });
  });

  it("ends by itself when a pipe goes on for ever", async () => {
    const child = start(["train", "-"], inFolder);
    child.stdin.on("error", () => undefined);
    const feed = setInterval(() => child.stdin.write("1 x:1\n"), 10);
    const { code, stderr } = await ended(child);
    clearInterval(feed);
    expect(code).toBe(3);
    expect(stderr).toContain("error: -:1:3: ");
  });
});
