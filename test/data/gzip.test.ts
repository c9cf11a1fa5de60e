import { gzipSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, describe, expect, it, vi } from "vitest";
import { gunzip, maybeGunzip } from "../../src/data/gzip.js";
import { IfmError } from "../../src/errors.js";

const text = Buffer.from(Array.from({ length: 200 }, (_, i) => `${i % 2} ${i * 7}:1 ${i}:0.5\n`).join(""));
const other = Buffer.from("1 2:1\n");
const zipped = gzipSync(text);

async function* chunksOf(bytes: Uint8Array, chunkBytes = bytes.length): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.length; i += chunkBytes) yield bytes.subarray(i, i + chunkBytes);
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function errorOf(source: AsyncIterable<Uint8Array>): Promise<IfmError> {
  const error = await collect(source).catch((error: unknown) => error);
  if (error instanceof IfmError) return error;
  throw new Error("no IfmError was thrown", { cause: error });
}

/** A gzip member that holds `bytes` as they are, without compression. */
function stored(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: 0 });
}

/** What browsers and Node from 24.19 on have: bytes after the first member are an error. For headers of 10 bytes. */
class StrictDecompressionStream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<Uint8Array>;

  constructor() {
    const chunks: Uint8Array[] = [];
    const transform = new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk) => {
        chunks.push(chunk);
      },
      flush: (controller) => {
        const bytes = Buffer.concat(chunks);
        // With `info` zlib gives its engine too, which has counted what it took; the types do not know.
        const { buffer, engine } = inflateRawSync(bytes.subarray(10), { info: true }) as unknown as {
          buffer: Uint8Array;
          engine: { bytesWritten: number };
        };
        const end = 10 + engine.bytesWritten + 8;
        if (end > bytes.length) throw new TypeError("Compressed input was truncated.");
        if (end < bytes.length) throw new TypeError("Junk found after end of compressed data.");
        controller.enqueue(buffer);
      },
    });
    this.readable = transform.readable;
    this.writable = transform.writable;
  }
}

afterEach(() => vi.unstubAllGlobals());

describe.each(["this runtime", "a strict runtime"])("gunzip in %s", (runtime) => {
  const use = () => {
    if (runtime === "a strict runtime") vi.stubGlobal("DecompressionStream", StrictDecompressionStream);
  };

  it.each([1, 2, 7, 1000, 1e6])("decompresses chunks of %d bytes", async (chunkBytes) => {
    use();
    expect(await collect(gunzip(chunksOf(zipped, chunkBytes)))).toEqual(text);
  });

  it.each([1, 7, 1000, 1e6])("decompresses several members from chunks of %d bytes", async (chunkBytes) => {
    use();
    const members = [
      zipped,
      gzipSync(other),
      gzipSync(""),
      stored(text),
      gzipSync(text, { level: 9 }),
      gzipSync(other),
    ];
    const expected = Buffer.concat([text, other, text, text, other]);
    expect(await collect(gunzip(chunksOf(Buffer.concat(members), chunkBytes)))).toEqual(expected);
  });

  it("decompresses a member cut anywhere between two chunks", async () => {
    use();
    const two = Buffer.concat([gzipSync(other), gzipSync(other)]);
    for (let cut = 0; cut <= two.length; cut++) {
      async function* chunks() {
        yield two.subarray(0, cut);
        yield two.subarray(cut);
      }
      expect(await collect(gunzip(chunks()))).toEqual(Buffer.concat([other, other]));
    }
  });

  it.each([1, 13, 1e6])("is not misled by headers within a member, in chunks of %d bytes", async (chunkBytes) => {
    use();
    const inner = Buffer.concat([other, zipped, zipped, other, gzipSync(other), other]);
    const twice = Buffer.concat([stored(inner), stored(inner), zipped]);
    expect(await collect(gunzip(chunksOf(twice, chunkBytes)))).toEqual(Buffer.concat([inner, inner, text]));
  });

  it("takes 64 places within a file for headers that are none, and no more", async () => {
    use();
    /** Stored text with so many places that look like a header, farther apart than members can be short. */
    const misleading = (headers: number) => {
      const inner = Buffer.alloc(40 * headers, "1 2:1\n");
      for (let i = 0; i < headers; i++) inner.set([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0], 40 * i + 10);
      return { inner, bytes: stored(inner) };
    };
    const most = misleading(64);
    expect(await collect(gunzip(chunksOf(most.bytes)))).toEqual(most.inner);
    const more = misleading(65);
    expect(await errorOf(gunzip(chunksOf(more.bytes), "h.gz"))).toMatchObject({ code: "IFM_DATA", file: "h.gz" });
    // They are counted over all members.
    const half = misleading(33);
    const twice = Buffer.concat([half.bytes, half.bytes]);
    expect(await errorOf(gunzip(chunksOf(twice), "h.gz"))).toMatchObject({ code: "IFM_DATA", file: "h.gz" });
  });

  it("gives up on data that looks like headers over and over", async () => {
    use();
    const headers = Buffer.concat(Array.from({ length: 200 }, () => gzipSync(other).subarray(0, 25)));
    expect(await errorOf(gunzip(chunksOf(headers), "h.gz"))).toMatchObject({ code: "IFM_DATA", file: "h.gz" });
  });

  it("says when the data ends early", async () => {
    use();
    const short = gzipSync(other);
    for (let bytes = 1; bytes < short.length; bytes++) {
      for (const before of [Buffer.alloc(0), zipped]) {
        const error = await errorOf(gunzip(chunksOf(Buffer.concat([before, short.subarray(0, bytes)])), "t.gz"));
        expect(error).toMatchObject({ code: "IFM_DATA", file: "t.gz", hint: "copy or download the file again" });
      }
    }
  });

  it.each([
    ["text", Buffer.from("garbage")],
    ["two bytes", Buffer.from([7, 7])],
    ["the first byte of a header", Buffer.from([0x1f])],
    ["a zero", Buffer.alloc(1)],
    ["zeros", Buffer.alloc(1000)],
    ["zeros and a member", Buffer.concat([Buffer.alloc(10), zipped])],
  ])("says when %s follows", async (_, garbage) => {
    use();
    for (const chunkBytes of [1, 1e6]) {
      const error = await errorOf(gunzip(chunksOf(Buffer.concat([zipped, garbage]), chunkBytes), "t.gz"));
      expect(error).toMatchObject({ code: "IFM_DATA", file: "t.gz", hint: "copy or download the file again" });
      // One byte more may be the beginning of another member.
      if (garbage.length > 1)
        expect(error.message).toContain("t.gz: gzip data is damaged or followed by something else");
    }
  });
});

describe("gunzip", () => {
  it("names the file in every error", async () => {
    const ends = await errorOf(gunzip(chunksOf(zipped.subarray(0, -20)), "t.gz"));
    expect(ends.message).toBe("t.gz: gzip data ends in the middle");
    const trailer = await errorOf(gunzip(chunksOf(zipped.subarray(0, -3)), "t.gz"));
    expect(trailer.message).toBe("t.gz: gzip data ends in the middle");
    const damaged = Buffer.from(zipped);
    damaged[zipped.length - 6] ^= 1;
    expect((await errorOf(gunzip(chunksOf(damaged)))).message).toBe(
      "data: gzip data is damaged (incorrect data check)",
    );
  });

  it("gives the text or an IfmError, whatever byte is changed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(zipped.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = Buffer.from(zipped);
        damaged[at] ^= change;
        const result = await collect(gunzip(chunksOf(damaged, 100))).catch((error: unknown) => error);
        if (result instanceof IfmError) expect(result.code).toBe("IFM_DATA");
        else expect(result).toEqual(text);
      }),
      { numRuns: 100 },
    );
  });

  it("passes on what its source throws", async () => {
    const failure = new Error("unplugged");
    async function* failing() {
      yield zipped.subarray(0, 100);
      throw failure;
    }
    await expect(collect(gunzip(failing()))).rejects.toBe(failure);
  });

  it("does not wait for its source when it is left or fails", async () => {
    const never = new Promise<void>(() => undefined);
    async function* idle(bytes: Uint8Array) {
      yield bytes;
      await never;
    }
    for await (const chunk of gunzip(idle(stored(Buffer.alloc(100_000, "1 2:1\n"))))) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    const damaged = Buffer.concat([zipped.subarray(0, 10), Buffer.alloc(100, 0xff)]);
    expect(await errorOf(gunzip(idle(damaged), "t.gz"))).toMatchObject({ code: "IFM_DATA", file: "t.gz" });
  });

  it("ends its source", async () => {
    const ended = vi.fn();
    async function* source() {
      try {
        for (;;) yield stored(text);
      } finally {
        ended();
      }
    }
    for await (const _ of gunzip(source())) break;
    await vi.waitFor(() => expect(ended).toHaveBeenCalledOnce());
  });
});

describe("maybeGunzip", () => {
  it.each([1, 2, 3, 1e6])("tells gzip data from text by its first bytes, in chunks of %d bytes", async (chunkBytes) => {
    expect(await collect(maybeGunzip(chunksOf(zipped, chunkBytes)))).toEqual(text);
    expect(await collect(maybeGunzip(chunksOf(text, chunkBytes)))).toEqual(text);
  });

  it("passes files that are too short to tell", async () => {
    for (const bytes of [[], [0x31], [0x1f], [0x1f, 0x8c]]) {
      expect(await collect(maybeGunzip(chunksOf(Uint8Array.from(bytes), 1)))).toEqual(Buffer.from(bytes));
    }
    expect((await errorOf(maybeGunzip(chunksOf(zipped.subarray(0, 2)), "t.gz"))).file).toBe("t.gz");
  });

  it("skips empty chunks", async () => {
    async function* source() {
      yield new Uint8Array(0);
      yield zipped.subarray(0, 1);
      yield new Uint8Array(0);
      yield zipped.subarray(1);
    }
    expect(await collect(maybeGunzip(source()))).toEqual(text);
  });

  it("uses the decompressor that it is given", async () => {
    async function* decompress(_source: AsyncIterable<Uint8Array>, name: string) {
      yield Buffer.from(name);
    }
    expect(String(await collect(maybeGunzip(chunksOf(zipped), "t.gz", decompress)))).toBe("t.gz");
    expect(await collect(maybeGunzip(chunksOf(text), "t.gz", decompress))).toEqual(text);
  });

  it("stops at a decompression bomb, and gives what comes before", async () => {
    const bomb = gzipSync(new Uint8Array(2 ** 27), { level: 9 });
    let given = 0;
    const reading = (async () => {
      for await (const chunk of maybeGunzip(chunksOf(bomb, 512), "t.gz")) given += chunk.length;
    })();
    await expect(reading).rejects.toMatchObject({ code: "IFM_DATA", file: "t.gz", message: /at most 200 bytes/ });
    expect(given).toBeGreaterThan(2 ** 26 - 2 ** 20);
    expect(given).toBeLessThanOrEqual(2 ** 26);
  });

  it("gives files of any size up to 200 bytes from each", async () => {
    const compressed = Buffer.alloc(2 ** 19);
    compressed.set([0x1f, 0x8b]);
    const given = async (bytes: number) => {
      async function* decompress(source: AsyncIterable<Uint8Array>) {
        for await (const _ of source);
        for (let left = bytes; left > 0; left -= 2 ** 20) yield new Uint8Array(Math.min(left, 2 ** 20));
      }
      let sum = 0;
      for await (const chunk of maybeGunzip(chunksOf(compressed, 1000), "t.gz", decompress)) sum += chunk.length;
      return sum;
    };
    expect(await given(200 * 2 ** 19)).toBe(200 * 2 ** 19);
    await expect(given(200 * 2 ** 19 + 1)).rejects.toMatchObject({
      message: "t.gz: gzip data: expected at most 200 bytes from each byte, found 104857601 from 524288",
      hint: "decompress it first if this is meant to be",
    });
  });

  it("gives small files whatever their ratio", async () => {
    const line = Buffer.alloc(2 ** 20, "1 0:1\n");
    expect((await collect(maybeGunzip(chunksOf(gzipSync(line, { level: 9 }))))).equals(line)).toBe(true);
  });

  it("ends its source when it is left", async () => {
    const ended = vi.fn();
    async function* source() {
      try {
        for (;;) yield text;
      } finally {
        ended();
      }
    }
    for await (const _ of maybeGunzip(source())) break;
    expect(ended).toHaveBeenCalledOnce();
  });
});
