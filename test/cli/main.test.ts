import { beforeEach, describe, expect, it, vi } from "vitest";
import { main } from "../../src/cli/main.js";
import { predict } from "../../src/cli/predict.js";
import { train } from "../../src/cli/train.js";
import { VERSION } from "../../src/version.js";
import { testIo } from "./support.js";

// What the commands do is tested in a process of its own; here, what they are told.
vi.mock("../../src/cli/train.js", () => ({ train: vi.fn(async () => 0) }));
vi.mock("../../src/cli/predict.js", () => ({ predict: vi.fn(async () => 0) }));

beforeEach(() => {
  vi.mocked(train).mockClear();
  vi.mocked(predict).mockClear();
});

async function call(line: string, env?: Record<string, string>) {
  const io = testIo(env);
  const code = await main(line.split(" ").filter(Boolean), io);
  return { code, out: io.stdout(), err: io.stderr() };
}

describe("ifm-wasm", () => {
  it("gives a command its file and typed options", async () => {
    const { code } = await call("train rows.libfm --lr 1e-2 --keep 1.0,0.9 --hidden 100,75 --no-shuffle --json");
    expect(code).toBe(0);
    expect(vi.mocked(train).mock.calls[0][0]).toBe("rows.libfm");
    expect(vi.mocked(train).mock.calls[0][1]).toEqual({
      lr: 0.01,
      keep: [1, 0.9],
      hidden: [100, 75],
      shuffle: false,
      cache: true,
      json: true,
    });
  });

  it("gives nothing that was not said, but the true that commander gives --no-shuffle and --no-cache", async () => {
    await call("train");
    expect(vi.mocked(train).mock.calls[0].slice(0, 2)).toEqual([undefined, { shuffle: true, cache: true }]);
    await call("predict m.safetensors - --link sigmoid");
    expect(vi.mocked(predict).mock.calls[0].slice(0, 3)).toEqual([
      "m.safetensors",
      "-",
      { link: "sigmoid", cache: true },
    ]);
  });

  it("takes the authors' flags", async () => {
    await call("train --model fm --dataset ml-tag --epoch 9 --hidden_factor [8,256] --pretrain -1 --batch_norm 1");
    expect(vi.mocked(train).mock.calls[0][1]).toMatchObject({
      model: "fm",
      dataset: "ml-tag",
      epochs: 9,
      attentionFactors: 8,
      factors: 256,
      pretrain: "-1",
      batchNorm: true,
    });
  });

  it("takes a switch back", async () => {
    await call("train --batch-norm --no-batch-norm --no-evaluate-train");
    expect(vi.mocked(train).mock.calls[0][1]).toMatchObject({ batchNorm: false, evaluateTrain: false });
  });

  it("returns the exit code of the command", async () => {
    vi.mocked(train).mockResolvedValueOnce(4);
    expect((await call("train")).code).toBe(4);
  });

  it.each([
    ["", /^Usage: ifm-wasm/],
    ["trian", /error: unknown command 'trian'\n\(Did you mean train\?\)/],
    ["train --epocs 3", /error: unknown option '--epocs'\n\(Did you mean --epochs\?\)/],
    ["train --lr abc", /error: --lr: expected a number > 0, got "abc"/],
    ["train --lr", /error: option '--lr <x>' argument missing/],
    ["train --output --json", /error: --output: expected a file or folder name, got "--json"/],
    [
      "train --optimizer adagrd",
      /error: --optimizer: expected one of sgd, momentum, adagrad, adam, ftrl, got "adagrd"/,
    ],
    ["train a b", /error: too many arguments for 'train'/],
    ["train --epoch x", /error: --epoch: expected a whole number/],
    ["predict m.safetensors", /error: missing required argument 'FILE'/],
    ["evaluate", /error: missing required argument 'MODEL'/],
    ["predict m f --jsn", /error: unknown option '--jsn'/],
  ])("refuses %j with exit code 2, on stderr", async (line, message) => {
    const { code, out, err } = await call(line);
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(message);
    expect(train).not.toHaveBeenCalled();
  });

  it("prints its version", async () => {
    expect(await call("--version")).toEqual({ code: 0, out: `${VERSION}\n`, err: "" });
  });

  it.each(["--help", "help", "train --help", "help train", "predict -h", "evaluate -h", "inspect -h", "check -h"])(
    "%s is on stdout, has examples and fits 80 columns",
    async (line) => {
      const { code, out, err } = await call(line);
      expect(code).toBe(0);
      expect(err).toBe("");
      expect(out).toContain("Examples:");
      for (const text of out.split("\n")) expect(text.length, text).toBeLessThanOrEqual(80);
    },
  );

  it("says early which IFM this is", async () => {
    const { out } = await call("--help");
    expect(out.replace(/\s+/g, " ")).toContain(
      "Interaction-aware FM of Hong, Huang and Chen (AAAI 2019), not DeepCTR's IFM, which is the Input-aware FM",
    );
  });

  it("groups the options of train", async () => {
    const { out } = await call("train --help");
    const headings = ["Data:", "Model:", "Training:", "Optimizers:", "Regularisation:", "Output:"];
    const at = headings.map((heading) => out.indexOf(`\n${heading}\n`));
    expect(at.every((place) => place > 0)).toBe(true);
    expect(at).toEqual(at.toSorted((a, b) => a - b));
  });

  it("colours help and errors only when asked to", async () => {
    expect((await call("train --help")).out).not.toContain("\x1b");
    expect((await call("train --help", { FORCE_COLOR: "1" })).out).toContain("\x1b[1mUsage:\x1b[22m");
    expect((await call("trian", { FORCE_COLOR: "1" })).err).toContain("\x1b[31merror:\x1b[39m");
    expect((await call("trian", { FORCE_COLOR: "1", NO_COLOR: "1" })).err).not.toContain("\x1b");
  });

  it("shows the stack of an error that nobody expected, and exits with 1", async () => {
    vi.mocked(train).mockRejectedValueOnce(new TypeError("oops"));
    const { code, err } = await call("train");
    expect(code).toBe(1);
    expect(err).toContain("unexpected error: TypeError: oops\n    at ");
  });
});
