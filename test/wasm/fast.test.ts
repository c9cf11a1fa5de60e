import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createTrainer, Model, readLibfm } from "../../src/node.js";

// The option `fast`: relaxed SIMD where there is, for the models that gain by it.

/** Rows of so many slots. */
const rowsOf = (slots: number) =>
  readLibfm(
    [1, -1, 1, -1]
      .map((y, r) => [y, ...Array.from({ length: slots }, (_, s) => `${2 * s + (r % 2)}:1`)].join(" "))
      .join("\n"),
  );

const isThere = WebAssembly.validate(readFileSync(new URL("../../wasm/ifm-fast.wasm", import.meta.url)));
const ABSENT = isThere ? [] : ["fast changes nothing: there is no relaxed SIMD here"];
const USELESS = ["fast changes nothing: the usual kernels are as fast for this model"];

describe("fast", () => {
  it.each([
    [{ model: "fm", factors: 32 }, 3, ABSENT],
    [{ model: "fm", factors: 31 }, 3, USELESS],
    [{ model: "ifm", factors: 4 }, 3, ABSENT],
    [{ model: "deepifm", factors: 4 }, 3, ABSENT],
    [{ model: "afm", factors: 4 }, 10, ABSENT],
    [{ model: "afm", factors: 4 }, 9, USELESS],
    [{ model: "inn", factors: 4 }, 3, USELESS],
  ] as const)("%o, rows of %i slots: warns %o", async (model, slots, expected) => {
    const warnings: string[] = [];
    const compute = { fast: true, onWarning: (text: string) => warnings.push(text) };
    const trainer = await createTrainer({
      model,
      data: { train: await rowsOf(slots) },
      train: { epochs: 1 },
      ...compute,
    });
    for await (const _ of trainer);
    expect(warnings).toEqual(expected);
    const bytes = trainer.model().toBytes();
    await trainer.dispose();
    using _model = await Model.load(bytes, compute);
    expect(warnings).toEqual([...expected, ...expected]);
  });

  it("gives the bits of the usual kernels where it changes nothing", async () => {
    const bytes = [];
    for (const fast of [false, true]) {
      const trainer = await createTrainer({
        model: { model: "inn", factors: 4 },
        data: { train: await rowsOf(3) },
        fast,
      });
      for await (const _ of trainer);
      bytes.push(trainer.model().toBytes());
      await trainer.dispose();
    }
    expect(bytes[1]).toEqual(bytes[0]);
  });
});
