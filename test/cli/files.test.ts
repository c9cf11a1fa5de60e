import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { pretrainFile, refuseOverwrite, refuseSecondStdin, trainingFiles } from "../../src/cli/files.js";
import { temporaryFolder } from "./support.js";

const sample = { train: "/pkg/adult.train.libfm.gz", validation: "/pkg/adult.validation.libfm.gz" };
const folder = temporaryFolder();
afterAll(folder.remove);

function usage(message: string) {
  return expect.objectContaining({ code: "IFM_USAGE", message });
}

describe("the files of a training", () => {
  it("are the sample when none is named", async () => {
    expect(await trainingFiles(undefined, {}, sample)).toEqual({ ...sample, name: "adult", isSample: true });
  });

  it("are those named", async () => {
    const files = await trainingFiles("a/ml-tag.train.libfm.gz", { validation: "b", test: "-" }, sample);
    expect(files).toEqual({
      train: "a/ml-tag.train.libfm.gz",
      validation: "b",
      test: "-",
      name: "ml-tag",
      isSample: false,
    });
  });

  it("are those of a data set, packed or not, as far as they are there", async () => {
    const home = join(folder.path, "toy");
    mkdirSync(home);
    writeFileSync(join(home, "toy.train.libfm.gz"), "");
    writeFileSync(join(home, "toy.test.libfm"), "");
    writeFileSync(join(home, "toy.test.libfm.gz"), "");
    expect(await trainingFiles(undefined, { dataset: "toy", path: folder.path }, sample)).toEqual({
      train: join(home, "toy.train.libfm.gz"),
      test: join(home, "toy.test.libfm"),
      name: "toy",
      isSample: false,
    });
  });

  it("are bad data when the training file of a data set is missing", async () => {
    await expect(trainingFiles(undefined, { dataset: "none", path: folder.path }, sample)).rejects.toMatchObject({
      code: "IFM_DATA",
      file: join(folder.path, "none", "none.train.libfm"),
    });
  });

  it("must not contradict each other", async () => {
    const find = (file: string | undefined, options: Parameters<typeof trainingFiles>[1]) =>
      trainingFiles(file, options, sample);
    await expect(find("f", { dataset: "d" })).rejects.toThrow(
      usage('expected FILE or --dataset, got both "f" and "d"'),
    );
    await expect(find(undefined, { test: "t" })).rejects.toThrow(usage("--test: there is no training file"));
    await expect(find("f", { path: "p" })).rejects.toThrow(
      usage("--path: names the folder of a --dataset, and there is none"),
    );
    await expect(find("-", { validation: "-" })).rejects.toThrow(usage("-: standard input can be read once only"));
  });
});

describe("files that are not for reading", () => {
  it("do not replace what is read", () => {
    expect(() => refuseOverwrite("./a/../rows.libfm", ["rows.libfm"])).toThrow(
      usage('--output: "./a/../rows.libfm" is one of the files that are read'),
    );
    expect(() => refuseOverwrite("m.safetensors", ["rows.libfm", undefined, "-"])).not.toThrow();
  });

  it("are named like those of the authors", () => {
    expect(pretrainFile("fm", "ml-tag", 256)).toBe(join("pretrain", "fm_ml-tag_256.safetensors"));
  });

  it("are standard input once at most", () => {
    expect(() => refuseSecondStdin(["-", "f", undefined])).not.toThrow();
    expect(() => refuseSecondStdin(["-", "-"])).toThrow(usage("-: standard input can be read once only"));
  });
});
