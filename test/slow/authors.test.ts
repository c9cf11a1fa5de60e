import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCommand, jsonLines, readTensors, rowsText, run, temporaryFolder } from "../cli/support.js";

// The three commands of the README of the authors' code, as they stand there, on rows laid out as theirs.

const COMMANDS = {
  fm: "--dataset ml-tag --epoch 100 --pretrain -1 --batch_size 4096 --hidden_factor 256 --lr 0.01 --keep 0.3",
  ifm:
    "--dataset ml-tag --epoch 100 --pretrain 1 --batch_size 4096 --hidden_factor [8,256] --keep [1.0,0.9] --temp 10 " +
    "--lr 0.1 --lamda_attention1 0.01",
  inn:
    "--dataset ml-tag --epoch 100 --pretrain 1 --batch_size 4096 --hidden_factor [8,256] --keep [1.0,0.9] --temp 10 " +
    "--lr 0.1 --lamda_attention1 0.01",
};

const TENSORS_OF_FM = ["bias", "feature_bias", "feature_embeddings"];

const folder = temporaryFolder();
beforeAll(buildCommand);
afterAll(folder.remove);

describe.each([
  ["as they are", []],
  ["with --compat authors", ["--compat", "authors"]],
])("the authors' commands %s", (title, more) => {
  const compat = more.length > 0;
  const home = join(folder.path, title);
  const code = join(home, "code");

  beforeAll(() => {
    const data = join(home, "data", "ml-tag");
    mkdirSync(data, { recursive: true });
    mkdirSync(code);
    for (const part of ["train", "validation", "test"]) {
      writeFileSync(join(data, `ml-tag.${part}.libfm`), rowsText(part === "train" ? 300 : 60, 3));
    }
  });

  /** Trains in the folder `code`; the events. */
  async function train(kind: keyof typeof COMMANDS): Promise<Record<string, unknown>[]> {
    const args = ["train", "--model", kind, ...COMMANDS[kind].split(" "), ...more, "--json"];
    const { code: exit, stdout, stderr } = await run(args, { cwd: code });
    // Their FM has batch normalisation, of which the others have no use.
    const left = /^(warning: --init: batch_norm\.\w+ was not taken: \w+ has no such tensor\n){4}$/;
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: compat && kind !== "fm" ? expect.stringMatching(left) : "" });
    return jsonLines(stdout);
  }

  const pretrained = join("pretrain", "fm_ml-tag_256.safetensors");

  it("train an FM and leave it under pretrain/", async () => {
    const [start, ...events] = await train("fm");
    expect(start).toMatchObject({
      ...{ model: "fm", epochs: 100, batchSize: 4096, factors: 256, lr: 0.01, keep: [1, 0.3], batchNorm: compat },
      rows: { train: 300, validation: 60, test: 60 },
    });
    expect(events.at(-1)).toMatchObject({ event: "end", output: "fm.safetensors", pretrain: pretrained });
    expect(readdirSync(join(code, "pretrain"))).toEqual(["fm_ml-tag_256.safetensors"]);
    expect(readTensors(join(code, pretrained))).toEqual(readTensors(join(code, "fm.safetensors")));
  });

  it.each(["ifm", "inn"] as const)("train %s from there", async (kind) => {
    const [start, ...events] = await train(kind);
    expect(start).toMatchObject({
      ...{ model: kind, epochs: 100, batchSize: 4096, factors: 256, attentionFactors: 8, fieldFactors: 16 },
      ...{ keep: [1, 0.9], temperature: 10, temperatureOn: compat ? "projection" : "logits", lr: 0.1 },
      l2: { field: 0.01, attention: 0 },
      files: { init: pretrained, output: `${kind}.safetensors` },
    });
    const { taken } = start.init as { taken: string[] };
    expect(taken.toSorted()).toEqual(TENSORS_OF_FM);
    expect(events.at(-1)).toMatchObject({ event: "end", test: { rmse: expect.any(Number) } });
    // Their last weights stay, after as many epochs as were asked for.
    if (compat) expect(events.at(-1)).toMatchObject({ bestEpoch: 100, epochs: 100, reason: "epochs" });
  });
});
