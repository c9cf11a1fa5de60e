import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Option } from "commander";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { searchSpace, spaceText, TUNE_OPTIONS, trainCommand, trialValues } from "../../src/cli/tune-options.js";
import { HumanTuneReport } from "../../src/cli/tune-report.js";
import { MODELS } from "../../src/config.js";
import { rungsOf } from "../../src/tune/halving.js";
import { libfmText, plantedRows } from "../support/data.js";
import { jsonLines, type TestIo, temporaryFolder, testIo } from "./support.js";

// Studies of small models, in a folder of their own.

const folder = temporaryFolder();
const home = process.cwd();

const SPACE = {
  lr: { min: 0.01, max: 1, scale: "log" },
  factors: [4, 8],
  keep: [1, 0.9],
};
const ROWS = ["rows.libfm", "--validation", "more.libfm"];
const QUICK = ["--model", "fm", "--batch-size", "50", "--space", "space.json", "--trials", "6", "--epochs", "4"];
const TUNE = ["tune", ...ROWS, ...QUICK, "--reduce", "2"];

beforeAll(() => {
  process.chdir(folder.path);
  writeFileSync("rows.libfm", libfmText(plantedRows(200, 1)));
  writeFileSync("more.libfm", libfmText(plantedRows(80, 2)));
  writeFileSync("sample.train.libfm", libfmText(plantedRows(200, 3)));
  writeFileSync("sample.validation.libfm", libfmText(plantedRows(80, 4)));
  writeFileSync("space.json", JSON.stringify(SPACE));
});

afterAll(() => {
  process.chdir(home);
  folder.remove();
});

interface Called {
  code: number;
  out: string;
  err: string;
}

async function call(args: readonly string[], io: TestIo = testIo()): Promise<Called> {
  const code = await main(args, io);
  return { code, out: io.stdout(), err: io.stderr() };
}

/** What is printed, but for the time it took. */
function timeless(text: string): string {
  return text.replace(/"seconds":[\d.e-]+/g, '"seconds":0').replace(/ +[\d.]+ s( \*)?$/gm, "");
}

/** The events of a study. */
async function events(args: readonly string[]) {
  const { code, out, err } = await call([...args, "--json"]);
  expect(err).toBe("");
  expect(code).toBe(0);
  return jsonLines(out) as unknown as Event[];
}

interface Result {
  trial: number;
  rung: number;
  options: Record<string, unknown>;
  epochs: number;
  seconds: number;
  score?: number;
  metric?: number;
  bestEpoch?: number;
  validation?: Record<string, number>;
  failed?: string;
}

interface Event extends Result {
  event: "start" | "trial" | "end";
  reason: string;
  best: Result;
  command: string;
}

describe("the answer", () => {
  it("is the same twice, bit for bit, and another for another seed", async () => {
    const study = (name: string, ...more: string[]) =>
      call([...TUNE, "--study", `${name}.jsonl`, "--output", `${name}.safetensors`, ...more]);
    const once = await study("once");
    const twice = await study("twice");
    const other = await study("other", "--seed", "7");
    expect(once.code).toBe(0);
    expect(once.out).toMatch(/^ifm-wasm train rows\.libfm --validation more\.libfm --model fm .*--seed 2019 .*\n$/);
    expect(twice.out).toBe(once.out);
    expect(timeless(twice.err).replaceAll("twice", "once")).toBe(timeless(once.err));
    expect(readFileSync("twice.safetensors").equals(readFileSync("once.safetensors"))).toBe(true);
    expect(timeless(readFileSync("twice.jsonl", "utf8"))).toBe(timeless(readFileSync("once.jsonl", "utf8")));
    expect(other.out).not.toBe(once.out);
  });

  it.each([
    ["fm", [...QUICK, "--early-stop", "2"]],
    ["ifm", ["--model", "ifm", "--trials", "3", "--epochs", "3", "--batch-size", "64", "--loss", "logistic"]],
    ["pairwise", [...QUICK, "--loss", "bpr", "--group-by", "2"]],
    ["the last epoch", [...QUICK, "--early-stop", "0", "--no-shuffle", "--optimizer", "adam"]],
  ])("is a command that trains the same model again: %s", async (name, options) => {
    const file = `best-${name.length}.safetensors`;
    const found = await events(["tune", ...ROWS, ...options, "--study", `${file}.jsonl`, "--output", file]);
    const { best, command } = found.at(-1) as Event;
    const args = command.split(" ").slice(1);
    const trained = jsonLines((await call([...args, "--json", "--output", "again.safetensors"])).out).at(-1);
    expect(trained).toMatchObject({ event: "end", bestEpoch: best.bestEpoch, validation: best.validation });
    expect(readFileSync("again.safetensors").equals(readFileSync(file))).toBe(true);
  });

  it("starts from a model when told so, and says so in the command", async () => {
    await call([
      "train",
      "rows.libfm",
      "--model",
      "fm",
      "--factors",
      "8",
      "--epochs",
      "2",
      "--output",
      "fm.safetensors",
    ]);
    const options = ["--model", "ifm", "--init", "fm.safetensors", "--trials", "2", "--epochs", "2"];
    const found = await events(["tune", ...ROWS, ...options, "--study", "init.jsonl"]);
    const { best, command } = found.at(-1) as Event;
    // Other numbers of factors could not take its embeddings.
    expect(Object.keys(best.options)).toEqual(["temperature", "lr", "keep", "l2-field"]);
    expect(command).toContain(" --init fm.safetensors ");
    const again = await call([...command.split(" ").slice(1), "--json", "--output", "again.safetensors"]);
    expect(jsonLines(again.out).at(-1)).toMatchObject({ validation: best.validation });
  });

  it("is of the sample when no file is named", async () => {
    const { code, out } = await call(["tune", ...QUICK, "--quiet", "--study", "sample.jsonl"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^ifm-wasm train sample\.train\.libfm --validation sample\.validation\.libfm --model fm /);
  });

  it("is a command that a shell reads as it was meant", () => {
    const file = "a b/it's $HOME.libfm";
    const command = trainCommand(file, { validation: "more*.libfm", keep: [1, 0.9], shuffle: false, batchNorm: false });
    const printed = execFileSync("sh", ["-c", command.replace("ifm-wasm", "printf '%s\\n'")], { encoding: "utf8" });
    expect(printed.split("\n").slice(0, -1)).toEqual([
      "train",
      file,
      "--validation",
      "more*.libfm",
      "--no-shuffle",
      "--keep",
      "1,0.9",
    ]);
    expect(trainCommand("-odd.libfm", {})).toBe("ifm-wasm train ./-odd.libfm");
  });
});

describe("a study", () => {
  it("trains all trials for a few epochs, and the best of them for more", async () => {
    const [start, ...rest] = await events([...TUNE, "--study", "rungs.jsonl"]);
    expect(start).toMatchObject({
      event: "start",
      model: "fm",
      metric: "rmse",
      trials: 6,
      rungs: [
        { trials: 6, epochs: 1 },
        { trials: 3, epochs: 2 },
        { trials: 2, epochs: 4 },
      ],
      options: { batchSize: 50 },
      files: { train: "rows.libfm", validation: "more.libfm", study: "rungs.jsonl" },
    });
    const results = rest.slice(0, -1);
    const { best, reason } = rest.at(-1) as Event;
    expect(reason).toBe("done");
    for (const [rung, trials, epochs] of [
      [1, 6, 1],
      [2, 3, 2],
      [3, 2, 4],
    ]) {
      const there = results.filter((result) => result.rung === rung);
      expect(there).toHaveLength(trials);
      for (const result of there) expect(result).toMatchObject({ epochs, metric: result.validation?.rmse });
      // Who goes on is as good as whoever does not.
      const next = new Set(results.filter((result) => result.rung === rung + 1).map(({ trial }) => trial));
      const scores = (goesOn: boolean) =>
        there.filter(({ trial }) => next.has(trial) === goesOn).map((r) => r.score ?? 0);
      if (next.size > 0) expect(Math.max(...scores(true))).toBeLessThanOrEqual(Math.min(...scores(false)));
    }
    const last = results.filter(({ rung }) => rung === 3);
    expect(best.score).toBe(Math.min(...last.map(({ score }) => score ?? 0)));
  });

  it("goes on from wherever it was cut, with the same answer, and trains nothing twice that it need not", async () => {
    const whole = await call([...TUNE, "--study", "whole.jsonl", "--output", "whole.safetensors"]);
    const journal = readFileSync("whole.jsonl");
    const ends = [...journal.keys()].filter((i) => journal[i] === 10).map((i) => i + 1);
    expect(ends).toHaveLength(1 + 6 + 3 + 2);
    const cuts = [0, ...ends].flatMap((end, i, all) => [end, Math.floor((end + (all[i + 1] ?? end)) / 2), end - 1]);
    for (const cut of new Set(cuts.filter((cut) => cut >= 0))) {
      const before = journal.subarray(0, cut);
      writeFileSync("cut.jsonl", before);
      const resumed = await call([...TUNE, "--study", "cut.jsonl", "--output", "cut.safetensors"]);
      expect(resumed.out, `cut at ${cut}`).toBe(whole.out);
      expect(readFileSync("cut.safetensors").equals(readFileSync("whole.safetensors"))).toBe(true);
      const after = readFileSync("cut.jsonl");
      expect(timeless(after.toString())).toBe(timeless(journal.toString()));
      // Whole lines are what they were, times included.
      const kept = ends.filter((end) => end <= cut).at(-1) ?? 0;
      expect(after.subarray(0, kept).equals(journal.subarray(0, kept))).toBe(true);
    }
  });

  it("stops at Ctrl-C with exit code 130, and goes on", async () => {
    const whole = await call([...TUNE, "--study", "unhurried.jsonl", "--json"]);
    const io = testIo();
    const running = call([...TUNE, "--study", "hurried.jsonl", "--json"], io);
    while (!io.stdout().includes('"trial":2,')) await setImmediate();
    io.interrupt();
    const { code, out } = await running;
    expect(code).toBe(130);
    expect(jsonLines(out).at(-1)).toMatchObject({ event: "end", reason: "aborted", best: null, command: null });
    expect(jsonLines(readFileSync("hurried.jsonl", "utf8")).length).toBeLessThan(12);
    const resumed = await call([...TUNE, "--study", "hurried.jsonl", "--json"]);
    expect(resumed.code).toBe(0);
    expect(timeless(resumed.out).replaceAll("hurried", "unhurried")).toBe(timeless(whole.out));
  });

  it("has a file by itself, named after all that matters, when none is named", async () => {
    const names = () => readdirSync(".").filter((name) => /^tune-fm-[0-9a-f]{8}\.jsonl$/.test(name));
    const { err } = await call([...TUNE, "--trials", "2"]);
    expect(names()).toHaveLength(1);
    expect(err).toContain(names()[0]);
    expect((await call([...TUNE, "--trials", "2"])).err).toContain(`${names()[0]}, 3 results are there`);
    await call([...TUNE, "--trials", "2", "--seed", "1"]);
    expect(names()).toHaveLength(2);
  });

  it("survives trials that diverge, and ranks them last", async () => {
    writeFileSync("wild.json", '{"lr": [0.0001, 1e30], "factors": [4, 8]}');
    const wild = ["--space", "wild.json", "--optimizer", "sgd", "--trials", "4", "--study", "wild.jsonl"];
    const results = (await events([...TUNE, ...wild])).filter(({ rung }) => rung === 1);
    expect(results).toHaveLength(4);
    for (const { options, failed, score } of results) {
      if (options.lr === 1e30) expect({ failed, score }).toEqual({ failed: "diverged", score: undefined });
      else expect(score).toBeGreaterThan(0);
    }
    // Once more, from the file: the failures are results, too.
    const { code, err } = await call([...TUNE, ...wild]);
    expect(code).toBe(0);
    expect(err).toMatch(/^ +3 .* diverged +–\/0 .*\n +4 .* diverged +–\/0 .*\n\nbest: /m);
  });

  it("ends with exit code 4 when all trials diverge", async () => {
    writeFileSync("hopeless.json", '{"lr": [1e29, 1e30]}');
    const hopeless = ["--space", "hopeless.json", "--optimizer", "sgd", "--study", "hopeless.jsonl", "--trials", "2"];
    const { code, out, err } = await call([...TUNE, ...hopeless]);
    expect({ code, out }).toEqual({ code: 4, out: "" });
    expect(err).toMatch(/diverged +–\/0/);
    expect(err).toMatch(/error: all 2 trials failed; trial 1: .*training diverged: .*\n {2}try other values/);
  });

  it("survives trials that do not fit into memory", async () => {
    writeFileSync("large.json", '{"hidden": [[4], [65536, 65536]]}');
    const large = [
      "--model",
      "inn",
      "--space",
      "large.json",
      "--trials",
      "2",
      "--epochs",
      "1",
      "--study",
      "large.jsonl",
    ];
    const found = await events(["tune", ...ROWS, ...large]);
    expect(found.map(({ failed }) => failed)).toContain("memory");
    expect(found.at(-1)?.best.options).toEqual({ hidden: [4] });
  });

  it("leaves alone what early stopping has ended", async () => {
    writeFileSync("still.json", '{"lr": [1e-12, 1e-13]}');
    const still = ["--space", "still.json", "--optimizer", "sgd", "--early-stop", "1", "--epochs", "8"];
    const found = await events([...TUNE, ...still, "--trials", "2", "--study", "still.jsonl"]);
    const results = found.filter(({ event }) => event === "trial");
    const [first, , last] = results;
    expect(last.epochs).toBeLessThan(8);
    expect(last.epochs).toBeGreaterThanOrEqual(first.epochs);
  });
});

describe("what a person sees", () => {
  it.each(MODELS)("fits 80 columns: %s", async (model) => {
    const args = ["--model", model, "--trials", "3", "--epochs", "2", "--reduce", "2", "--study", `${model}.jsonl`];
    const { code, err } = await call(["tune", ...ROWS, ...args]);
    expect(code).toBe(0);
    for (const line of err.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(err).toMatch(/^rank +trial .*\n +1 +\d .*\n +2 +\d .*\n +3 +\d /m);
    expect(err).toMatch(/best: trial \d, validation (RMSE|log loss) 0\.\d{4}, epoch \d of \d/);
  });

  it("has what is tried below the line where columns would be too wide", async () => {
    writeFileSync(
      "wide.json",
      JSON.stringify({ lr: [0.1, 0.2], "l2-embedding": [0.00001], "l2-linear": [0.00001], "clip-norm": [100.5] }),
    );
    const narrow = testIo();
    Object.assign(narrow.err.stream, { columns: 60 });
    const { err } = await call([...TUNE, "--space", "wide.json", "--trials", "2", "--study", "wide.jsonl"], narrow);
    expect(err).toMatch(/\n {4}1 .* \*\n {6}lr 0\.[12], clip 100\.5, λ embedding 0\.00001\n {6}λ linear 0\.00001\n/);
  });

  it("is a bar with the time that is left, on a terminal, within 80 columns", () => {
    const io = testIo();
    Object.assign(io.err.stream, { isTTY: true });
    const report = new HumanTuneReport(io);
    const trials = [1, 2, 3].map((trial) => ({ trial, options: { lr: 0.1 } }));
    report.start({
      kind: "fm",
      loss: "squared",
      seed: 1,
      space: { lr: [0.1] },
      held: {},
      trials,
      rungs: rungsOf(3, 9, 3),
      files: { train: "rows.libfm", validation: "more.libfm", study: "s.jsonl" },
      rows: { train: 1000, validation: 100 },
      known: 0,
    });
    const progress = { phase: "train", epoch: 1, epochs: 9, rows: 500, totalRows: 1000, rowsPerSecond: 500 } as const;
    report.rung(1);
    report.progress(progress);
    // 3 trials of 3 epochs and 1 of 6 more, of which half an epoch is done: 14.5 epochs of 2 s, later of 1 s.
    expect(io.stderr()).toMatch(/trial 1\/3, epoch 1\/3 [█░]{24} 50 % {2}ETA 29\.0 s/);
    report.result({ ...trials[0], rung: 1, epochs: 3, seconds: 3, failed: "diverged" });
    report.progress({ ...progress, epoch: 2 });
    expect(io.stderr()).toMatch(/trial 2\/3, epoch 2\/3 [█░]{24} 50 % {2}ETA 10\.5 s/);
    report.interrupted();
  });

  it("is nothing but the command with --quiet", async () => {
    const { out, err } = await call([...TUNE, "--quiet", "--study", "quiet.jsonl"]);
    expect(err).toBe("");
    expect(out).toMatch(/^ifm-wasm train .*\n$/);
  });

  it("is a warning when the space has fewer trials than asked for", async () => {
    writeFileSync("two.json", '{"factors": [4, 8]}');
    const { err } = await call([...TUNE, "--space", "two.json", "--quiet", "--study", "two.jsonl"]);
    expect(err).toBe("warning: no more than 2 trials differ in what is to be tried\n");
  });
});

describe("the space", () => {
  it.each(MODELS)("is printed as it can be given: %s", async (model) => {
    const { code, out, err } = await call(["tune", "--model", model, "--print-space"]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    writeFileSync("printed.json", out);
    expect((await call(["tune", "--model", model, "--space", "printed.json", "--print-space"])).out).toBe(out);
    expect(spaceText(searchSpace(model, {}, undefined))).toBe(out);
    expect(Object.keys(JSON.parse(out))).toContain("lr");
  });

  it("does not have what is held", () => {
    const names = Object.keys(searchSpace("ifm", { lr: 0.1, factors: 8, shuffle: true }, undefined));
    expect(names).toEqual(["attention-factors", "field-factors", "temperature", "keep", "l2-field"]);
  });

  it("follows the optimizer and the reduction", () => {
    expect(searchSpace("fm", { optimizer: "adam" }, undefined).lr).toMatchObject({ max: 0.02 });
    expect(searchSpace("fm", { loss: "logistic" }, undefined)["l2-embedding"]).toContain(0.001);
    expect(searchSpace("fm", { loss: "logistic", reduction: "sum" }, undefined)["l2-embedding"]).toContain(1);
  });

  it("may have switches", () => {
    expect(trialValues({ "no-shuffle": true, "batch-norm": true, lr: 0.1, hidden: [8, 4] })).toEqual({
      shuffle: false,
      batchNorm: true,
      lr: 0.1,
      hidden: [8, 4],
    });
    expect(trialValues({ "no-shuffle": false, "batch-norm": false })).toEqual({ shuffle: true, batchNorm: false });
  });
});

describe("the options", () => {
  it("have the keys that commander makes of their flags", () => {
    for (const [key, { flags }] of Object.entries(TUNE_OPTIONS)) expect(new Option(flags).attributeName()).toBe(key);
  });

  it("are in a help of 80 columns, those of train in a sentence", async () => {
    const { code, out } = await call(["tune", "--help"]);
    expect(code).toBe(0);
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(out).toContain("Examples:");
    expect(out).toContain("--validation <file>");
    expect(out).not.toContain("--ftrl-beta");
  });
});

describe("refused with exit code 2", () => {
  beforeAll(async () => {
    await call([...TUNE, "--study", "first.jsonl", "--quiet"]);
    writeFileSync("typo.json", '{"learning-rate": [0.1]}');
    writeFileSync("zero.json", '{"lr": {"min": 0, "max": 1}}');
    writeFileSync("one.json", '{"keep": [0.9]}');
    writeFileSync("huge.json", '{"factors": [100000]}');
    writeFileSync("note.txt", "milk\neggs\n");
    writeFileSync("word.txt", "milk");
    writeFileSync("damaged.jsonl", readFileSync("first.jsonl", "utf8").replace('"rung":1', '"rung":9'));
  });

  it.each([
    ["no validation rows", "tune rows.libfm", "--validation: trials are compared on validation rows"],
    ["rows of stdin", "tune - --validation more.libfm", "-: the command that tune prints reads its rows again"],
    ["an unknown option", "--learning-rate 1", "unknown option '--learning-rate'"],
    ["a space that is not there", "--space nowhere.json", "nowhere.json: no such file"],
    ["an unknown option in the space", "--space typo.json", 'typo.json: "learning-rate" cannot be searched'],
    ["a bad range in the space", "--space zero.json", "zero.json: lr: expected a number > 0, got 0"],
    ["an option that is held and searched", "--lr 0.1", "--lr: given, and to be tried by space.json"],
    ["values that only another model takes", "--space one.json --model ifm", "--keep: expected two numbers for ifm"],
    ["values that no model takes", "--space huge.json", "--factors: expected a whole number from 1 to 65536"],
    ["options without meaning for the model", "--model ifm --batch-norm --space two.json", "--batch-norm"],
    ["unknown tensors", "--freeze nothing", '--freeze: fm has no tensor "nothing"'],
    ["no trials", "--trials 0", "--trials: expected a whole number ≥ 1"],
    ["no epochs", "--epochs 0", "--epochs: expected a whole number ≥ 1"],
    ["a rate of one", "--reduce 1", "--reduce: expected a whole number ≥ 2"],
    ["the rows as output", "--output rows.libfm", "--output: "],
    ["the study as output", "--study s.jsonl --output s.jsonl", "--output: "],
    ["stdout as output", "--output -", "--output: a model cannot go to stdout"],
    ["a folder that is not there", "--output no/such/x", "cannot be written"],
    [
      "a study of another seed",
      "--study first.jsonl --seed 1",
      "first.jsonl: the study there is another one: seed is 2019 there, 1 here",
    ],
    ["a study of other options", "--study first.jsonl --l2-linear 1", "options.l2Linear is none there, 1 here"],
    ["a study of another space", "--study first.jsonl --space two.json", "space."],
    ["a study of other rows", "--study first.jsonl --validation rows.libfm", "data.validation.bytes is"],
    ["a study of more trials", "--study first.jsonl --trials 7", "trials is 6 there, 7 here"],
    ["a study that is none", "--study note.txt", "note.txt: not a study of ifm-wasm tune"],
    ["a file without a line", "--study word.txt", "word.txt: not a study of ifm-wasm tune"],
    ["rows as study", "--study rows.libfm", "rows.libfm: not a study"],
    ["a damaged study", "--study damaged.jsonl", "damaged.jsonl:2: expected a result of this study"],
  ])("%s", async (_what, line, message) => {
    writeFileSync("two.json", '{"factors": [4, 8]}');
    const args = line.startsWith("tune ") ? line.split(" ") : [...TUNE, ...line.split(" ")];
    const { code, out, err } = await call(args);
    expect({ code, out }, err).toEqual({ code: 2, out: "" });
    expect(err).toContain(message);
    expect(readFileSync("rows.libfm", "utf8")).toMatch(/^-?1 /);
    expect(existsSync("s.jsonl")).toBe(false);
  });

  it("leaves a refused study as it was", () => {
    expect(readFileSync("note.txt", "utf8")).toBe("milk\neggs\n");
    expect(readFileSync("word.txt", "utf8")).toBe("milk");
    expect(jsonLines(readFileSync("first.jsonl", "utf8"))).toHaveLength(12);
  });
});
