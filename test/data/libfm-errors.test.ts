import { afterEach, describe, expect, it, vi } from "vitest";
import { LibfmParser } from "../../src/data/libfm.js";
import { latin1 } from "../support/bytes.js";
import { errorOf, parse } from "../support/libfm.js";

const encoder = new TextEncoder();

afterEach(() => vi.unstubAllGlobals());

describe("errors", () => {
  // text, line, column, what the message says after the place, what the hint contains
  const cases: [string, number, number, string, string][] = [
    ["abc 1:1", 1, 1, 'expected a number as label, found "abc"', "decimal number as label"],
    ["1 1:1\n12abc 1:1", 2, 1, 'expected a number as label, found "12abc"', "decimal number as label"],
    ["\n\n  1x", 3, 3, 'expected a number as label, found "1x"', "decimal number as label"],
    ["\ufeffx 1:1", 1, 1, 'expected a number as label, found "x"', "decimal number as label"],
    ["0x10 1:1", 1, 1, 'expected a number as label, found "0x10"', "decimal"],
    ["1_000 1:1", 1, 1, 'expected a number as label, found "1_000"', "decimal"],
    ["- 1:1", 1, 1, 'expected a number as label, found "-"', "decimal"],
    ["--1 1:1", 1, 1, 'expected a number as label, found "--1"', "decimal"],
    [". 1:1", 1, 1, 'expected a number as label, found "."', "decimal"],
    ["1e 1:1", 1, 1, 'expected a number as label, found "1e"', "decimal"],
    ["1e+ 1:1", 1, 1, 'expected a number as label, found "1e+"', "decimal"],
    ["nan 1:1", 1, 1, 'expected a number as label, found "nan"', "labels must be finite"],
    ["NaN 1:1", 1, 1, 'expected a number as label, found "NaN"', "labels must be finite"],
    ["-Inf 1:1", 1, 1, 'expected a number as label, found "-Inf"', "labels must be finite"],
    ["INFINITY", 1, 1, 'expected a number as label, found "INFINITY"', "labels must be finite"],
    ["1e39 1:1", 1, 1, 'label "1e39" is out of range for a 32-bit float', "scale"],
    ["-3.5e38", 1, 1, 'label "-3.5e38" is out of range for a 32-bit float', "scale"],
    ["1:1 2:1", 1, 1, 'expected a number as label, found "1:1"', "begins with its label"],
    ["1,5,7", 1, 1, 'expected a number as label, found "1,5,7"', "CSV"],
    ["user;item;label", 1, 1, 'expected a number as label, found "user;item;label"', "CSV"],
    ["\u00e9t\u00e9 1:1", 1, 1, 'expected a number as label, found "\u00e9t\u00e9"', "decimal"],
    ["1 17", 1, 3, 'expected "id:value", found "17"', 'write "17:1"'],
    ["1 3:1 \t17 4:1", 1, 8, 'expected "id:value", found "17"', 'write "17:1"'],
    ["1 17:", 1, 3, 'expected "id:value", found "17:"', 'write "17:1"'],
    ["1 17: 4:1", 1, 3, 'expected "id:value", found "17:"', 'write "17:1"'],
    ["1 :1", 1, 3, 'expected "id:value", found ":1"', "id in front of the colon is missing"],
    ["1 :", 1, 3, 'expected "id:value", found ":"', "id in front of the colon is missing"],
    ["1 x", 1, 3, 'expected "id:value", found "x"', "come features"],
    ["1 3:1,4:1", 1, 3, 'expected "id:value", found "3:1,4:1"', ""],
    ["1 3,4", 1, 3, 'expected "id:value", found "3,4"', "separated by blanks"],
    ["1 -3:1", 1, 3, 'expected a feature id, a whole number from 0 to 2147483647, found "-3"', "from 0 on"],
    ["1 +3:1", 1, 3, 'expected a feature id, a whole number from 0 to 2147483647, found "+3"', "from 0 on"],
    ["1 3.0:1", 1, 3, 'expected a feature id, a whole number from 0 to 2147483647, found "3.0"', "from 0 on"],
    ["1 user=5:1", 1, 3, 'expected a feature id, a whole number from 0 to 2147483647, found "user=5"', "numbers"],
    ["1 qid:7 3:1", 1, 3, 'expected a feature id, a whole number from 0 to 2147483647, found "qid"', "query ids"],
    ["1 2147483648:1", 1, 3, 'feature id "2147483648" is larger than 2147483647', "without large gaps"],
    ["1 4294967297:1", 1, 3, 'feature id "4294967297" is larger than 2147483647', "without large gaps"],
    ["1 99999999999999999999:1", 1, 3, 'feature id "99999999999999999999" is larger than 2147483647', "gaps"],
    ["1 3:nan", 1, 5, 'expected a number as value of feature 3, found "nan"', "values must be finite"],
    ["1 3:1 44:-INF", 1, 10, 'expected a number as value of feature 44, found "-INF"', "values must be finite"],
    ["1 3:abc", 1, 5, 'expected a number as value of feature 3, found "abc"', "decimal numbers"],
    ["1 3:1x 4:1", 1, 5, 'expected a number as value of feature 3, found "1x"', "decimal numbers"],
    ["1 3:1e999", 1, 5, 'value "1e999" is out of range for a 32-bit float', "scale"],
    ["1 3:-3.40282357e38", 1, 5, 'value "-3.40282357e38" is out of range for a 32-bit float', "scale"],
    ["1 1:2:3", 1, 3, 'expected "id:value", found "1:2:3"', "libffm"],
    ["1 0:5:1 1:7:1", 1, 3, 'expected "id:value", found "0:5:1"', "libffm"],
    ["1 3:1\r4:1\r", 1, 6, "expected the end of the line after a carriage return", "LF or CRLF"],
    ["\r1 3:1", 1, 1, "expected the end of the line after a carriage return", "LF or CRLF"],
    ["1 3:1\r\r\n", 1, 6, "expected the end of the line after a carriage return", "LF or CRLF"],
    ["1 3:1\n\0\x01\0", 2, 1, 'expected a number as label, found "\\x00\\x01\\x00"', "binary"],
    ["1 3:\0", 1, 3, 'expected "id:value", found "3:\\x00"', "binary"],
    ["1 3:1\v4:1", 1, 3, 'expected "id:value", found "3:1\\x0b4:1"', "binary"],
    ["\x1b[31m 3:1", 1, 1, 'expected a number as label, found "\\x1b[31m"', "binary"],
    ["x\u202ey 3:1", 1, 1, 'expected a number as label, found "x\\u{202e}y"', "decimal"],
    [`1 ${"9".repeat(60)}`, 1, 3, `expected "id:value", found "${"9".repeat(40)}…"`, "needs a value"],
    [`1 ${"9".repeat(40)}`, 1, 3, `expected "id:value", found "${"9".repeat(40)}"`, `write "${"9".repeat(40)}:1"`],
    [`1 ${"9".repeat(41)}`, 1, 3, `expected "id:value", found "${"9".repeat(40)}…"`, `write "${"9".repeat(40)}…:1"`],
    [`${"\u{1f600}".repeat(40)} 1:1`, 1, 1, `expected a number as label, found "${"\u{1f600}".repeat(40)}"`, "decimal"],
    [
      `${"\u{1f600}".repeat(41)} 1:1`,
      1,
      1,
      `expected a number as label, found "${"\u{1f600}".repeat(40)}…"`,
      "decimal",
    ],
    ["a\x7f 1:1", 1, 1, 'expected a number as label, found "a\\x7f"', "binary"],
    ["a\x1f 1:1", 1, 1, 'expected a number as label, found "a\\x1f"', "binary"],
    ["a\u0080 1:1", 1, 1, 'expected a number as label, found "a\\x80"', "decimal"],
    ["a\u0600 1:1", 1, 1, 'expected a number as label, found "a\\u{600}"', "decimal"],
    ["1 1:2:3:4", 1, 3, 'expected "id:value", found "1:2:3:4"', "separated by blanks"],
    [`${"\u{1f600}".repeat(60)} 1:1`, 1, 1, `expected a number as label, found "${"\u{1f600}".repeat(40)}…"`, ""],
  ];

  it.each(cases)("%j", (text, line, column, message, hint) => {
    const error = errorOf(text);
    expect(error).toMatchObject({ code: "IFM_DATA", file: "t.libfm", line, column });
    expect(error.message).toBe(`t.libfm:${line}:${column}: ${message}`);
    expect(error.hint).toContain(hint);
  });

  it("look at tokens of any length to their end", () => {
    const digits = "9".repeat(3 * 8192);
    expect(errorOf(`1 3:${digits}`).message).toContain("is out of range for a 32-bit float");
    expect(errorOf(`1 3:${digits}x`).message).toContain("expected a number as value of feature 3");
    expect(errorOf(`${digits}\x01`).hint).toContain("binary");
  });

  it("show bytes that are no UTF-8 as numbers", () => {
    expect(errorOf(latin1("1 1:1\n\xfe\xe9 1:1")).message).toBe(
      't.libfm:2:1: expected a number as label, found "\\xfe\\xe9"',
    );
  });

  it("take no time for long tokens", () => {
    const digits = "9".repeat(2 ** 20);
    expect(errorOf(`1 ${digits}x`).message).toContain('expected "id:value", found "999');
    expect(errorOf(`1 1:${digits}x`).message).toContain("expected a number as value of feature 1");
    expect(errorOf(`${digits}.${digits}x`).message).toContain("expected a number as label");
    expect(errorOf(`1 ${":".repeat(2 ** 20)}`).message).toContain('expected "id:value", found ":::');
  });

  it("name data when there is no name", () => {
    expect(() => new LibfmParser().end()).toThrow("data: no rows, the file is empty");
    expect(errorOf("x", { name: "-" }).message).toMatch(/^-:1:1: /);
  });

  it.each([
    ["", "no rows, the file is empty"],
    ["\n \r\n", "no rows, only blank lines and comments"],
    ["# a\n# b", "no rows, only blank lines and comments"],
  ])("no rows in %j", (text, message) => {
    expect(errorOf(text)).toMatchObject({ code: "IFM_DATA", message: `t.libfm: ${message}` });
  });

  it("say how many slots were expected", () => {
    const nine = `1 ${Array.from({ length: 9 }, (_, i) => `${i}:1`).join(" ")}`;
    const error = errorOf(`${nine} 9:1\n# c\n${nine}\n`, { slots: 10 });
    expect(error).toMatchObject({ code: "IFM_DATA", line: 3, message: "t.libfm:3: row has 9 slots, expected 10" });
    expect(errorOf("1 2:1\n", { slots: 2 }).message).toBe("t.libfm:1: row has 1 slot, expected 2");
    expect(errorOf("1\n", { slots: 2 }).message).toBe("t.libfm:1: row has 0 slots, expected 2");
    expect(errorOf(`${nine} 9:1 10:1\n`, { slots: 10 }).message).toBe("t.libfm:1: row has 11 slots, expected 10");
    expect(parse("1 2:1 3:1\n1 2:1 3:1", { slots: 2 }).rows).toBe(2);
  });

  it.each([
    ["gzip data", "\x1f\x8b\x08\0\0\0\0\0\0\x03abcdefgh", "openData"],
    ["a zip archive", "PK\x03\x04abcdefghijklmnop", "unpack"],
    ["zstd data", "\x28\xb5\x2f\xfd\x04\x88abcdefghijk", "zstd -d"],
    ["xz data", "\xfd7zXZ\0abcdefghijklmn", "xz -d"],
    ["bzip2 data", "BZh91AY&SYabcdefghij", "bzip2 -d"],
    ["a safetensors file", '\x40\0\0\0\0\0\0\0{"bias":{"dtype":"F32"}}', "model"],
    ["a safetensors file", '\x0a\0\0\0\0\0\0\0{"bias":{"dtype":"F32"}}', "model"],
    ["UTF-16 text", "\xff\xfe1\0 \x001\0:\x001\0\n\0", "UTF-8"],
    ["HTML or XML", "<!DOCTYPE html>\n<html>", "error page"],
    ["JSON", '{"label": 1}\n', "convert"],
    ["a Git LFS pointer", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"],
  ])("recognise %s", (what, text, hint) => {
    for (const chunkBytes of [1, 100]) {
      const error = errorOf(latin1(text), {}, chunkBytes);
      expect(error).toMatchObject({ code: "IFM_DATA", message: `t.libfm: expected libFM text, found ${what}` });
      expect(error.hint).toContain(hint);
    }
  });

  it("stop at a line that is too long, wherever chunks end", () => {
    const text = "1 1:1\n1 1:1 2:1 3:1\n1 1:1\n";
    for (const chunkBytes of [1, 3, 7, 100]) {
      expect(errorOf(text, { maxLineBytes: 12 }, chunkBytes).message).toBe("t.libfm:2: line is longer than 12 bytes");
      expect(parse(text, { maxLineBytes: 13 }, chunkBytes).rows).toBe(3);
    }
    expect(errorOf("1 1:1\n1 1:1 2:1", { maxLineBytes: 8 }).line).toBe(2);
  });

  it("stop at a line of 16 MiB without keeping it", () => {
    const parser = new LibfmParser();
    const chunk = new Uint8Array(2 ** 20).fill(0x31);
    for (let i = 0; i < 16; i++) parser.push(chunk);
    expect(() => parser.push(chunk)).toThrow("data:1: line is longer than 16777216 bytes");
  });

  it("give numbers when memory ends", () => {
    const error = errorOf("1 1:1 2:1\n1 1:1 2:1\n", { maxNonZeros: 3 });
    expect(error).toMatchObject({ code: "IFM_MEMORY", line: 2, message: "t.libfm:2: more than 3 non-zeros" });
    const parser = new LibfmParser({ name: "t.libfm" });
    parser.push(encoder.encode("1 1:1 2:1\n1 1:1 2:1\n"));
    vi.stubGlobal(
      "Uint32Array",
      class extends Uint32Array {
        constructor(length: number) {
          super(0);
          throw new RangeError(`Array buffer allocation failed: ${length}`);
        }
      },
    );
    const text = `${"1 1:1 2:1\n".repeat(5000)}1 3:1\n`;
    expect(() => {
      parser.push(encoder.encode(text));
      parser.end();
    }).toThrow(
      expect.objectContaining({ code: "IFM_MEMORY", message: expect.stringMatching(/\d+ bytes after \d+ rows/) }),
    );
  });

  it("refuse calls after the end", () => {
    const parser = new LibfmParser();
    parser.push(encoder.encode("1 1:1"));
    parser.end();
    expect(() => parser.push(encoder.encode("1"))).toThrow(expect.objectContaining({ code: "IFM_USAGE" }));
    expect(() => parser.end()).toThrow(expect.objectContaining({ code: "IFM_USAGE" }));
  });
});
