import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { IfmError } from "../../src/errors.js";
import { dataParts, encodeSafetensors, type Tensor } from "../../src/model/safetensors.js";
import { decodeSafetensors } from "../../src/model/safetensors-read.js";
import { entry, file, moved, refused, SMALL, small, tensor } from "../support/safetensors.js";

const MAX_HEADER_BYTES = 16 * 1024 * 1024;

function usage(tensors: Tensor[], metadata: Record<string, string> = {}): string {
  let error: unknown;
  try {
    encodeSafetensors(tensors, metadata);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(IfmError);
  expect(error).toMatchObject({ code: "IFM_USAGE" });
  return (error as IfmError).message;
}

describe("encode", () => {
  test("writes exactly these bytes", () => {
    const bytes = encodeSafetensors([tensor("a", [2], [1, -2])], { k: "v" });
    const header = '{"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}} ';
    expect(header.length % 8).toBe(0);
    expect(Buffer.from(bytes).toString("latin1")).toBe(
      `${String.fromCharCode(header.length)}\0\0\0\0\0\0\0${header}\0\0\x80\x3f\0\0\0\xc0`,
    );
  });

  test("writes numbers from where they are", () => {
    const { name, shape, data } = tensor("a", [2], [1, -2]);
    const [bytes] = dataParts([{ name, shape, length: 2, dtype: "F32", parts: () => [data] }]);
    expect(bytes!.buffer).toBe(data.buffer);
  });

  test("leaves out empty metadata, and needs no tensors", () => {
    expect(Buffer.from(encodeSafetensors([], {})).toString("latin1")).toBe("\x08\0\0\0\0\0\0\0{}      ");
  });

  test("gives the same bytes every time, in the order given, and data at a multiple of 8", () => {
    expect(small()).toEqual(small());
    const names = [...decodeSafetensors(small()).tensors.keys()];
    expect(names).toEqual(SMALL.map(({ name }) => name));
    for (let length = 0; length < 16; length++) {
      const bytes = encodeSafetensors([tensor("x".repeat(length), [1], [1])], {});
      expect((bytes.length - 4) % 8).toBe(0);
    }
  });

  test("refuses what would not read back", () => {
    expect(usage([tensor("a", [2], [1])])).toContain('tensor "a": shape [2] does not fit 1 values');
    expect(usage([tensor("a", [-1, -1], [1])])).toContain("does not fit");
    expect(usage([tensor("a", [0.5, 2], [1])])).toContain("does not fit");
    expect(usage([tensor("a", new Array(65).fill(1), [1])])).toContain("does not fit");
    expect(usage([tensor("a", [1], [1]), tensor("a", [1], [1])])).toContain("taken");
    expect(usage([tensor("__metadata__", [1], [1])])).toContain("taken");
    expect(usage([tensor("\ud800", [1], [1])])).toContain("valid Unicode");
    expect(usage([], { "\udc00": "" })).toContain("valid Unicode");
    expect(usage([], { k: "\ud800" })).toContain("valid Unicode");
    expect(usage([], { k: undefined } as unknown as Record<string, string>)).toContain("valid Unicode");
    expect(usage([], { k: "x".repeat(MAX_HEADER_BYTES) })).toContain("at most 16777216 header bytes");
  });

  test("says when the file is larger than the runtime can hold", () => {
    // A list that claims more values than there is memory.
    const data = Object.defineProperties(new Float32Array(0), {
      length: { value: 2 ** 51 },
      byteLength: { value: 2 ** 53 },
    });
    expect(() => encodeSafetensors([{ name: "a", shape: [2 ** 51], data }], {})).toThrow(
      expect.objectContaining({ code: "IFM_MEMORY" }),
    );
  });
});

test("a machine that keeps numbers the other way round swaps their bytes, when it writes and when it reads", async () => {
  // Which way is seen from the bytes of a 1 in 16 bits; the modules are loaded anew by a machine that says the other.
  vi.resetModules();
  vi.stubGlobal(
    "Uint16Array",
    class {
      buffer = Uint8Array.of(0, 1).buffer;
    },
  );
  const write = await import("../../src/model/safetensors.js");
  const read = await import("../../src/model/safetensors-read.js");
  vi.unstubAllGlobals();
  vi.resetModules();
  const given = [tensor("a", [3], [1, -2, 0.1])];
  const bytes = write.encodeSafetensors(given, {});
  const words = (of: Uint8Array) =>
    Array.from({ length: 3 }, (_, i) => Array.from(of.slice(-12).subarray(4 * i, 4 * i + 4)));
  expect(words(bytes)).toEqual(words(encodeSafetensors(given, {})).map((word) => word.toReversed()));
  expect(read.decodeSafetensors(bytes).tensors.get("a")).toEqual(given[0]);
  expect(read.decodeSafetensors(moved(bytes, 1)).tensors.get("a")).toEqual(given[0]);
  const [part] = write.dataParts([{ ...given[0]!, length: 3, dtype: "F32", parts: () => [given[0]!.data] }]);
  expect(part!.buffer).not.toBe(given[0]!.data.buffer);
});

describe("decode", () => {
  test("gives back what was written, for any tensors, metadata and address", () => {
    const tensors = fc.uniqueArray(
      fc.record({
        name: fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
      }),
      { selector: ({ name }) => name, maxLength: 6 },
    );
    const metadata = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
    const float = fc.float({ noDefaultInfinity: true, noNaN: true });
    fc.assert(
      fc.property(tensors, metadata, fc.infiniteStream(float), fc.nat(7), (shapes, pairs, values, shift) => {
        const given = shapes.map(({ name, shape }): Tensor => {
          const length = shape.reduce((product, size) => product * size, 1);
          return { name, shape, data: Float32Array.from(values.take(length)) };
        });
        const bytes = moved(encodeSafetensors(given, pairs), shift);
        const back = decodeSafetensors(bytes);
        expect([...back.tensors.values()]).toEqual(given);
        expect([...back.tensors.keys()]).toEqual(given.map(({ name }) => name));
        expect(Object.entries(back.metadata)).toEqual(Object.entries(pairs));
        expect(encodeSafetensors([...back.tensors.values()], back.metadata)).toEqual(new Uint8Array(bytes));
      }),
    );
  });

  test("shares memory where the data are aligned and copies where not", () => {
    const aligned = small();
    const shared = decodeSafetensors(aligned).tensors.get("feature_embeddings")!;
    expect(shared.data.buffer).toBe(aligned.buffer);
    for (const shift of [1, 2, 3]) {
      const copied = decodeSafetensors(moved(aligned, shift)).tensors.get("feature_embeddings")!;
      expect(copied).toEqual(shared);
      expect(copied.data.buffer.byteLength).toBe(24);
    }
  });

  test("takes data of any alignment, tensors in any order, JSON of any form", () => {
    const header = `{ ${entry("b", "[ 1 ]", "[4 , 8]")},\n\t"\\u0061":{"data_offsets":[0,4],"dtype":"F\\u00332","shape":[]}\r}  `;
    expect(header.length % 4).not.toBe(0);
    const bytes = file(header, 8);
    const view = new DataView(bytes.buffer, bytes.length - 8);
    view.setFloat32(0, 1, true);
    view.setFloat32(4, 2, true);
    const { tensors, metadata } = decodeSafetensors(bytes);
    expect([...tensors.values()]).toEqual([tensor("b", [1], [2]), tensor("a", [], [1])]);
    expect(Object.keys(metadata)).toEqual([]);
  });

  test("takes empty tensors between others and at both ends", () => {
    const offsets = ["[8,8]", "[0,4]", "[4,4]", "[4,8]", "[0,0]", "[4,4]"];
    const entries = offsets.map((at, i) => entry(`t${i}`, at === "[0,4]" || at === "[4,8]" ? "[1]" : "[0,9]", at));
    expect(decodeSafetensors(file(`{${entries}}`, 8)).tensors.size).toBe(6);
  });

  test("names of JavaScript's own do no harm", () => {
    const names = ["__proto__", "constructor", "toString", "hasOwnProperty", ""];
    const metadata = Object.fromEntries(names.map((name) => [name, "value"]));
    const bytes = encodeSafetensors(
      names.map((name, i) => tensor(name, [1], [i])),
      metadata,
    );
    const back = decodeSafetensors(bytes);
    expect([...back.tensors.keys()]).toEqual(names);
    expect(Object.keys(back.metadata)).toEqual(names);
    expect(Object.getPrototypeOf(back.metadata)).toBeNull();
    expect(decodeSafetensors(small()).tensors.get("constructor")).toBeUndefined();
    expect(decodeSafetensors(small()).metadata.constructor).toBeUndefined();
    expect({}).not.toHaveProperty("value");
  });

  test("a header as long as headers may be", () => {
    expect(decodeSafetensors(file("{}".padEnd(MAX_HEADER_BYTES))).tensors.size).toBe(0);
  });

  test("metadata of megabytes, as a vocabulary is", () => {
    const config = JSON.stringify({ vocabulary: Array.from({ length: 300_000 }, (_, i) => `"user_${i}"\n`) });
    expect(decodeSafetensors(encodeSafetensors(SMALL, { config })).metadata.config).toBe(config);
  });

  test("tells tensor and index of a value that is not finite, unless those are allowed", () => {
    const bytes = encodeSafetensors([tensor("bias", [1], [0]), tensor("w", [2, 3], [1, 2, 3, 4, Number.NaN, 6])], {});
    expect(refused(bytes, { file: "m.safetensors" }).message).toBe(
      'm.safetensors: tensor "w": expected finite values, found NaN as value 4 (at [1,1])',
    );
    expect(decodeSafetensors(bytes, { allowNonFinite: true }).tensors.get("w")!.data[4]).toBeNaN();
    for (const shift of [0, 1]) {
      const infinite = moved(encodeSafetensors([tensor("number", [], [Number.NEGATIVE_INFINITY])], {}), shift);
      expect(refused(infinite).message).toContain("found -Infinity as value 0 (at [])");
    }
  });

  test("the message names the file, the hint says what to do", () => {
    const error = refused(file(`{${entry("w", "[1]", "[0,2]", '"BF16"')}}`, 2), { file: "half.safetensors" });
    expect(error.message).toBe('half.safetensors: tensor "w": expected dtype "F32", "F16" or "I8", found "BF16"');
    expect(error.file).toBe("half.safetensors");
    expect(error.hint).toContain("32-bit floats");
  });

  test("16-bit floats that are no numbers are refused", () => {
    const bytes = file(`{${entry("w", "[2]", "[0,4]", '"F16"')}}`, 4);
    bytes.set([0, 0x3c, 0, 0x7c], bytes.length - 4);
    expect(refused(bytes).message).toBe('tensor "w": expected finite values, found none as value 1 (at [1])');
  });

  test("a message has 60 characters of a name", () => {
    const message = (length: number) =>
      refused(file(`{${entry("n".repeat(length), "[1]", "[0,4]", '"F64"')}}`, 4)).message;
    expect(message(60)).toMatch(/^tensor "n{60}": /);
    expect(message(61)).toMatch(/^tensor "n{60}…": /);
  });

  test("nothing in a message can steer a terminal", () => {
    const name = `\u001b[2J\u009b2J\u202e${"x".repeat(1000)}`;
    const { message } = refused(file(`{${entry(name, "[1]", "[0,4]", '"F64"')}}`, 4));
    expect(message).toContain("\\u001b[2J\\u009b2J\\u202exxx");
    expect(message.length).toBeLessThan(200);
  });
});
