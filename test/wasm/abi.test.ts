import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  ABI_VERSION,
  ACTIVATION,
  DESC_BYTES,
  Desc,
  FIELDS,
  FLOATS,
  KEEP_ALL,
  LOSS,
  MODEL,
  OPTIMIZER,
  TABLE,
} from "../../src/wasm/abi.js";
import { HEAP_BASE, instantiateKernels } from "../../src/wasm/load.js";
import { STREAM_PRODUCTS, STREAM_WEIGHTS } from "../support/dropout.js";
import { ALL_BUILDS, readModule } from "../support/memory.js";

const source = (path: string) => readFileSync(new URL(`../../assembly/${path}`, import.meta.url), "utf8");

/** Every `export const NAME: u32 = …;` of a file. */
function constantsOf(path: string): Record<string, number> {
  const found = [...source(path).matchAll(/^export const (\w+): u32 = (\d+);/gm)];
  return Object.fromEntries(found.map(([, name, value]) => [name!, Number(value)]));
}

/** Names and types of the fields of class Desc, in order. */
function fieldsOf(text: string): [string, string][] {
  const body = /^export class Desc \{\n([\s\S]*?)^\}/m.exec(text)![1]!;
  const lines = body.split("\n").filter((line) => line.trim() !== "" && !line.trim().startsWith("//"));
  return lines.map((line) => {
    const field = /^ {2}(\w+): (u32|usize|f32);/.exec(line);
    if (!field) throw new Error(`abi.ts: "${line}" is no field of 4 bytes`);
    return [field[1]!, field[2] === "f32" ? "f32" : "u32"];
  });
}

describe("assembly/abi.ts and src/wasm/abi.ts", () => {
  test("have the same fields in the same order", () => {
    const typed = FIELDS.map((name) => [name, FLOATS.has(name) ? "f32" : "u32"]);
    expect(typed).toEqual(fieldsOf(source("abi.ts")));
  });

  test("name no field twice", () => {
    expect(new Set(FIELDS).size).toBe(FIELDS.length);
  });

  test("have the same constants", () => {
    const constants = constantsOf("abi.ts");
    const upper = (values: Record<string, number>) =>
      Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toUpperCase(), value]));
    // The kernels name only the models that they compute.
    const models = Object.entries(upper(MODEL)).filter(([name]) => name in constants);
    expect(models.map(([name]) => name)).toEqual(["FM", "AFM", "IFM", "INN", "DEEPIFM"]);
    expect(constants).toEqual({
      ABI_VERSION,
      ...Object.fromEntries(models),
      ...upper(LOSS),
      ...upper(ACTIVATION),
      ...upper(OPTIMIZER),
      ...upper(TABLE),
    });
  });

  test("agree on dropout", () => {
    expect(constantsOf("kernels/dropout.ts")).toEqual({ KEEP_ALL, STREAM_WEIGHTS, STREAM_PRODUCTS });
  });

  test("values of an enumeration differ", () => {
    for (const values of [MODEL, LOSS, ACTIVATION, OPTIMIZER, TABLE]) {
      expect(new Set(Object.values(values)).size).toBe(Object.keys(values).length);
    }
  });
});

const PREDICT = { build: "predict", module: { module: readModule("wasm/ifm-predict.wasm"), shared: false } };

describe.each([...ALL_BUILDS, PREDICT])("$build module", ({ build, module: { module, shared } }) => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared });
  const kernels = instantiateKernels(module, memory);

  test("has the struct's size and version", () => {
    expect(kernels.descBytes()).toBe(DESC_BYTES);
    expect(kernels.abiVersion()).toBe(ABI_VERSION);
  });

  test("keeps its constants below the first address that is handed out", () => {
    expect(kernels.heapBase()).toBeLessThanOrEqual(HEAP_BASE);
  });

  test("imports the memory; only the debug build, for its asserts, abort", () => {
    const names = WebAssembly.Module.imports(module).map(({ name }) => name);
    expect(names.sort()).toEqual(build === "debug" ? ["abort", "memory"] : ["memory"]);
  });

  test("exports what load.ts declares", () => {
    const text = readFileSync(new URL("../../src/wasm/load.ts", import.meta.url), "utf8");
    const declared = (name: string) =>
      new RegExp(`^export interface ${name}Kernels \\{\\n([\\s\\S]*?)^\\}`, "m")
        .exec(text)![1]!
        .match(/^ {2}\w+(?=\()/gm)!;
    const parts = { release: ["Common", "Training"], predict: ["Common", "Serving"] };
    const wanted = parts[build as keyof typeof parts] ?? ["Common", "Training", "Serving"];
    const exported = WebAssembly.Module.exports(module).map(({ name }) => name);
    expect(exported.sort()).toEqual(
      wanted
        .flatMap(declared)
        .map((name) => name.trim())
        .sort(),
    );
  });
});

test("a module of another kind or version is refused", () => {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536 });
  expect(() => instantiateKernels(readModule("build/kernels.wasm"), memory)).toThrow(
    expect.objectContaining({
      code: "IFM_WASM",
      message: `kernels: expected ABI version ${ABI_VERSION}, found none`,
      hint: expect.stringContaining("same version"),
    }),
  );
});

describe("Desc", () => {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const desc = new Desc(memory, 64);

  test("reads back what it wrote, each field in its own place", () => {
    const values = Object.fromEntries(FIELDS.map((name, i) => [name, FLOATS.has(name) ? i + 0.5 : 2 ** 31 + i]));
    desc.set(values);
    for (const name of FIELDS) expect([name, desc.get(name)]).toEqual([name, values[name]]);
    // Little-endian, in order
    const view = new DataView(memory.buffer, 64);
    FIELDS.forEach((name, i) => {
      expect(FLOATS.has(name) ? view.getFloat32(4 * i, true) : view.getUint32(4 * i, true)).toBe(values[name]);
    });
  });

  test("touches nothing else", () => {
    const bytes = new Uint8Array(memory.buffer);
    expect(bytes.subarray(0, 64).every((byte) => byte === 0)).toBe(true);
    expect(bytes.subarray(64 + DESC_BYTES).every((byte) => byte === 0)).toBe(true);
    desc.set({ lr: 0.25 });
    expect(desc.get("optimizer")).toBe(2 ** 31 + FIELDS.indexOf("optimizer"));
    expect(desc.get("lr")).toBe(0.25);
  });
});
