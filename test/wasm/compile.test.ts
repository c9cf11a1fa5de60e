import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { beforeAll, describe, expect, it } from "vitest";
import { createTrainer, type IfmError, type KernelSource, Model, readLibfm } from "../../src/node.js";

// The option `wasm`: kernels that a caller brings along.

const PATH = new URL("../../wasm/ifm.wasm", import.meta.url).pathname;
const bytes = new Uint8Array(readFileSync(PATH));
const data = { train: await readLibfm("1 0:1 2:1\n-1 1:1 2:1\n1 0:1 3:1\n-1 1:1 3:1\n") };
const options = { model: { model: "ifm", factors: 4 }, train: { epochs: 2 }, data } as const;

async function trained(wasm?: KernelSource): Promise<Uint8Array> {
  using trainer = await createTrainer({ ...options, ...(wasm === undefined ? {} : { wasm }) });
  for await (const _event of trainer);
  using model = trainer.model();
  return model.toBytes();
}

const errorOf = (wasm: KernelSource, more = {}): Promise<IfmError> =>
  createTrainer({ ...options, ...more, wasm }).then(
    () => Promise.reject(new Error("no error was thrown")),
    (error) => error,
  );

describe("kernels that a caller brings along", () => {
  let expected: Uint8Array;
  beforeAll(async () => {
    expected = await trained();
  });

  it.each<[string, () => KernelSource]>([
    ["bytes", () => bytes],
    ["an ArrayBuffer", () => bytes.slice().buffer],
    ["bytes of another realm", () => runInNewContext("Uint8Array.from(bytes)", { bytes: Array.from(bytes) })],
    ["a compiled module", () => new WebAssembly.Module(bytes)],
    ["a path", () => PATH],
    ["a URL", () => pathToFileURL(PATH)],
    ["a response", () => new Response(bytes, { headers: { "content-type": "application/wasm" } })],
    ["a response of another type", () => new Response(bytes, { headers: { "content-type": "text/plain" } })],
  ])("may be %s", async (_, source) => {
    expect(await trained(source())).toEqual(expected);
  });

  it("may be a module of another realm", async () => {
    const module = runInNewContext("new WebAssembly.Module(Uint8Array.from(bytes))", { bytes: Array.from(bytes) });
    expect(module).not.toBeInstanceOf(WebAssembly.Module);
    expect(await trained(module)).toEqual(expected);
  });

  it("are those for threads when there are several", async () => {
    const wasm = new URL("../../wasm/ifm-threads.wasm", import.meta.url);
    using trainer = await createTrainer({ ...options, threads: 2, wasm });
    expect(trainer.threads).toBe(2);
    for await (const _event of trainer);
    using model = trainer.model();
    expect(model.toBytes()).toEqual(expected);
    using again = await Model.load(model.toBytes(), { wasm, threads: 2 });
    expect(again.toBytes()).toEqual(expected);
  });

  it("are explained when they are for another number of threads", async () => {
    const error = await errorOf(PATH, { threads: 2 });
    expect(error).toMatchObject({ code: "IFM_WASM", hint: expect.stringContaining("ifm-threads.wasm") });
  });

  const page = "<!doctype html><title>App</title><div id=app></div>";
  it.each<[string, KernelSource, string]>([
    ["a page", new Response(page), 'wasm: expected WebAssembly, found "<!doctype html><title>App</title"'],
    [
      "a page, as bytes",
      new TextEncoder().encode(page),
      'wasm: expected WebAssembly, found "<!doctype html><title>App',
    ],
    ["nothing", new Response(""), "wasm: expected WebAssembly, found nothing"],
    ["a status", new Response(page, { status: 404 }), "wasm: found HTTP status 404"],
    ["no file", "/nowhere/ifm.wasm", "/nowhere/ifm.wasm: cannot be read (ENOENT"],
  ])("are explained when there is %s in their place", async (_, wasm, message) => {
    const error = await errorOf(wasm);
    expect(error).toMatchObject({ name: "IfmError", code: "IFM_WASM" });
    expect(error.message).toContain(message);
    expect(error.hint).toMatch(/optimizeDeps\.exclude.*ifm-wasm\/inline.*\{ wasm \}/);
  });

  it("are explained when they cannot be compiled", async () => {
    const error = await errorOf(bytes.subarray(0, 1000));
    expect(error).toMatchObject({ code: "IFM_WASM", cause: expect.any(WebAssembly.CompileError) });
    expect(error.message).toMatch(/^wasm: cannot be compiled here \(/);
    expect(error.hint).toContain("wasm-unsafe-eval");
  });

  it("are explained when they are something else", async () => {
    const empty = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    expect((await errorOf(empty)).message).toBe("kernels: expected ABI version 4, found none");
  });
});
