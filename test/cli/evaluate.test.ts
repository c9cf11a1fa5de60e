import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { picture } from "../../src/cli/evaluate.js";
import { main } from "../../src/cli/main.js";
import { loadDataset } from "../../src/data/open.js";
import { calibration, groupRows, rankingMetrics } from "../../src/metrics.js";
import { Model } from "../../src/model/model.js";
import { readLibfm } from "../../src/node.js";
import { type Run, train } from "../support/train.js";
import { jsonLines, rowsText, temporaryFolder, testIo } from "./support.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);

/** A model file of a short training on rows with labels -1 and 1. */
async function save(name: string, model: "fm" | "ifm", loss: "squared" | "logistic", fieldOfSlot?: number[]) {
  const data = { train: await readLibfm(rowsText(300)) };
  const shape = { model, loss, factors: 4, ...(fieldOfSlot && { fieldOfSlot }) };
  const { model: trained }: Run = await train({ model: shape, data, train: { epochs: 3 } });
  await trained.save(at(name));
  trained.dispose();
}

beforeAll(async () => {
  writeFileSync(at("rows.libfm"), rowsText(200));
  writeFileSync(at("grades.libfm"), rowsText(50).replace(/^1 /gm, "2.5 "));
  writeFileSync(at("ones.libfm"), rowsText(50).replace(/^-1 /gm, "1 "));
  await save("ifm", "ifm", "logistic");
  await save("squared", "ifm", "squared");
  await save("fm", "fm", "logistic");
  await save("fields", "ifm", "logistic", [4, 7, 4, 9]);
});

afterAll(folder.remove);

/** Runs a command line in which names of files are names in the folder. */
async function call(line: string) {
  const io = testIo();
  const words = line.split(" ").map((word) => (/^(ifm|squared|fm|fields|.*\.libfm)$/.test(word) ? at(word) : word));
  const code = await main(words, io);
  return { code, out: io.stdout(), err: io.stderr() };
}

async function json(line: string) {
  const { code, out, err } = await call(`${line} --json`);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [object, ...others] = jsonLines(out);
  expect(others).toEqual([]);
  return object!;
}

const USUAL = ["rows", "rmse", "mae", "logloss", "auc", "accuracy", "f1"];

describe("evaluate --json", () => {
  it("has the calibration error of a model of logistic loss on two-valued labels", async () => {
    const metrics = await json("evaluate ifm rows.libfm");
    expect(Object.keys(metrics)).toEqual([...USUAL, "ece"]);
    expect(Object.keys(await json("evaluate squared rows.libfm"))).toEqual(USUAL);
    expect(Object.keys(await json("evaluate ifm grades.libfm"))).toEqual(["rows", "rmse", "mae"]);
    expect((await json("evaluate ifm ones.libfm")).ece).toBeGreaterThan(0); // of one class, which the model knows
  });

  it("has what the library measures", async () => {
    const found = await json("evaluate ifm rows.libfm --group-by 1,3 --top-k 3 --calibration --bins 4");
    expect(Object.keys(found)).toEqual([...USUAL, "ece", "calibration", "ranking"]);
    using model = await Model.load(at("ifm"));
    const data = await loadDataset(at("rows.libfm"));
    const expected = calibration(model.predict(data, { link: "sigmoid" }), data.labels, { bins: 4 });
    const ranking = rankingMetrics(model.predict(data), data.labels, groupRows(data, [1, 3]), { k: 3 });
    expect(found).toEqual({
      ...model.evaluate(data),
      ece: expected.ece,
      calibration: JSON.parse(JSON.stringify(expected)), // means of bins without rows are null
      ranking: { groupBy: [1, 3], ...ranking },
    });
    expect(Object.keys(found.ranking as object).slice(0, 3)).toEqual(["groupBy", "k", "groups"]);
  });

  it("takes 10 bins and the first 10 rows where nothing else is said", async () => {
    const { calibration, ranking } = await json("evaluate ifm rows.libfm --group-by 0 --calibration");
    expect((calibration as { bins: unknown[] }).bins).toHaveLength(10);
    expect(ranking).toMatchObject({ k: 10, groups: 5 });
  });

  it("groups by fields of the model, which may have several slots; by positions where it has none", async () => {
    const groupsOf = async (line: string) => (await json(line)).ranking as { groups: number; groupBy: number[] };
    const data = await loadDataset(at("rows.libfm"));
    const both = groupRows(data, [0, 2]).count;
    expect(await groupsOf("evaluate fields rows.libfm --group-by 4")).toMatchObject({ groups: both, groupBy: [4] });
    expect(await groupsOf("evaluate fm rows.libfm --group-by 0,2")).toMatchObject({ groups: both, groupBy: [0, 2] });
  });

  it("knows from the model which labels are positive", async () => {
    const { ranking } = await json("evaluate squared ones.libfm --group-by 0");
    expect(ranking).toMatchObject({ groupsWithPositives: 5, groupsWithBoth: 0, ndcg: 1, mrr: 1, gauc: null });
  });

  it("looks at some of the pairs with --sample-pairs", async () => {
    const all = await json("evaluate ifm rows.libfm --group-by 0 --calibration");
    expect(await json("evaluate ifm rows.libfm --group-by 0 --calibration --sample-pairs 1")).toEqual(all);
    const some = await json("evaluate ifm rows.libfm --group-by 0 --calibration --sample-pairs 0.2");
    for (const part of ["logloss", "ece", "calibration", "ranking"]) expect(some[part], part).not.toEqual(all[part]);
  });
});

describe("evaluate", () => {
  it("shows metrics, ranking and calibration, each under its heading, in 80 columns", async () => {
    const { out, err } = await call("evaluate ifm rows.libfm --group-by 0,2 --top-k 5 --calibration");
    expect(err).toBe("");
    const metrics = await json("evaluate ifm rows.libfm --group-by 0,2 --top-k 5 --calibration");
    const [usual, ranking, bins, ...others] = out.trimEnd().split("\n\n");
    expect(others).toEqual([]);
    expect(usual!.split("\n").map((line) => line.split(" ")[0])).toEqual([...USUAL, "ece"]);
    const { groups, ndcg, groupsWithBoth, gauc } = metrics.ranking as Record<string, number>;
    expect(ranking!.split("\n")).toHaveLength(7);
    expect(ranking).toMatch(new RegExp(`^Ranking in ${groups} groups by field 0, 2\n +mean +groups\n`));
    expect(ranking).toMatch(new RegExp(`\n {2}ndcg@5 +${ndcg.toFixed(4)} +\\d+\n {2}recall@5 .*\n {2}hit rate@5 `));
    expect(ranking).toMatch(new RegExp(`\n {2}gauc +${gauc.toFixed(4)} +${groupsWithBoth}$`));
    expect(bins).toMatch(
      /^Calibration\n {2}ece \d\.\d{4}, brier \d\.\d{4}\n {2}probability +rows +predicted +observed/,
    );
    expect(bins!.split("\n")).toHaveLength(13);
    for (const line of out.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
  });

  it("draws the bins: a bar for what was observed, a line for what was predicted", async () => {
    const { out } = await call("evaluate ifm rows.libfm --calibration");
    const { bins } = (await json("evaluate ifm rows.libfm --calibration")).calibration as {
      bins: { rows: number; predicted: number; observed: number }[];
    };
    const lines = out.split("\n").filter((line) => line.includes(" – "));
    expect(lines).toHaveLength(bins.length);
    expect(new Set(bins.map(({ rows }) => rows > 0)).size).toBe(2);
    bins.forEach(({ rows, predicted, observed }, b) => {
      const name = `${(b / 10).toFixed(2)} – ${((b + 1) / 10).toFixed(2)}`;
      const cells = rows === 0 ? ["–", "–"] : [predicted.toFixed(4), observed.toFixed(4), picture(predicted, observed)];
      const words = [name, rows, ...cells].join(" ").split(" ").filter(Boolean);
      expect(lines[b]!.split(" ").filter(Boolean)).toEqual(words);
    });
  });

  it.each([
    [0, 0, "│"],
    [0.5, 0, "               │"],
    [0.5, 1, "███████████████│██████████████"],
    [1, 1, "█████████████████████████████│"],
    [0.1, 0.5, "███│███████████"],
    [0.4, 0.1, "███         │"],
  ])("draws predicted %d, observed %d", (predicted, observed, text) => {
    expect(picture(predicted, observed)).toHaveLength(30);
    expect(picture(predicted, observed).trimEnd()).toBe(text);
  });

  it.each([
    [
      "squared rows.libfm --calibration",
      2,
      /squared: --calibration: a model of squared loss gives no probabilities\n {2}train with --loss logistic, or/,
    ],
    [
      "ifm grades.libfm --calibration",
      3,
      /error: row \d+ has the label 2.5, expected one of two values\n {2}calibration/,
    ],
    ["ifm rows.libfm --group-by 4", 2, /error: --group-by: there is no field 4, expected some of 0, 1, 2, 3\n/],
    ["fields rows.libfm --group-by 0", 2, /error: --group-by: there is no field 0, expected some of 4, 7, 9\n/],
    ["fm rows.libfm --group-by 4", 3, /rows.libfm:1: row 1 has 4 slots, expected at least 5 to group by\n/],
    ["ifm rows.libfm --group-by user", 2, /error: --group-by: expected whole numbers from 0 to 1023, separated by/],
    ["ifm rows.libfm --top-k 5", 2, /error: --top-k: expected --group-by with it/],
    ["ifm rows.libfm --group-by 0 --top-k 0", 2, /error: --top-k: expected a whole number ≥ 1, got "0"/],
    ["ifm rows.libfm --calibration --bins 0", 2, /error: --bins: expected a whole number from 1 to 100, got "0"/],
    ["fm rows.libfm --sample-pairs 0.5", 2, /error: --sample-pairs: ifm and deepifm sample, fm does not\n/],
    ["ifm rows.libfm --sample-pairs 0", 2, /error: --sample-pairs: expected a number > 0 and ≤ 1, got "0"/],
  ])("refuses %s with exit code %i", async (line, expected, message) => {
    const { code, out, err } = await call(`evaluate ${line}`);
    expect({ code, out }).toEqual({ code: expected, out: "" });
    expect(err).toMatch(message);
  });
});

describe("predict --sample-pairs", () => {
  it("gives the scores of the library; 1 changes nothing", async () => {
    using model = await Model.load(at("ifm"));
    const data = await loadDataset(at("rows.libfm"));
    const { out } = await call("predict ifm rows.libfm --sample-pairs 0.4");
    expect(Float32Array.from(out.trimEnd().split("\n"), Number)).toEqual(model.predict(data, { samplePairs: 0.4 }));
    const all = await call("predict ifm rows.libfm");
    expect(all.out).not.toBe(out);
    expect(await call("predict ifm rows.libfm --sample-pairs 1")).toEqual(all);
  });

  it("is refused where there are no pairs to choose from", async () => {
    const { code, out, err } = await call("predict fm rows.libfm --sample-pairs 0.5");
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toBe("error: --sample-pairs: ifm and deepifm sample, fm does not\n");
  });
});
