import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fuzz } from "./engine.js";
import { instrument } from "./instrument.js";
import { fuzzTarget, inputsOf, TARGETS } from "./run.js";

// A bounded run of the fuzzer; `npm run fuzz` is the long one.

const EXECUTIONS = 3000;
const SECONDS = 10;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ifm-wasm-fuzz-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Imports a module with counters in it. */
async function load(name: string, code: string) {
  const file = join(folder, `${name}.mjs`);
  await writeFile(file, instrument(code).code);
  delete (globalThis as { fuzzCounters?: Uint8Array }).fuzzCounters;
  return (await import(pathToFileURL(file).href)) as { run: (bytes: Uint8Array) => unknown; [name: string]: unknown };
}

const target = (run: (bytes: Uint8Array) => unknown) => ({
  name: "planted",
  seeds: () => [new TextEncoder().encode("....")],
  words: [],
  maxBytes: 64,
  memory: { base: 10_000, factor: 1 },
  run,
});

describe("the fuzzer", () => {
  it("finds a fault behind four nested conditions, which chance alone would not find", async () => {
    const { run } = await load(
      "nested",
      `export function run(b) {
         if (b[0] === 0x42) if (b[1] === 0x55) if (b[2] === 0x47) if (b[3] === 0x21) throw new Error("found");
       }`,
    );
    const problems: string[] = [];
    let left = 400_000;
    const result = await fuzz(target(run), {
      corpus: [],
      seed: 1,
      until: () => problems.length > 0 || --left < 0,
      found: (kind, _input, problem) => kind === "crash" && problems.push(problem!),
    });
    expect(problems).toEqual([expect.stringContaining("found")]);
    expect(result.covered).toBe(result.branches);
  });

  it("finds what takes more memory than its input accounts for, before it is given", async () => {
    const { run } = await load("memory", "export const run = (b) => new Uint8Array(b[0] > 0x80 ? 2 ** 32 : 8).length;");
    const problems: string[] = [];
    let left = 10_000;
    await fuzz(target(run), {
      corpus: [],
      seed: 1,
      until: () => problems.length > 0 || --left < 0,
      found: (kind, _input, problem) => kind === "crash" && problems.push(problem!),
    });
    expect(problems).toEqual([expect.stringContaining("TooMuchMemory")]);
  });

  it("does not change what a program does", async () => {
    const code = `
      const pick = (n) => n > 2 ? "many" : n && "some" || "none";
      export function run(list) {
        let sum = 0;
        for (const n of list) if (n % 2) sum += n; else sum -= 1;
        do sum++; while (sum < 3);
        switch (sum) { case 3: sum = 30; break; default: sum *= 2; }
        label: for (;;) { for (;;) break label; }
        try { null.x; } catch { sum += 0.5; }
        class A { static { sum++; } #f = sum ?? 1; get f() { return this.#f; } }
        return [sum, pick(list.length), (() => ({ a: new A().f }))(), \`\${list.length ? "t" : "f"}\`];
      }`;
    const plain = join(folder, "plain.mjs");
    await writeFile(plain, code);
    const { run: expected } = await import(pathToFileURL(plain).href);
    const { run } = await load("counted", code);
    for (const list of [[], [1], [2, 4], [1, 2, 3, 9]]) expect(run(list as never)).toEqual(expected(list));
  });
});

describe.each(TARGETS)("%s", (name) => {
  it(`survives the attacks and ${EXECUTIONS} executions`, async () => {
    const problems: string[] = [];
    const result = await fuzzTarget(name, {
      seconds: SECONDS,
      executions: EXECUTIONS,
      found: (kind, input, problem) => {
        if (kind !== "new")
          problems.push(`${kind}: ${problem}\n${Buffer.from(input).toString("latin1").slice(0, 200)}`);
      },
    });
    expect(problems).toEqual([]);
    expect(result.executions).toBeGreaterThan(inputsOf(name).length);
    expect(result.corpus).toBeGreaterThan(inputsOf(name).length);
  });
});

it("every attack has a target", async () => {
  const folders = await readdir(fileURLToPath(new URL("../attacks", import.meta.url)), { withFileTypes: true });
  const names = folders.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect(TARGETS).toContain(name);
});
