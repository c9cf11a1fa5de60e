import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { Model } from "../../src/model/model.js";
import { readLibfm } from "../../src/node.js";
import { train } from "../support/train.js";
import { jsonLines, rowsText, temporaryFolder, testIo } from "./support.js";

// The commands explain and quantize.

/** What `--json` says, as far as it is looked at. */
interface Facts {
  score: number;
  bias: number;
  constant: number;
  linear: number[];
  pairs: { weight: number; contribution: number }[];
  network?: { baseline: number; contributions: number[] };
  rmse: number;
  bytes: { before: number; after: number };
  metrics: { before: { rmse: number }; after: { rmse: number } };
}

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  writeFileSync(at("rows.libfm"), rowsText(200));
  for (const model of ["fm", "ifm", "inn", "deepifm"] as const) {
    const data = { train: await readLibfm(rowsText(300)) };
    const { model: trained } = await train({
      model: { model, loss: "logistic", factors: 8 },
      data,
      train: { epochs: 3 },
    });
    await trained.save(at(model));
    trained.dispose();
  }
});

afterAll(folder.remove);

async function call(line: string) {
  const io = testIo();
  const words = line
    .split(" ")
    .map((word) => (/^(fm|ifm|inn|deepifm|small|.*\.(libfm|svg|html|png))$/.test(word) ? at(word) : word));
  const code = await main(words, io);
  return { code, out: io.stdout(), err: io.stderr() };
}

describe("explain", () => {
  it.each(["fm", "ifm", "inn", "deepifm"])(
    "--json of %s sums to the score, which is that of predict",
    async (model) => {
      const { out } = await call(`explain ${model} rows.libfm --row 3 --json`);
      const [why] = jsonLines(out) as unknown as [Facts];
      const network = why.network ? [why.network.baseline, ...why.network.contributions] : [];
      const pairs = why.pairs.map(({ contribution }) => contribution);
      const sum = [why.bias, why.constant, ...why.linear, ...pairs, ...network].reduce((total, x) => total + x, 0);
      expect(sum).toBeCloseTo(why.score, 5);
      const scores = (await call(`predict ${model} rows.libfm`)).out.split("\n");
      expect(Number(scores[2])).toBeCloseTo(why.score, 6);
    },
  );

  it("prints the terms, the slots and the largest pairs", async () => {
    const { code, out, err } = await call("explain deepifm rows.libfm");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^Row 1: score -?\d/);
    for (const text of ["bias", "linear", "network, integrated gradients", "Slots", "Pairs"])
      expect(out).toContain(text);
  });

  it.each(["why.svg", "why.html"])(
    "draws %s: title, description and numbers are text, and nothing comes from elsewhere",
    async (name) => {
      expect((await call(`explain ifm rows.libfm --row 2 --output ${name}`)).code).toBe(0);
      const picture = readFileSync(at(name), "utf8");
      const [why] = jsonLines((await call("explain ifm rows.libfm --row 2 --json")).out) as unknown as [Facts];
      expect(picture).toContain('role="img" aria-labelledby="title desc"');
      expect(picture).toMatch(/<title id="title">ifm: row 2 of .*score/);
      expect(picture.match(/<rect [^>]*rx="3"/g)).toHaveLength(why.pairs.length + why.linear.length);
      for (const { weight } of why.pairs) expect(picture).toContain(`T ${weight.toFixed(3)}`);
      expect(picture.replace("http://www.w3.org/2000/svg", "")).not.toMatch(/https?:|<script|url\(/);
    },
  );

  it.each([
    ["explain ifm rows.libfm --row 201", "--row: expected a row from 1 to 200, got 201"],
    ["explain ifm rows.libfm --output why.png", "expected a name that ends in .svg or .html"],
  ])("%s: usage", async (line, message) => {
    const { code, err } = await call(line);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});

describe("quantize", () => {
  it.each(["f16", "int8"])("--to %s: smaller, measured on rows, and read by the other commands", async (to) => {
    const { code, out } = await call(`quantize fm --to ${to} --output small --validation rows.libfm --json`);
    expect(code).toBe(0);
    const [report] = jsonLines(out) as unknown as [Facts];
    expect(report.bytes.after).toBeLessThan(0.56 * report.bytes.before);
    expect(statSync(at("small")).size).toBeLessThan(statSync(at("fm")).size);
    expect(Math.abs(report.metrics.after.rmse - report.metrics.before.rmse)).toBeLessThan(1e-2);
    const [evaluated] = jsonLines((await call("evaluate small rows.libfm --json")).out) as unknown as [Facts];
    expect(evaluated.rmse).toBe(report.metrics.after.rmse);
    expect((await call("inspect small")).out).toContain("feature_embeddings");
    using small = await Model.load(at("small"));
    expect(small.tensors.find(({ name }) => name === "feature_embeddings")?.dtype).toBe(to === "f16" ? "F16" : "I8");
  });

  it("refuses what is small already", async () => {
    await call("quantize fm --to f16 --output small");
    const { code, err } = await call("quantize small --to int8 --output fm.libfm");
    expect(code).toBe(5);
    expect(err).toContain("expected a model of 32-bit floats, found one that is quantized");
  });

  it.each([
    ["quantize fm --output small", "--to: expected f16 or int8, got nothing"],
    ["quantize fm --to f16", "--output: expected the name of the new file, got nothing"],
    ["quantize fm --to f16 --output fm", "is one of the files that are read"],
  ])("%s: usage", async (line, message) => {
    const { code, err } = await call(line);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});
