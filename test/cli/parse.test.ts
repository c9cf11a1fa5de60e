import { describe, expect, it } from "vitest";
import { list, name, number, oneOf, type Parser, parseValue, path, whole } from "../../src/cli/parse.js";

describe("the value of an option", () => {
  it.each<[Parser<unknown>, string, unknown]>([
    [number(), "0.1", 0.1],
    [number(), "-.5", -0.5],
    [number(), "+1e-3", 1e-3],
    [number(), "5.", 5],
    [number({ above: 0, max: 1 }), "1", 1],
    [whole(), "-3", -3],
    [whole({ min: 0, max: 2 ** 32 - 1 }), "4294967295", 2 ** 32 - 1],
    [oneOf("sum", "mean"), "mean", "mean"],
    [list(number()), "1.0,0.9", [1, 0.9]],
    [list(number()), "[1.0, 0.9]", [1, 0.9]],
    [list(whole()), "100,75,50", [100, 75, 50]],
    [list(whole()), "7", [7]],
    [list(name), "bias,mlp.0.kernel", ["bias", "mlp.0.kernel"]],
    [path, "-", "-"],
    [path, "-odd name", "-odd name"],
  ])("is read from the whole token: %#, %s", (parser, text, value) => {
    expect(parser.read(text)).toEqual(value);
  });

  it.each<[Parser<unknown>, string]>([
    [number(), ""],
    [number(), " 1"],
    [number(), "1x"],
    [number(), "0x10"],
    [number(), "1_000"],
    [number(), "1e999"],
    [number(), "Infinity"],
    [number(), "nan"],
    [number(), "1,5"],
    [number({ above: 0 }), "0"],
    [number({ below: 1 }), "1"],
    [whole(), "1.0"],
    [whole(), "1e3"],
    [whole(), "9007199254740993"],
    [whole({ min: 1 }), "0"],
    [oneOf("sum", "mean"), "Sum"],
    [oneOf("sum", "mean"), "me"],
    [list(number()), ""],
    [list(number()), "1,,2"],
    [list(number()), "[1,2"],
    [list(number(), 2), "1,2,3"],
    [name, ""],
    [name, "a/b"],
    [path, ""],
    [path, "--json"],
  ])("is refused when it is something else: %#, %j", (parser, text) => {
    expect(parser.read(text)).toBeUndefined();
  });

  it.each([
    ["--lr", number({ above: 0 }), "abc", '--lr: expected a number > 0, got "abc"'],
    ["--momentum", number({ min: 0, below: 1 }), "1", '--momentum: expected a number ≥ 0 and < 1, got "1"'],
    ["--seed", whole({ min: 0, max: 9 }), "-1", '--seed: expected a whole number from 0 to 9, got "-1"'],
    ["--epochs", whole({ min: 1 }), "2.5", '--epochs: expected a whole number ≥ 1, got "2.5"'],
    [
      "--hidden",
      list(whole({ min: 1 })),
      "5,x",
      '--hidden: expected whole numbers ≥ 1, separated by commas, got "5,x"',
    ],
    ["--reduction", oneOf("sum", "mean"), "max", '--reduction: expected one of sum, mean, got "max"'],
    ["--output", path, "--json", '--output: expected a file or folder name, got "--json"'],
  ])("is missed with a message that says what was expected: %s", (flag, parser, text, message) => {
    expect(() => parseValue<unknown>(flag, parser, text)).toThrow(
      expect.objectContaining({ code: "IFM_USAGE", message }),
    );
  });
});
