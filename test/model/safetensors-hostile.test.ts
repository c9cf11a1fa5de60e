import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import { IfmError } from "../../src/errors.js";
import { decodeSafetensors } from "../../src/model/safetensors-read.js";
import { latin1 } from "../support/bytes.js";
import { entry, file, moved, refused, small } from "../support/safetensors.js";

const MAX_HEADER_BYTES = 16 * 1024 * 1024;

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("attacks", () => {
  const a = entry("a", "[1]", "[0,4]");
  const rawName = (character: string) => `{"${character}":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`;
  const attacks: [name: string, bytes: Uint8Array, message: RegExp][] = [
    ["empty file", new Uint8Array(0), /found an empty file/],
    ["shorter than the shortest", file("{"), /at least 10 bytes, found 9/],
    ["header length of 2^64 - 1", file("{}", 0, 2n ** 64n - 1n), /at most 16777216 bytes, found 18446744073709551615/],
    ["header length of 2^63", file("{}", 0, 2n ** 63n), /at most 16777216/],
    ["header length that is 2 in its low 32 bits", file("{}", 0, 2n ** 32n + 2n), /at most 16777216/],
    ["header of one byte too many", file(`{}${" ".repeat(MAX_HEADER_BYTES - 1)}`), /at most 16777216/],
    ["header longer than the file", file("{}", 0, 3n), /a header of 3 bytes, found 2 bytes to the end/],
    ["header length 0", file("{}", 0, 0n), /expected "{" at character 1 of the header, found the end/],
    ["header length 1", file("{}", 0, 1n), /expected a string at character 2 of the header, found the end/],
    ["header that is no object", file('"tensors"'), /expected "{" at the start/],
    ["header of space only", file("        "), /expected "{" at the start/],
    ["header that starts with space", file(" {}"), /expected "{" at the start/],
    ["header with a byte order mark", file("\ufeff{}"), /expected "{" at the start/],
    ["header in UTF-16", file(Uint8Array.from([0x7b, 0, 0x7d, 0])), /expected a string at character 2/],
    ["header not in UTF-8", file(latin1(rawName("\xff")), 4), /expected a header in UTF-8/],
    ["overlong UTF-8", file(latin1(rawName("\xc0\xaf")), 4), /expected a header in UTF-8/],
    ["surrogate in UTF-8", file(latin1(rawName("\xed\xa0\x80")), 4), /expected a header in UTF-8/],
    ["lone surrogate by escape", file(rawName("\\ud800"), 4), /valid Unicode at character 2/],
    ["unknown escape", file(rawName("\\x"), 4), /valid Unicode at character 2/],
    ["control character in a string", file(rawName("\n"), 4), /the end of a string/],
    ["string without end", file('{"abc'), /the end of a string at character 6 of the header, found the end/],
    ["string that ends in a backslash", file('{"abc\\'), /the end of a string at character 7/],
    ["object without end", file(`{${a}`, 4), /"}" at character \d+ of the header, found the end/],
    ["text after the object", file(`{${a}}{}`, 4), /nothing after/],
    ["zero bytes as padding", file(`{${a}}\0\0`, 4), /nothing after/],
    ["comma too many", file(`{${a},}`, 4), /a string at/],
    ["no comma", file(`{${a} ${a}}`, 4), /"}" at/],
    ["no colon", file('{"a"{}}'), /":" at/],
    ["key without quotes", file("{a:1}"), /a string at/],
    ["single quotes", file("{'a':1}"), /a string at/],
    ["comment", file(`{/* */${a}}`, 4), /a string at/],
    ["tensor twice", file(`{${a},${a}}`, 4), /found "a" twice/],
    ["tensor twice, once escaped", file(`{${a},${a.replace('"a"', '"\\u0061"')}}`, 4), /found "a" twice/],
    ["__proto__ twice", file(`{${a.replace('"a"', '"__proto__"')},${a.replace('"a"', '"__proto__"')}}`, 4), /twice/],
    ["metadata twice", file('{"__metadata__":{},"__metadata__":{}}'), /found "__metadata__" twice/],
    ["metadata key twice", file('{"__metadata__":{"k":"1","k":"2"}}'), /found "k" twice/],
    ["shape twice", file(`{${a.replace('"shape"', '"shape":[2],"shape"')}}`, 4), /tensor "a": .*found "shape" twice/],
    ["metadata that is a list", file('{"__metadata__":["k"]}'), /expected "{"/],
    ["metadata that is null", file('{"__metadata__":null}'), /expected "{"/],
    ["metadata with a number", file('{"__metadata__":{"k":1}}'), /expected a string/],
    ["metadata with an object", file('{"__metadata__":{"k":{}}}'), /expected a string/],
    ["metadata that is a tensor", file(`{${entry("__metadata__", "[1]", "[0,4]")}}`, 4), /expected a string/],
    ["entry that is a list", file('{"a":[]}'), /tensor "a": expected "{"/],
    ["entry that is null", file('{"a":null}'), /tensor "a": expected "{"/],
    ["entry without keys", file('{"a":{}}'), /tensor "a": .* found no dtype/],
    ["entry without dtype", file('{"a":{"shape":[],"data_offsets":[0,4]}}', 4), /found no dtype/],
    ["entry without shape", file('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4), /found no shape/],
    ["entry without offsets", file('{"a":{"dtype":"F32","shape":[1]}}', 4), /found no data_offsets/],
    ["entry with a key too many", file(`{${a.replace("{", '{"path":"/etc/passwd",')}}`, 4), /found "path"/],
    ["entry with __proto__", file(`{${a.replace("{", '{"__proto__":[1],')}}`, 4), /found "__proto__"/],
    [
      "dtype BF16",
      file(`{${entry("a", "[2]", "[0,4]", '"BF16"')}}`, 4),
      /expected dtype "F32", "F16" or "I8", found "BF16"/,
    ],
    ["dtype F64", file(`{${entry("a", "[1]", "[0,8]", '"F64"')}}`, 8), /found "F64"/],
    ["dtype in lower case", file(`{${entry("a", "[1]", "[0,4]", '"f32"')}}`, 4), /found "f32"/],
    ["dtype that is a number", file(`{${entry("a", "[1]", "[0,4]", "32")}}`, 4), /expected a string/],
    ["shape that is a number", file(`{${entry("a", "1", "[0,4]")}}`, 4), /expected "\["/],
    ["shape with a negative size", file(`{${entry("a", "[-1,-1]", "[0,4]")}}`, 4), /a whole number.*found "-1,-1/],
    ["shape with minus zero", file(`{${entry("a", "[-0]", "[0,0]")}}`), /a whole number/],
    ["shape with a fraction", file(`{${entry("a", "[1.0]", "[0,4]")}}`, 4), /a whole number/],
    ["shape with an exponent", file(`{${entry("a", "[1e0]", "[0,4]")}}`, 4), /a whole number/],
    ["shape with a leading zero", file(`{${entry("a", "[01]", "[0,4]")}}`, 4), /a whole number/],
    ["shape with text", file(`{${entry("a", '["1"]', "[0,4]")}}`, 4), /a whole number/],
    ["shape with null", file(`{${entry("a", "[null]", "[0,4]")}}`, 4), /a whole number/],
    ["shape with a list", file(`{${entry("a", "[[1]]", "[0,4]")}}`, 4), /a whole number/],
    ["shape with an empty place", file(`{${entry("a", "[1,]", "[0,4]")}}`, 4), /a whole number/],
    ["shape of 2^53", file(`{${entry("a", "[9007199254740992]", "[0,4]")}}`, 4), /a whole number/],
    ["shape of 10^20", file(`{${entry("a", "[100000000000000000000]", "[0,4]")}}`, 4), /a whole number/],
    ["shape of 2^50", file(`{${entry("a", "[1125899906842624]", "[0,4]")}}`, 4), /expected 4503599627370496 bytes/],
    [
      "2^50 that the offsets confirm",
      file(`{${entry("a", "[1125899906842624]", "[0,4503599627370496]")}}`, 4),
      /up to/,
    ],
    ["product that wraps to 1 in 64 bits", file(`{${entry("a", "[4294967297,4294967297]", "[0,4]")}}`, 4), /more elem/],
    ["product that wraps to 0 in 64 bits", file(`{${entry("a", "[4294967296,4294967296]", "[0,0]")}}`), /more elem/],
    ["product too large before a zero", file(`{${entry("a", "[4294967296,4294967296,0]", "[0,0]")}}`), /more elem/],
    ["65 dimensions", file(`{${entry("a", `[${Array(65).fill(1)}]`, "[0,4]")}}`, 4), /at most 64 numbers/],
    ["8 million dimensions", file(`{${entry("a", `[${"1,".repeat(8e6)}1]`, "[0,4]")}}`, 4), /at most 64 numbers/],
    ["one offset", file(`{${entry("a", "[1]", "[4]")}}`, 4), /two data_offsets, found 1/],
    ["no offset", file(`{${entry("a", "[1]", "[]")}}`, 4), /two data_offsets, found 0/],
    ["three offsets", file(`{${entry("a", "[1]", "[0,4,8]")}}`, 8), /at most 2 numbers/],
    ["negative offset", file(`{${entry("a", "[1]", "[-4,0]")}}`, 4), /a whole number/],
    ["offset with a fraction", file(`{${entry("a", "[1]", "[0.5,4.5]")}}`, 8), /a whole number/],
    ["offsets that fall", file(`{${entry("a", "[1]", "[4,0]")}}`, 4), /rising order, found \[4,0\]/],
    ["offsets too near", file(`{${entry("a", "[2]", "[0,4]")}}`, 4), /expected 8 bytes for shape \[2\], found 4/],
    ["offsets too far", file(`{${entry("a", "[1]", "[0,8]")}}`, 8), /expected 4 bytes for shape \[1\], found 8/],
    ["offset after the end", file(`{${a}}`, 3), /up to byte 4, found 3 bytes of data/],
    [
      "offset far after the end",
      file(`{${entry("a", "[1]", "[9007199254740984,9007199254740988]")}}`, 4),
      /up to byte/,
    ],
    ["same data twice", file(`{${a},${entry("b", "[1]", "[0,4]")}}`, 4), /"b": data_offsets \[0,4\] overlap .* "a"/],
    ["data that overlap", file(`{${entry("a", "[2]", "[0,8]")},${entry("b", "[2]", "[4,12]")}}`, 12), /overlap/],
    [
      "nothing in the middle of data",
      file(`{${entry("a", "[2]", "[0,8]")},${entry("b", "[0]", "[4,4]")}}`, 8),
      /overlap/,
    ],
    [
      "gap before the first",
      file(`{${entry("a", "[1]", "[4,8]")}}`, 8),
      /to begin at byte 0 .*found 4: there is a gap/,
    ],
    ["gap between two", file(`{${a},${entry("b", "[1]", "[8,12]")}}`, 12), /"b": .*found 8: there is a gap/],
    ["gap before nothing", file(`{${a},${entry("b", "[0]", "[8,8]")}}`, 8), /there is a gap/],
    ["bytes after the last", file(`{${a}}`, 5), /expected 4 bytes of data, found 5: 1 bytes after the last tensor/],
    ["bytes after no tensors", file("{}", 1), /1 bytes after the last tensor/],
    ["100 000 brackets", file(`{"a":${"[".repeat(1e5)}`), /expected "{"/],
    [
      "100 000 objects in another",
      file('{"a":'.repeat(1e5)),
      /expected the keys dtype, shape, data_offsets, found "a"/,
    ],
    ["100 000 objects in metadata", file(`{"__metadata__":${'{"a":'.repeat(1e5)}`), /expected a string/],
  ];

  test.each(attacks)("%s", (_, bytes, message) => {
    let made = 0;
    const counting = new Proxy(Float32Array, {
      construct(target, args) {
        made++;
        return Reflect.construct(target, args);
      },
    });
    vi.stubGlobal("Float32Array", counting);
    const error = refused(bytes, { file: "bad" });
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^bad: /);
    expect(error.message.length).toBeLessThan(300);
    expect(made).toBe(0);
  });

  test("their names are all different", () => {
    expect(new Set(attacks.map(([name]) => name)).size).toBe(attacks.length);
  });
});

describe("other files, named as what they are", () => {
  const text = (content: string) => new TextEncoder().encode(content);
  test.each([
    ["a gzip file", gzipSync(small())],
    ["a gzip file", gzipSync(new Uint8Array(0))],
    // Long enough for the header length that the first bytes of gzip are.
    ["a gzip file", gzipSync(Uint8Array.from({ length: 1e6 }, (_, i) => Math.imul(i * i, 2654435761) >>> 24))],
    ["a zip archive", latin1("PK\x03\x04\x00\x00\x08\x08\0\0\0\0archive/data.pkl")],
    ["a Python pickle", latin1("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")],
    ["a Python pickle", latin1("\x80\x05\x95\x10\0\0\0\0\0\0\0}")],
    ["a PNG image", latin1("\x89PNG\r\n\x1a\n\0\0\0\rIHDR")],
    ["an HTML or XML page", text("<!DOCTYPE html>\n<html><head>")],
    ["an HTML or XML page", text('\ufeff\n  <html lang="en">')],
    ["an HTML or XML page", text('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>')],
    ["a Git LFS pointer", text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 3612\n")],
    ["a model of libFM", text("#global bias W0\n0.5\n#unary interactions Wj\n")],
    ["data in libFM format", text("1 0:1 5:1 9:1\n-1 2:1\n")],
    ["data in libFM format", text("# made by hand\n\n-1.5e0\t3:0.5 4:-2\n")],
    ["a JSON file", text('{"error":"not found"}')],
    ["a JSON file", text("[1, 2, 3, 4, 5]")],
  ])("%s", (what, bytes) => {
    const error = refused(bytes, { file: "m" });
    expect(error.message).toContain(`m: expected a safetensors file, found ${what}`);
  });

  test("a page shorter than a header", () => {
    expect(refused(text("<html>")).message).toContain("found an HTML");
  });

  test("bytes of no known kind keep the plain message", () => {
    expect(refused(new Uint8Array(100).fill(0xee)).message).toContain("expected a header of at most");
  });

  test("a good file may begin like gzip", () => {
    const bytes = file("{}".padEnd(0x088b1f));
    expect([...bytes.subarray(0, 3)]).toEqual([0x1f, 0x8b, 0x08]);
    expect(decodeSafetensors(bytes).tensors.size).toBe(0);
  });
});

describe("damage", () => {
  const decodeOrRefuse = (bytes: Uint8Array) => {
    try {
      return decodeSafetensors(bytes);
    } catch (error) {
      if (!(error instanceof IfmError) || error.code !== "IFM_MODEL") throw error;
      return undefined;
    }
  };

  test("every truncation and every longer file is refused", () => {
    const bytes = small();
    for (let length = 0; length < bytes.length; length++) refused(bytes.subarray(0, length));
    for (const extra of [1, 3, 4, 8, 100]) {
      const longer = new Uint8Array(bytes.length + extra);
      longer.set(bytes);
      refused(longer);
    }
  });

  test("every single bit flipped and every byte set: refused, or tensors within the file", () => {
    const original = small();
    const flips = [1, 2, 4, 8, 16, 32, 64, 128, 0xff];
    // At an odd address every tensor is a copy, so that every allocation passes through the constructor.
    const bytes = moved(original, 1);
    let allocated = 0;
    vi.stubGlobal(
      "Float32Array",
      new Proxy(Float32Array, {
        construct(target, args) {
          allocated += Number(args[0]) * 4;
          return Reflect.construct(target, args);
        },
      }),
    );
    let refusals = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of flips) {
        allocated = 0;
        bytes[at] ^= flip;
        const back = decodeOrRefuse(bytes);
        bytes[at] ^= flip;
        if (back === undefined) refusals++;
        expect(allocated).toBeLessThanOrEqual(original.length);
      }
    }
    expect(refusals).toBeGreaterThan(bytes.length);
  });

  test("random mutations of random files", () => {
    const mutation = fc.record({
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      remove: fc.integer({ min: 0, max: 3 }),
      insert: fc.oneof(
        fc.uint8Array({ maxLength: 4 }),
        fc.constantFrom('"', "{", "}", "[", "]", ",", ":", "\\", "0", "9", "-", ".", "e", "\0").map(latin1),
      ),
    });
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        let bytes = small();
        for (const { at, remove, insert } of mutations) {
          const place = Math.floor(at * bytes.length);
          bytes = Uint8Array.from([...bytes.subarray(0, place), ...insert, ...bytes.subarray(place + remove)]);
        }
        const back = decodeOrRefuse(bytes);
        const values = [...(back?.tensors.values() ?? [])].reduce((sum, { data }) => sum + data.byteLength, 0);
        expect(values).toBeLessThan(bytes.length);
      }),
      { numRuns: 2000 },
    );
  });

  test("random bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        decodeOrRefuse(bytes);
        decodeOrRefuse(file(bytes));
        decodeOrRefuse(file(Uint8Array.from([0x7b, ...bytes])));
      }),
      { numRuns: 1000 },
    );
  });
});
