import { describe, expect, test } from "vitest";
import { type ModelConfig, validateModelConfig } from "../../src/config.js";
import { IfmError } from "../../src/errors.js";
import { encodeModel, modelParts } from "../../src/model/format.js";
import { type DecodedModel, decodeModel } from "../../src/model/format-read.js";
import { layoutOf } from "../../src/model/layout.js";
import { quantizeTensors } from "../../src/model/quantize.js";
import { encodeSafetensors, type Tensor } from "../../src/model/safetensors.js";
import { decodeSafetensors } from "../../src/model/safetensors-read.js";

const IFM = validateModelConfig({
  model: "ifm",
  features: 5,
  fields: 2,
  factors: 3,
  attentionFactors: 4,
  fieldFactors: 2,
  fieldOfSlot: [0, 1],
});
const FM = validateModelConfig({ model: "fm", features: 5, factors: 3 });
const RECORD = { version: "0.1.0", seed: 7, labelMin: -1, labelMax: 1, rows: 20, bestEpoch: 3 };

/** Tensors as the layout wants them, filled with different numbers. */
function tensorsOf(config: ModelConfig): Tensor[] {
  return layoutOf(config).tensors.map(({ name, shape }, i) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return { name, shape, data: Float32Array.from({ length }, (_, at) => i + at / 8) };
  });
}

/** A file with other metadata, or other tensors. */
function file(
  change: { metadata?: Record<string, string | undefined>; tensors?: (list: Tensor[]) => Tensor[] },
  config = IFM,
): Uint8Array {
  const { metadata, tensors } = decodeSafetensors(encodeModel(config, RECORD, tensorsOf(config)));
  const entries = Object.entries({ ...metadata, ...change.metadata }).filter(([, value]) => value !== undefined);
  const list = [...tensors.values()];
  return encodeSafetensors(change.tensors?.(list) ?? list, Object.fromEntries(entries) as Record<string, string>);
}

/** A file whose config has other entries. */
function withConfig(changes: Record<string, unknown>, config = IFM): Uint8Array {
  const { metadata } = decodeSafetensors(encodeModel(config, RECORD, tensorsOf(config)));
  return file({ metadata: { config: JSON.stringify({ ...JSON.parse(metadata.config!), ...changes }) } }, config);
}

function refused(bytes: Uint8Array, name?: string): IfmError {
  try {
    decodeModel(bytes, name);
  } catch (error) {
    expect(error).toBeInstanceOf(IfmError);
    expect(error).toMatchObject({ code: "IFM_MODEL", file: name });
    return error as IfmError;
  }
  throw new Error("no error was thrown");
}

describe("a model file", () => {
  test("has format, version, digest and config, and the config what the model is before how it came to be", () => {
    const { metadata } = decodeSafetensors(encodeModel(IFM, RECORD, tensorsOf(IFM), "abc="));
    expect(Object.keys(metadata)).toEqual(["format", "format_version", "digest", "config"]);
    expect(metadata).toMatchObject({ format: "ifm-wasm", format_version: "1", digest: "sha256-abc=" });
    const config = JSON.parse(metadata.config!);
    expect(config).toEqual({ ...IFM, ...RECORD });
    expect(Object.keys(config)[0]).toBe("model");
    expect(Object.keys(config).slice(-6)).toEqual(Object.keys(RECORD));
  });

  test("says no digest when there is none", () => {
    const { metadata } = decodeSafetensors(encodeModel(IFM, RECORD, tensorsOf(IFM)));
    expect(Object.keys(metadata)).toEqual(["format", "format_version", "config"]);
  });

  test("is the same bytes in parts", () => {
    const tensors = tensorsOf(IFM);
    const parts = tensors.map(({ name, shape, data }) => {
      return { name, shape, length: data.length, dtype: "F32" as const, parts: () => [data] };
    });
    const bytes = Buffer.concat([...modelParts(IFM, RECORD, parts, "abc=")]);
    expect(new Uint8Array(bytes)).toEqual(encodeModel(IFM, RECORD, tensors, "abc="));
  });

  test.each([
    ["ifm", IFM],
    ["fm", FM],
    ["fm with batch norm", { ...FM, batchNorm: true }],
  ])("gives back what it was made of: %s", (_, config) => {
    const tensors = tensorsOf(config);
    const back = decodeModel(encodeModel(config, RECORD, tensors, "abc="), "m.safetensors");
    expect(back).toMatchObject({ config, record: RECORD, dtype: "F32", digest: "sha256-abc=" } as DecodedModel);
    expect(Object.keys(back.record)).toEqual(Object.keys(RECORD));
    expect([...back.tensors.values()]).toEqual(tensors);
    expect(back.data.length).toBe(tensors.reduce((sum, { data }) => sum + data.byteLength, 0));
  });

  test.each(["f16", "int8"] as const)("knows a table of %s by its numbers", (to) => {
    const back = decodeModel(encodeModel(FM, {}, quantizeTensors(tensorsOf(FM), to)));
    expect(back.dtype).toBe(to === "f16" ? "F16" : "I8");
    expect(back.digest).toBeUndefined();
  });

  test("of FM has batch norm when its tensors say so and the config does not", () => {
    const normed = { ...FM, batchNorm: true };
    expect(decodeModel(withConfig({ batchNorm: undefined }, normed)).config.batchNorm).toBe(true);
    expect(decodeModel(withConfig({ batchNorm: undefined }, FM)).config.batchNorm).toBe(false);
    const extra: Tensor = { name: "batch_norm.gamma", shape: [3], data: new Float32Array(3) };
    const bytes = file({ tensors: (list) => [...list, extra] });
    const { metadata, tensors } = decodeSafetensors(bytes);
    const config = JSON.stringify({ ...JSON.parse(metadata.config!), batchNorm: undefined });
    // Other models have none, whatever else is in their file.
    expect(decodeModel(encodeSafetensors([...tensors.values()], { ...metadata, config })).config.batchNorm).toBe(false);
  });
});

describe("what is refused", () => {
  test.each<[string, Record<string, string | undefined>, string]>([
    ["no format", { format: undefined }, 'metadata: expected format "ifm-wasm", found none'],
    ["another format", { format: "pt" }, 'metadata: expected format "ifm-wasm", found "pt"'],
    ["another version", { format_version: "2" }, 'metadata: expected format_version "1", found "2"'],
    ["no config", { config: undefined }, "metadata: config is missing"],
    ["a config that is null", { config: "null" }, "metadata: config is no JSON object"],
    ["a config that is a list", { config: "[]" }, "metadata: config is no JSON object"],
    ["a config that is a number", { config: "1" }, "metadata: config is no JSON object"],
  ])("%s", (_, metadata, message) => {
    const error = refused(file({ metadata }), "m.safetensors");
    expect(error.message).toBe(`m.safetensors: ${message}`);
    expect(error.hint).toBe(metadata.format_version === "2" ? "a newer ifm-wasm may read it" : undefined);
    expect(refused(file({ metadata })).message).toBe(message);
  });

  test("a config that is no JSON", () => {
    expect(refused(file({ metadata: { config: "{" } })).message).toMatch(/^metadata: config is not JSON \(.+\)$/);
  });

  test("a config that is of no model", () => {
    expect(refused(withConfig({ factors: -1 }), "m").message).toMatch(/^m: config: .*factors/);
  });

  test.each(["seed", "labelMin", "labelMax", "rows", "bestEpoch"])("a record whose %s is no number", (key) => {
    for (const value of ["1", null, true, {}]) {
      expect(refused(withConfig({ [key]: value })).message).toBe(`config: ${key} is no number`);
    }
    expect(decodeModel(withConfig({ [key]: undefined })).record).not.toHaveProperty(key);
  });

  test("a file without one of the model's tensors", () => {
    const bytes = file({ tensors: (list) => list.filter(({ name }) => name !== "factor") });
    expect(refused(bytes).message).toBe("tensor factor: missing; ifm needs it with shape [2,3]");
  });

  test.each<[number[], string]>([
    [[3, 2], "[3,2]"],
    [[6], "[6]"],
    [[2, 3, 1], "[2,3,1]"],
  ])("a tensor of the shape %j", (shape, found) => {
    const bytes = file({
      tensors: (list) => list.map((tensor) => (tensor.name === "factor" ? { ...tensor, shape } : tensor)),
    });
    expect(refused(bytes).message).toBe(`tensor factor: expected shape [2,3] from the config, found ${found}`);
  });

  test("a tensor of another type than the table's", () => {
    const bytes = file({
      tensors: (list) =>
        list.map((tensor) => (tensor.name === "bias" ? { ...tensor, data: Uint16Array.of(0x3c00) } : tensor)),
    });
    expect(refused(bytes).message).toBe("tensor bias: expected dtype F32, found F16");
  });
});
