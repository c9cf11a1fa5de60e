import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type LibfmOptions, LibfmParser } from "../../src/data/libfm.js";
import { readLibfm } from "../../src/data/read.js";
import { IfmError } from "../../src/errors.js";
import { latin1 } from "../support/bytes.js";
import { errorOf, parse, rowsOf } from "../support/libfm.js";

const encoder = new TextEncoder();

describe("rows", () => {
  it("become CSR arrays of exactly their length", () => {
    expect(parse("1 3:1 7:1\n-1 0:1\n1 5:1 6:1 2:1\n")).toEqual({
      name: "t.libfm",
      rows: 3,
      labels: Float32Array.of(1, -1, 1),
      rowPtr: Uint32Array.of(0, 2, 3, 6),
      features: Uint32Array.of(3, 7, 0, 5, 6, 2),
      values: null,
      featureCount: 8,
      minSlots: 1,
      maxSlots: 3,
      labelMin: -1,
      labelMax: 1,
    });
  });

  it("have values as soon as one is not 1", () => {
    expect(parse("1 3:1 7:1\n-1 0:0.5 1:1\n").values).toEqual(Float32Array.of(1, 1, 0.5, 1));
    expect(parse("1 3:1.0 7:1e0 4:+1 5:01 6:1.\n").values).toBeNull();
    expect(parse("1 3:1.00000000001\n").values).toBeNull();
  });

  it("may be empty", () => {
    const dataset = parse("1\n-1 \n2 # nothing\n");
    expect(dataset.rowPtr).toEqual(Uint32Array.of(0, 0, 0, 0));
    expect(dataset).toMatchObject({ rows: 3, featureCount: 0, minSlots: 0, maxSlots: 0, values: null });
  });

  it.each([
    ["no final newline", "1 3:1\n-1 4:1"],
    ["CRLF", "1 3:1\r\n-1 4:1\r\n"],
    ["CRLF, then the end", "1 3:1\r\n-1 4:1\r\n\r\n"],
    ["a CRLF that is cut at the end", "1 3:1\r\n-1 4:1\r"],
    ["tabs and several blanks", "1\t3:1\n-1 \t  4:1\n"],
    ["leading and trailing blanks", "  1 3:1  \n\t-1 4:1\t\n"],
    ["blanks before CRLF", "1 3:1 \r\n-1 4:1\t\r\n"],
    ["blank lines", "\n\n1 3:1\n  \n\t\r\n-1 4:1\n\n"],
    ["comment lines", "# header\n1 3:1\n  # 9 9:9\n-1 4:1\n# end"],
    ["comments after the slots", "1 3:1 # first\n-1 4:1# second\r\n"],
    ["comments with anything in them", "#\u00e9\u{1f600} 1:2:3\n1 3:1\n-1 4:1\n"],
    ["a byte order mark", "\ufeff1 3:1\n-1 4:1\n"],
    ["a byte order mark and a comment", "\ufeff# x\n1 3:1\n-1 4:1\n"],
    ["signs", "+1 3:1\n-1 4:+1\n"],
    ["zeros in front", "01 03:1\n-001 0000000000004:1\n"],
  ])("are read with %s", (_, text) => {
    expect(rowsOf(parse(text))).toEqual([
      { label: 1, slots: [[3, 1]] },
      { label: -1, slots: [[4, 1]] },
    ]);
  });

  it("keep the order of ids, however large", () => {
    expect(parse("1 2147483647:1 0:1 999999999:1 1000000000:1\n")).toMatchObject({
      features: Uint32Array.of(2147483647, 0, 999999999, 1000000000),
      featureCount: 2 ** 31,
    });
  });

  it("know the line that they stood on", () => {
    const parser = new LibfmParser();
    parser.push(encoder.encode("# c\n1 1:1\n1 1:1\n\n\n1 1:1\n# c\n1 1:1\n1 1:1"));
    parser.end();
    expect([0, 1, 2, 3, 4].map((row) => parser.lineOf(row))).toEqual([2, 3, 6, 8, 9]);
    expect(() => parser.lineOf(5)).toThrow(RangeError);
    expect(() => parser.lineOf(-1)).toThrow(RangeError);
  });

  it("are kept when many arrays have to be joined", () => {
    const text = Array.from({ length: 60_000 }, (_, i) => `${i % 3} ${i}:1 ${i + 1}:${i === 50_000 ? 2 : 1}`).join(
      "\n",
    );
    const dataset = parse(text, {}, 10_007);
    expect(dataset).toMatchObject({ rows: 60_000, featureCount: 60_001, minSlots: 2, maxSlots: 2 });
    expect(dataset.features.every((id, i) => id === (i >> 1) + (i & 1))).toBe(true);
    expect(dataset.values?.every((value, i) => value === (i === 100_001 ? 2 : 1))).toBe(true);
    expect(dataset.rowPtr.every((start, row) => start === 2 * row)).toBe(true);
    expect(dataset.labels.every((label, row) => label === row % 3)).toBe(true);
  });

  it("are kept when text is as dense as it can be", () => {
    const slots = 1_200_000;
    const line = parse(`1${" 7:1".repeat(slots)}\n`);
    expect([line.features.length, line.features.every((id) => id === 7)]).toEqual([slots, true]);
    const values = parse(`1${" 7:2".repeat(slots)}\n`);
    expect([values.features.length, values.values?.every((value) => value === 2)]).toEqual([slots, true]);
    const rows = parse("1\n".repeat(slots));
    expect([rows.rows, rows.labels.every((label) => label === 1)]).toEqual([slots, true]);
  });

  it("can be longer than the text that is parsed at once", () => {
    const ids = Array.from({ length: 30_000 }, (_, i) => i);
    const text = `1 5:1\n-1 ${ids.map((id) => `${id}:1`).join(" ")}\n1 6:1\n`;
    const dataset = parse(text);
    expect(dataset.features).toEqual(Uint32Array.of(5, ...ids, 6));
    expect(parse(text, {}, 1000)).toEqual(dataset);
  });
});

describe("numbers", () => {
  const numbers = [
    ..."0 -0 1 -1 +1 00012 123456789 1234567890 12345678901234567890 0.5 .5 5. -.5e-3 1e3 1E3 1e+3 1e-3".split(" "),
    ..."3.4028234e38 3.4028235677973362e38 -3.4e38 1e-45 1e-46 1e-400 0e999 0.1 0.30000000000000004".split(" "),
    ..."9007199254740993 9007199254740992e-22 1e22 1e23 123456.789e-10 8388608.5 16777217 1.00000005960464477540".split(
      " ",
    ),
    `1${"0".repeat(30)}e-30`,
    `0.${"0".repeat(300)}1e301`,
    "1e-00000000000000000000000000000000003",
  ];

  it.each(numbers)("%s is read as label and as value", (text) => {
    const expected = Math.fround(Number(text));
    const { labels, values } = parse(`${text} 1:2 1:${text}\n${text}\n`);
    expect(labels[0]).toBe(expected);
    expect(labels[1]).toBe(expected);
    expect(values?.[1]).toBe(expected);
  });

  it("are rounded as Number and Math.fround round them", () => {
    const number = fc.oneof(
      fc.double({ noNaN: true, min: -3e38, max: 3e38 }).map(String),
      fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.tuple(fc.integer(), fc.nat(), fc.integer({ min: -30, max: 20 })).map(([a, b, e]) => `${a}.${b}e${e}`),
      fc.maxSafeInteger().map((whole) => `${whole}e-20`),
    );
    fc.assert(
      fc.property(number, (text) => {
        const { labels, values } = parse(`${text} 1:2 1:${text}\n`);
        expect(labels[0]).toBe(Math.fround(Number(text)));
        expect(values?.[1]).toBe(Math.fround(Number(text)));
      }),
    );
  });
});

describe("chunks", () => {
  const text = "\ufeff# é\r\n1 12:1 345:-0.25e1\r\n\r\n -1.5\t7:1 2147483647:1 # x\n+2 3:1e-3\r\n1 0:1";
  const bytes = encoder.encode(text);
  const whole = parse(bytes);

  it("may end anywhere", () => {
    expect(rowsOf(whole)).toEqual([
      {
        label: 1,
        slots: [
          [12, 1],
          [345, -2.5],
        ],
      },
      {
        label: -1.5,
        slots: [
          [7, 1],
          [2147483647, 1],
        ],
      },
      { label: 2, slots: [[3, Math.fround(1e-3)]] },
      { label: 1, slots: [[0, 1]] },
    ]);
    for (let a = 0; a <= bytes.length; a++) {
      for (let b = a; b <= bytes.length; b++) {
        const parser = new LibfmParser({ name: "t.libfm" });
        for (const chunk of [bytes.subarray(0, a), bytes.subarray(a, b), bytes.subarray(b)]) parser.push(chunk);
        expect(parser.end()).toEqual(whole);
      }
    }
    for (let size = 1; size < bytes.length; size++) expect(parse(bytes, {}, size)).toEqual(whole);
  });

  it("do not change errors", () => {
    for (const broken of [
      "# c\n1 1:1\n2 1:1 4:x",
      "1 1:1\n2 nan",
      "PK\x03\x04\nabc",
      "1 1:1\n1 2:1:1\n",
      "\0\0\0\0\n\0\0{",
    ]) {
      const whole = errorOf(broken);
      for (let size = 1; size < broken.length; size++) {
        expect(errorOf(broken, {}, size)).toMatchObject({ message: whole.message, hint: whole.hint });
      }
    }
  });

  it("may be reused by the caller", () => {
    const parser = new LibfmParser({ name: "t.libfm" });
    const chunk = new Uint8Array(5);
    for (let i = 0; i < bytes.length; i += 5) {
      const part = bytes.subarray(i, i + 5);
      chunk.set(part);
      parser.push(chunk.subarray(0, part.length));
      chunk.fill(0);
    }
    expect(parser.end()).toEqual(whole);
  });
});

describe("lenient mode", () => {
  const text = "1 1:1\nabc\n# c\n1 2:2 17\n-1 3:1\n1 4:1:1\n5 6:1";

  it("skips broken lines and hands over their errors", () => {
    for (const chunkBytes of [1, 4, 100]) {
      const errors: IfmError[] = [];
      const dataset = parse(text, { onError: (error) => errors.push(error) }, chunkBytes);
      expect(rowsOf(dataset)).toEqual([
        { label: 1, slots: [[1, 1]] },
        { label: -1, slots: [[3, 1]] },
        { label: 5, slots: [[6, 1]] },
      ]);
      expect(dataset).toMatchObject({ values: null, featureCount: 7, labelMax: 5 });
      expect(errors.map((error) => error.line)).toEqual([2, 4, 6]);
    }
  });

  it("knows the lines of the rows that remain", () => {
    const parser = new LibfmParser({ onError: () => undefined });
    parser.push(encoder.encode(text));
    parser.end();
    expect([0, 1, 2].map((row) => parser.lineOf(row))).toEqual([1, 5, 7]);
  });

  it("builds some errors and counts the rest", () => {
    const errors: IfmError[] = [];
    const parser = new LibfmParser({ onError: (error) => errors.push(error), maxErrors: 3 });
    parser.push(encoder.encode("x\n".repeat(1000)));
    const dataset = parser.end();
    expect(errors.map((error) => error.line)).toEqual([1, 2, 3]);
    expect(parser.brokenLines).toBe(1000);
    expect(dataset).toMatchObject({
      rows: 0,
      labelMin: Number.NaN,
      labelMax: Number.NaN,
      minSlots: 0,
      featureCount: 0,
    });
  });

  it("leaves out rows that have another number of slots", () => {
    const errors: IfmError[] = [];
    const options = { slots: 1, onError: (error: IfmError) => errors.push(error) };
    const { labels, features } = parse("1 1:1\n2 2:1 3:1\n3\n4 4:1\n", options);
    expect([[...labels], [...features]]).toEqual([
      [1, 4],
      [1, 4],
    ]);
    expect(errors.map((error) => error.line)).toEqual([2, 3]);
  });

  it("goes on after a line that is too long", () => {
    for (const chunkBytes of [1, 3, 100]) {
      const errors: IfmError[] = [];
      const options = { maxLineBytes: 6, onError: (error: IfmError) => errors.push(error) };
      const dataset = parse("1 1:1\n1 1:1 2:1 3:1\n2 1:1\n1 1:1 2:1\nx\n3 1:1\n4 44:44444", options, chunkBytes);
      expect(Array.from(dataset.labels)).toEqual([1, 2, 3]);
      expect(errors.map((error) => error.line)).toEqual([2, 4, 5, 7]);
    }
  });

  it("gives up on a file of another kind", () => {
    const onError = vi.fn();
    expect(() => parse(latin1("\x1f\x8b\x08\0\0\0\0\0\0\x03\n1 1:1\n"), { onError })).toThrow("found gzip data");
    expect(onError).not.toHaveBeenCalled();
  });
});

describe("laws", () => {
  const id = fc.oneof(fc.nat({ max: 2 ** 31 - 1 }), fc.nat({ max: 99 }));
  const float = fc.float({ noNaN: true, noDefaultInfinity: true });
  const row = fc.record({
    label: fc.oneof(fc.constantFrom(-1, 1), float),
    slots: fc.array(fc.tuple(id, fc.oneof(fc.constant(1), float)), { maxLength: 8 }),
    blank: fc.constantFrom(" ", "\t", "  "),
    end: fc.constantFrom("\n", "\r\n", " \n", " # c\n", "\n\n", "\n# c\r\n"),
  });

  it("what is written is read", () => {
    fc.assert(
      fc.property(
        fc.array(row, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 50 }),
        (rows, chunkBytes) => {
          const text = rows
            .map(({ label, slots, blank, end }) => {
              const written = (x: number) => (Object.is(x, -0) ? "-0" : String(x));
              return [written(label), ...slots.map(([id, value]) => `${id}:${written(value)}`)].join(blank) + end;
            })
            .join("");
          expect(rowsOf(parse(text, {}, chunkBytes))).toEqual(rows.map(({ label, slots }) => ({ label, slots })));
        },
      ),
    );
  });

  it("garbage gives rows or an IfmError, the same for all chunks", () => {
    const garbage = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .array(fc.constantFrom(..."0123456789:::.-+eE# \t\r\n\n\0nax".split("")), { maxLength: 60 })
        .map((letters) => latin1(letters.join(""))),
      fc
        .array(fc.constantFrom("1", " ", "\n", "\r\n", "3:1", "17", ":", "-", "1e5", "#", "2:0.5"), { maxLength: 40 })
        .map((tokens) => latin1(tokens.join(""))),
    );
    const outcome = (bytes: Uint8Array, chunkBytes: number, options: LibfmOptions) => {
      try {
        return parse(bytes, options, chunkBytes);
      } catch (error) {
        if (error instanceof IfmError) return error.message;
        throw error;
      }
    };
    fc.assert(
      fc.property(garbage, fc.integer({ min: 1, max: 20 }), fc.boolean(), (bytes, chunkBytes, lenient) => {
        const options = lenient ? { onError: () => undefined } : {};
        expect(outcome(bytes, chunkBytes, options)).toEqual(outcome(bytes, 1000, options));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("readLibfm", () => {
  const text = "1 3:1\n-1 4:0.5 # é\n";
  const expected = parse(text, { name: "x" });

  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const byte of encoder.encode(text)) yield Uint8Array.of(byte);
  }

  it("takes strings, bytes, async iterables and streams", async () => {
    const stream = new Blob([text]).stream() as ReadableStream<Uint8Array>;
    for (const source of [text, encoder.encode(text), chunks(), stream]) {
      expect(await readLibfm(source, { name: "x" })).toEqual(expected);
    }
    expect((await readLibfm(text)).name).toBe("data");
  });

  it("ends its source when a row is broken", async () => {
    const closed: string[] = [];
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield encoder.encode("1 3:1\nabc 3:1\n");
      } finally {
        closed.push("iterable");
      }
    }
    const stream = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(encoder.encode("1 3:1\nabc 3:1\n")),
      cancel: () => {
        closed.push("stream");
      },
    });
    await expect(readLibfm(endless())).rejects.toThrow("data:2:1");
    await expect(readLibfm(stream)).rejects.toThrow("data:2:1");
    expect(closed).toEqual(["iterable", "stream"]);
  });

  it("passes on what its source throws", async () => {
    const failure = new Error("unplugged");
    const stream = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(failure) });
    await expect(readLibfm(stream)).rejects.toBe(failure);
  });
});
