import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { Model } from "../../src/model/model.js";
import { configOf, modelOf } from "../support/session.js";
import { errorOf, toModel } from "../support/train.js";

/** 15 kB whose 523,776 pairs of slots ask for gigabytes. */
const FILE = fileURLToPath(new URL("../attacks/model/pairs-want-gigabytes", import.meta.url));

describe("a model whose memory its file does not account for", () => {
  it("is refused with both sizes, from a file or from bytes", async () => {
    const error = await errorOf(Model.load(FILE));
    expect(error).toMatchObject({ code: "IFM_MEMORY", file: FILE });
    expect(error.message).toMatch(/at most 268\.\d MB of memory, found one of 3\.\d GB in a file of 15 kB/);
    expect(error.hint).toContain("maxMemory");
    expect(await errorOf(Model.load(await readFile(FILE)))).toMatchObject({ code: "IFM_MEMORY", file: undefined });
  });

  it("may be as large as the caller says, and no larger", async () => {
    using small = await toModel(modelOf(configOf({ model: "fm", factors: 4, features: 10 }), 1));
    const bytes = small.toBytes();
    const error = await errorOf(Model.load(bytes, { maxMemory: 10_000 }));
    expect(error.message).toContain("at most 10 kB");
    using loaded = await Model.load(bytes, { maxMemory: 1e9 });
    expect(loaded.toBytes()).toEqual(bytes);
  });
});
