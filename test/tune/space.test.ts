import { describe, expect, it } from "vitest";
import { list, number, oneOf, whole } from "../../src/cli/parse.js";
import { IfmError } from "../../src/errors.js";
import { drawTrials, parseSpace, type Reader, type Searchable, type Space, textOf } from "../../src/tune/space.js";

const SEARCHABLE: Searchable = new Map<string, Reader | undefined>([
  ["factors", whole({ min: 1 })],
  ["lr", number({ above: 0 })],
  ["keep", list(number({ above: 0, max: 1 }), 2)],
  ["activation", oneOf("relu", "tanh")],
  ["l2-field", number({ min: 0 })],
  ["batch-norm", undefined],
]);

const parse = (space: unknown) => parseSpace(JSON.stringify(space), "space.json", SEARCHABLE);

/** What is refused, as a person reads it. */
function refusal(text: string): string {
  try {
    parseSpace(text, "space.json", SEARCHABLE);
  } catch (error) {
    expect(error).toBeInstanceOf(IfmError);
    const { code, message, hint } = error as IfmError;
    expect(code).toBe("IFM_USAGE");
    return hint === undefined ? message : `${message} (${hint})`;
  }
  throw new Error(`${text} was accepted`);
}

describe("a search space", () => {
  it("has lists of values and ranges, in the order of the options' table", () => {
    const space = parse({
      lr: { min: 0.001, max: 0.1, scale: "log" },
      "batch-norm": [true, false],
      keep: [[1, 0.9], "1,0.8"],
      factors: [8, 16],
      "l2-field": { min: 0, max: 1 },
    });
    expect(Object.entries(space)).toEqual([
      ["factors", [8, 16]],
      ["lr", { min: 0.001, max: 0.1, scale: "log" }],
      ["keep", [[1, 0.9], "1,0.8"]],
      ["l2-field", { min: 0, max: 1, scale: "linear" }],
      ["batch-norm", [true, false]],
    ]);
  });

  it("draws whole numbers where an option takes no others", () => {
    expect(parse({ factors: { min: 4, max: 64 } })).toEqual({ factors: { min: 4, max: 64, scale: "linear", step: 1 } });
    expect(parse({ factors: { min: 4, max: 64, step: 20 } }).factors).toMatchObject({ step: 20 });
    expect(parse({ lr: { min: 1, max: 3 } }).lr).not.toHaveProperty("step");
  });

  it.each([
    ["", /^space\.json: expected JSON: /],
    ["[]", 'space.json: expected an object such as {"factors": [8, 16, 32]}'],
    ["{}", "space.json: expected at least one option to search"],
    ['{"lrr": [1]}', /"lrr" cannot be searched \(what can: factors, lr, /],
    ['{"l2Field": [1]}', 'space.json: "l2Field" cannot be searched (did you mean "l2-field"?)'],
    ['{"toString": [1]}', /"toString" cannot be searched/],
    ['{"lr": 0.1}', 'space.json: lr: expected a list of values or {"min": …, "max": …}, got 0.1'],
    ['{"lr": []}', "space.json: lr: expected at least one value"],
    ['{"lr": [0.1, 0]}', "space.json: lr: expected a number > 0, got 0"],
    ['{"lr": [null]}', "space.json: lr: expected a number > 0, got null"],
    ['{"keep": [[1, 0.9, 0.8]]}', /keep: expected one or two numbers .*, got \[1,0\.9,0\.8\]/],
    ['{"factors": [8.5]}', "space.json: factors: expected a whole number ≥ 1, got 8.5"],
    ['{"activation": ["gelu"]}', 'space.json: activation: expected one of relu, tanh, got "gelu"'],
    ['{"batch-norm": ["yes"]}', 'space.json: batch-norm: expected true or false, got "yes"'],
    ['{"batch-norm": {"min": 0, "max": 1}}', "space.json: batch-norm: expected true or false, got 0"],
    ['{"lr": {"min": 0.1}}', "space.json: lr: max: expected a number > 0.1, got undefined"],
    ['{"lr": {"min": 0.1, "max": 0.1}}', "space.json: lr: max: expected a number > 0.1, got 0.1"],
    ['{"lr": {"min": "a", "max": 1}}', 'space.json: lr: min: expected a number, got "a"'],
    ['{"lr": {"min": 0, "max": 1}}', "space.json: lr: expected a number > 0, got 0"],
    [
      '{"l2-field": {"min": 0, "max": 1, "scale": "log"}}',
      "space.json: l2-field: min: expected a number > 0, because its logarithm is taken, got 0",
    ],
    ['{"lr": {"min": 1, "max": 2, "scale": "ln"}}', 'space.json: lr: scale: expected linear or log, got "ln"'],
    ['{"lr": {"min": 1, "max": 2, "steps": 2}}', 'space.json: lr: expected min, max, scale and step, got "steps"'],
    ['{"lr": {"min": 1, "max": 2, "step": 3}}', "space.json: lr: step: expected a number > 0 and ≤ 1, got 3"],
    [
      '{"factors": {"min": 1, "max": 9, "step": 0.5}}',
      "space.json: factors: step: expected a whole number > 0 and ≤ 8, got 0.5",
    ],
  ])("%s is refused, and the option is named", (text, message) => {
    if (typeof message === "string") expect(refusal(text)).toBe(message);
    else expect(refusal(text)).toMatch(message);
  });
});

const SPACE = parse({
  factors: { min: 4, max: 64, step: 4 },
  lr: { min: 0.005, max: 0.2, scale: "log" },
  keep: [
    [1, 1],
    [1, 0.9],
    [1, 0.8],
  ],
  "l2-field": { min: 0, max: 1 },
});

/** All values of an option in many trials. */
function drawn(space: Space, name: string, count = 4000): number[] {
  return drawTrials(1, count, space).map(({ options }) => options[name] as number);
}

describe("trials", () => {
  it("follow from the seed: these are the first of seed 1, in every version", () => {
    expect(drawTrials(1, 3, SPACE)).toMatchInlineSnapshot(`
      [
        {
          "options": {
            "factors": 52,
            "keep": [
              1,
              1,
            ],
            "l2-field": 0.311,
            "lr": 0.046,
          },
          "trial": 1,
        },
        {
          "options": {
            "factors": 4,
            "keep": [
              1,
              1,
            ],
            "l2-field": 0.972,
            "lr": 0.0404,
          },
          "trial": 2,
        },
        {
          "options": {
            "factors": 52,
            "keep": [
              1,
              1,
            ],
            "l2-field": 0.185,
            "lr": 0.102,
          },
          "trial": 3,
        },
      ]
    `);
  });

  it("do not depend on how many are drawn", () => {
    expect(drawTrials(7, 50, SPACE).slice(0, 5)).toEqual(drawTrials(7, 5, SPACE));
    expect(drawTrials(7, 5, SPACE)).not.toEqual(drawTrials(8, 5, SPACE));
  });

  it("do not depend on what else is searched", () => {
    const { lr } = SPACE;
    const alone = drawTrials(7, 20, { lr }).map(({ options }) => options.lr);
    expect(drawTrials(7, 20, SPACE).map(({ options }) => options.lr)).toEqual(alone);
  });

  it("are numbered from 1 and all different, and as many as there are", () => {
    const small = parse({ factors: [8, 16], keep: [[1, 1], [0.9]] });
    const trials = drawTrials(3, 27, small);
    expect(trials.map(({ trial }) => trial)).toEqual([1, 2, 3, 4]);
    expect(new Set(trials.map(({ options }) => JSON.stringify(options))).size).toBe(4);
  });

  it("have numbers of three digits that lie in their range", () => {
    for (const lr of drawn(SPACE, "lr")) {
      expect(lr).toBeGreaterThanOrEqual(0.005);
      expect(lr).toBeLessThanOrEqual(0.2);
      expect(Number(lr.toPrecision(3))).toBe(lr);
    }
    // Rounded to three digits, both ends would lie outside.
    const narrow = { lr: { min: 0.12345, max: 0.12351, scale: "linear" } } as const;
    expect(new Set(drawn(narrow, "lr", 5))).toEqual(new Set([0.12345, 0.12351]));
  });

  it("have whole steps, without the errors of adding", () => {
    const tenths = new Set(drawn(parse({ lr: { min: 0.1, max: 0.9, step: 0.1 } }), "lr", 9));
    expect([...tenths].sort()).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
    const powers = drawn(parse({ factors: { min: 1, max: 1024, scale: "log" } }), "factors", 500);
    expect(powers.every((value) => Number.isInteger(value) && value >= 1 && value <= 1024)).toBe(true);
    expect(Math.max(...drawn(parse({ factors: { min: 1, max: 10, step: 4 } }), "factors", 3))).toBe(9);
  });

  it("are spread evenly, or on a logarithmic scale", () => {
    const l2 = drawn(SPACE, "l2-field");
    const lr = drawn(SPACE, "lr");
    // Bounds of four standard deviations of 4,000 throws of a coin.
    const half = (values: number[], middle: number) => values.filter((value) => value < middle).length / 4000;
    expect(half(l2, 0.5)).toBeCloseTo(0.5, 1);
    expect(Math.abs(half(l2, 0.5) - 0.5)).toBeLessThan(0.032);
    expect(Math.abs(half(lr, Math.sqrt(0.005 * 0.2)) - 0.5)).toBeLessThan(0.032);
    const choices = drawTrials(1, 4000, SPACE).map(({ options }) => textOf(options.keep));
    for (const choice of ["1,1", "1,0.9", "1,0.8"]) {
      expect(Math.abs(choices.filter((found) => found === choice).length / 4000 - 1 / 3)).toBeLessThan(0.03);
    }
  });
});
