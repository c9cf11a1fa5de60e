import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { reportError } from "../../src/cli/exit.js";
import { missingFileHint } from "../../src/cli/missing-file.js";
import { loadDataset } from "../../src/data/open.js";
import { testIo } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "ifm-missing-"));
afterAll(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "train.libfm.gz"), "");
writeFileSync(join(folder, "test.libfm.gz"), "");

it.each([
  ["tran.libfm.gz", `did you mean "${join(folder, "train.libfm.gz")}"?`],
  ["test.libfm", `did you mean "${join(folder, "test.libfm.gz")}"?`],
  ["TRAIN.LIBFM.GZ", `did you mean "${join(folder, "train.libfm.gz")}"?`],
  ["something entirely different", `look into the folder "${folder}"`],
  ["nowhere/train.libfm", `there is no folder "${join(folder, "nowhere")}"`],
  ["train.libfm.gz/x", `there is no folder "${join(folder, "train.libfm.gz")}"`],
])("%s: %s", (name, hint) => {
  expect(missingFileHint(join(folder, name))).toBe(hint);
});

it("is what the command line says of a data file that is not there", async () => {
  const io = testIo();
  const path = join(folder, "tran.libfm.gz");
  const code = await loadDataset(path).then(
    () => 0,
    (error) => reportError(error, io),
  );
  expect(code).toBe(3);
  expect(io.stderr()).toBe(`error: ${path}: no such file\n  did you mean "${join(folder, "train.libfm.gz")}"?\n`);
});
