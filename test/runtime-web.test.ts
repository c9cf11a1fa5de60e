import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { IfmError } from "../src/errors.js";
import {
  breathe,
  kernelBuilds,
  mostThreads,
  readModelFile,
  startThread,
  whyOneThread,
  writeModelFile,
} from "../src/runtime-web.js";

// What runtimes without files have in common. test/bundlers and test/runtimes run whole entries.

const bytes = new Uint8Array(readFileSync(new URL("../wasm/ifm.wasm", import.meta.url)));

describe("the kernels of a runtime", () => {
  it("are compiled once, when they are asked for", async () => {
    let asked = 0;
    const kernelBuild = kernelBuilds({
      one: () => {
        asked++;
        return bytes;
      },
    });
    expect(asked).toBe(0);
    const [first, second] = await Promise.all([kernelBuild("one"), kernelBuild("one")]);
    expect(first.shared).toBe(false);
    expect(second.module).toBe(first.module);
    expect(asked).toBe(1);
  });

  it("are asked for again when they could not be had", async () => {
    const answers = [new Response("gone", { status: 503 }), new Response(bytes)];
    const kernelBuild = kernelBuilds({ one: () => answers.shift()! });
    await expect(kernelBuild("one")).rejects.toMatchObject({ code: "IFM_WASM" });
    expect((await kernelBuild("one")).module).toBeInstanceOf(WebAssembly.Module);
  });

  it("are none of relaxed SIMD unless there are some", async () => {
    const kernelBuild = kernelBuilds({ one: () => bytes });
    await expect(kernelBuild("fast")).rejects.toBeInstanceOf(WebAssembly.CompileError);
  });

  it("share a memory when they are for several threads", async () => {
    const kernelBuild = kernelBuilds({ one: () => bytes, threads: () => bytes.slice(), fast: () => bytes.slice() });
    const shared = await Promise.all((["one", "threads", "fast"] as const).map((build) => kernelBuild(build)));
    expect(shared.map((build) => build.shared)).toEqual([false, true, true]);
  });
});

describe("a runtime without files and threads", () => {
  it("starts no thread", async () => {
    expect(mostThreads()).toBe(1);
    expect(whyOneThread()).toBe("this runtime has no others");
    await expect(startThread()).rejects.toThrow("this runtime has none");
  });

  it("writes no file, and says what to do instead", async () => {
    const error = await writeModelFile("ifm.safetensors").catch((error: unknown) => error);
    expect(error).toBeInstanceOf(IfmError);
    expect(error).toMatchObject({ code: "IFM_USAGE", hint: expect.stringContaining("toBytes()") });
  });

  it("says which model file cannot be fetched", async () => {
    await expect(readModelFile("http://127.0.0.1:9/ifm.safetensors")).rejects.toMatchObject({
      code: "IFM_MODEL",
      message: expect.stringMatching(/^http:\/\/127\.0\.0\.1:9\/ifm\.safetensors: cannot be fetched \(/),
    });
  });

  it.each([
    ["with channels", globalThis.MessageChannel],
    ["without", undefined],
  ])("lets timers have their turn, %s", async (_, channel) => {
    const { MessageChannel } = globalThis;
    Object.assign(globalThis, { MessageChannel: channel });
    try {
      let turns = 0;
      setTimeout(() => turns++, 0);
      for (let breaths = 0; turns === 0 && breaths < 1000; breaths++) await breathe();
      expect(turns).toBe(1);
    } finally {
      Object.assign(globalThis, { MessageChannel });
    }
  });
});
