import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VERSION } from "../../../src/version.js";
import { isInstalled, packageFolder } from "../install.js";
import { testFixture } from "../support/fixture-tests.js";
import { output, ROOT } from "../support/processes.js";
import { runProgram } from "../support/project.js";
import { RECORD, readRecord } from "../support/record.js";

/*
 * The record of what every runtime must come to is of Node 20. A change of it is a change of what users get with their
 * seeds; it belongs into the CHANGELOG.
 *
 * UPDATE_PINS=1 npx vitest run --project runtimes test/runtimes/node
 */

const CLI = join(ROOT, "bin", "ifm-wasm.js");
const VERSIONS = ["node20", "node22", "node24", "node26"];
const binaryOf = (name: string) => join(packageFolder(name), "bin", "node");
const runFixture = (binary: string, threads: number) => runProgram("node/run.mjs", binary, [], threads);

if (process.env.UPDATE_PINS === "1") {
  const { hashes } = await runFixture(binaryOf("node20"), 1);
  writeFileSync(RECORD, `${JSON.stringify(hashes, null, 2)}\n`);
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ifm-wasm-node-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** SHA-256 of the model that one epoch on the sample makes. */
async function trainOnSample(binary: string, name: string): Promise<string> {
  const file = join(folder, `${name}.safetensors`);
  expect(await output(binary, [CLI, "train", "--epochs", "1", "--quiet", "--output", file])).toBe(file);
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}

describe.each(VERSIONS)("%s", (name) => {
  const binary = binaryOf(name);
  const installed = isInstalled(name);
  testFixture({
    name: name.replace("node", "Node "),
    installed,
    run: (threads) => runFixture(binary, threads),
  });

  it("runs the command line", async (context) => {
    context.skip(!installed, `${name} is not installed`);
    expect(await output(binary, [CLI, "--version"])).toBe(VERSION);
  });

  it("trains on the sample to the same bytes as this version", async (context) => {
    context.skip(!installed, `${name} is not installed`);
    expect(await trainOnSample(binary, name)).toBe(await trainOnSample(process.execPath, "this"));
  });
});

describe(`this version, ${process.version}`, () => {
  it("comes to the bits of the record", async () => {
    const { hashes } = await runFixture(process.execPath, 1);
    expect(hashes).toEqual(readRecord());
  });
});
