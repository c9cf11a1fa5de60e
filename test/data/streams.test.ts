import { describe, expect, it, vi } from "vitest";
import { iterate, toStream } from "../../src/data/streams.js";

/** Gives 1, 2, 3 and notes what it was asked for, and whether it was ended. */
function source() {
  const log: (number | string)[] = [];
  async function* numbers() {
    try {
      for (const number of [1, 2, 3]) {
        log.push(number);
        yield number;
      }
    } finally {
      log.push("ended");
    }
  }
  return { log, numbers: numbers() };
}

describe("toStream", () => {
  it("asks for nothing that nobody has asked it for", async () => {
    const { log, numbers } = source();
    const reader = toStream(numbers).getReader();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(log).toEqual([]);
    expect(await reader.read()).toEqual({ done: false, value: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(log).toEqual([1]);
    await reader.read();
    await reader.read();
    expect(await reader.read()).toEqual({ done: true, value: undefined });
    expect(log).toEqual([1, 2, 3, "ended"]);
  });

  it("ends its source when it is cancelled", async () => {
    const { log, numbers } = source();
    const reader = toStream(numbers).getReader();
    await reader.read();
    await reader.cancel();
    expect(log).toEqual([1, "ended"]);
  });

  it("fails as its source does", async () => {
    const failure = new Error("unplugged");
    // biome-ignore lint/correctness/useYield: it fails before.
    async function* failing(): AsyncGenerator<number> {
      throw failure;
    }
    await expect(toStream(failing()).getReader().read()).rejects.toBe(failure);
  });
});

describe("iterate", () => {
  it("gives the chunks of a stream, and cancels it when it is left", async () => {
    const found: number[] = [];
    for await (const number of iterate(toStream(source().numbers))) found.push(number);
    expect(found).toEqual([1, 2, 3]);
    const { log, numbers } = source();
    for await (const _ of iterate(toStream(numbers))) break;
    await vi.waitFor(() => expect(log).toEqual([1, "ended"]));
  });

  it("throws what a stream fails with, not what its end says then", async () => {
    const failure = new Error("unplugged");
    const stream = new ReadableStream<number>({ pull: (controller) => controller.error(failure) });
    await expect(iterate(stream).next()).rejects.toBe(failure);
  });
});
