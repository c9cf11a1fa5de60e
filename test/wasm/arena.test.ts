import { describe, expect, test } from "vitest";
import { defaultModel, type ModelConfig, validateTrainConfig } from "../../src/config.js";
import { Arena, formatBytes } from "../../src/wasm/arena.js";
import { HEAP_BASE } from "../../src/wasm/load.js";
import { Session } from "../../src/wasm/session.js";
import { BUILDS } from "../support/memory.js";
import { Random } from "../support/random.js";
import { datasetOf } from "../support/session.js";

const module = BUILDS[0].module;

describe("Arena", () => {
  test("hands out 64-aligned pieces that do not overlap, in order", () => {
    const arena = new Arena();
    const random = new Random(1);
    let end = HEAP_BASE;
    for (let i = 0; i < 200; i++) {
      const bytes = random.int(300);
      const address = arena.take(bytes);
      expect(address % 64).toBe(0);
      expect(address).toBeGreaterThanOrEqual(end);
      expect(address - end).toBeLessThan(64);
      end = address + bytes;
    }
    expect(arena.bytes).toBeGreaterThanOrEqual(end);
  });

  test("begins behind the module's constants", () => {
    expect(new Arena().take(1)).toBe(HEAP_BASE);
  });

  test("makes a memory that holds everything and can grow", () => {
    const arena = new Arena();
    arena.take(100_000);
    const memory = arena.memory("a test");
    expect(memory.buffer.byteLength).toBeGreaterThanOrEqual(arena.bytes);
    expect(memory.buffer.byteLength - arena.bytes).toBeLessThan(65536);
    expect(memory.grow(1)).toBe(2);
  });

  test("beyond 4 GiB: IFM_MEMORY with what is needed and what there is", () => {
    const arena = new Arena();
    arena.take(5e9);
    expect(() => arena.memory("the test model")).toThrow(
      expect.objectContaining({
        code: "IFM_MEMORY",
        message: "the test model needs 5.0 GB, expected at most 4.3 GB",
        hint: expect.stringMatching(/fewer factors/),
      }),
    );
  });

  test("the last page is never used: an end pointer of 4 GiB would be 0", () => {
    const arena = new Arena();
    arena.take(65535 * 65536 - HEAP_BASE + 1);
    expect(() => arena.memory("it")).toThrow(expect.objectContaining({ code: "IFM_MEMORY" }));
  });
});

describe("Session", () => {
  const config: ModelConfig = { ...defaultModel("fm"), features: 3, fields: 0, fieldOfSlot: [], factors: 4 };
  const rows = [{ label: 1, slots: [{ feature: 0, value: 1 }] }];

  test("a table beyond 4 GiB: IFM_MEMORY with the numbers", () => {
    const large = { ...config, features: 20_000_000, factors: 64 }; // 20e6 · 68 · 4 bytes
    expect(() => new Session(module, large, 1)).toThrow(
      expect.objectContaining({
        code: "IFM_MEMORY",
        message: "the fm model (20000000 features) needs 5.4 GB, expected at most 4.3 GB",
      }),
    );
  });

  test("optimizer state counts", () => {
    const large = { ...config, features: 5_000_000, factors: 64 };
    const data = datasetOf(rows);
    const train = validateTrainConfig({ optimizer: "adam" }, "fm", "squared");
    expect(() => new Session(module, large, 1, { config: train, data })).toThrow(
      expect.objectContaining({
        code: "IFM_MEMORY",
        message: expect.stringMatching(/needs 4\.1 GB|needs 4\.[2-9] GB/),
      }),
    );
  });

  test("says how many bytes it has", () => {
    const session = new Session(module, config, 1);
    expect(session.bytes).toBe(session.memory.buffer.byteLength);
  });
});

test("formatBytes", () => {
  expect([0, 999, 1000, 1536, 999_999, 1e6, 1.25e6, 4.29e9, 5e12].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1 kB",
    "2 kB",
    "1000 kB",
    "1.0 MB",
    "1.3 MB",
    "4.3 GB",
    "5000.0 GB",
  ]);
});
