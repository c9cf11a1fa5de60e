import { IfmError } from "../errors.js";

/** The value of an option, as JSON has it: `[1, 0.9]` is `--keep 1,0.9`. */
export type OptionValue = number | string | boolean | readonly (number | string)[];

/** Numbers from `min` to `max`, evenly spread or, with scale `log`, their logarithms are. With `step`: min, min + step, … */
export interface Range {
  readonly min: number;
  readonly max: number;
  readonly scale: "linear" | "log";
  readonly step?: number;
}

/** What is tried of one option: each of some values equally often, or numbers of a range. */
export type Dimension = readonly OptionValue[] | Range;

/** What is tried, by the option's flag without its dashes, in the order of the options' table. */
export type Space = Readonly<Record<string, Dimension>>;

/** The values of one trial, by flag. */
export type TrialOptions = Readonly<Record<string, OptionValue>>;

export interface Trial {
  /** Counted from 1. */
  readonly trial: number;
  readonly options: TrialOptions;
}

/** Reads the text of an option's value: undefined if it is none. */
export interface Reader {
  /** What the value must be: `a number > 0`. */
  readonly expects: string;
  read(text: string): unknown;
}

/** The options that can be searched, by flag. A switch has no reader: it takes true and false. */
export type Searchable = ReadonlyMap<string, Reader | undefined>;

/** Draws without a new trial, for each trial asked for, after which the space counts as used up. */
const FRUITLESS_DRAWS = 20;
/** Digits of drawn numbers: as much as a learning rate can matter, and a command that can be read. */
const DIGITS = 3;

/** An option's value as it stands on a command line. */
export function textOf(value: OptionValue): string {
  return Array.isArray(value) ? value.join(",") : String(value);
}

/**
 * Reads a search space: `{"lr": {"min": 0.005, "max": 0.2, "scale": "log"}, "factors": [8, 16, 32]}`.
 *
 * @param file where the text is from, for messages
 * @throws IfmError `IFM_USAGE` naming the option that is unknown or whose values it would not take
 */
export function parseSpace(text: string, file: string, searchable: Searchable): Space {
  const fail = (message: string, hint?: string) => new IfmError("IFM_USAGE", message, { file, ...(hint && { hint }) });
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fail(`expected JSON: ${(error as Error).message}`);
  }
  if (!isObject(json)) throw fail('expected an object such as {"factors": [8, 16, 32]}');
  for (const name of Object.keys(json)) {
    if (searchable.has(name)) continue;
    const known = [...searchable.keys()];
    const meant = known.find((flag) => flag.replaceAll("-", "") === name.toLowerCase().replace(/[-_]/g, ""));
    throw fail(
      `"${name}" cannot be searched`,
      meant === undefined ? `what can: ${known.join(", ")}` : `did you mean "${meant}"?`,
    );
  }
  const space: Record<string, Dimension> = {};
  for (const [name, reader] of searchable) {
    if (!Object.hasOwn(json, name)) continue;
    const given = json[name];
    if (Array.isArray(given)) space[name] = checkChoices(name, given, reader, fail);
    else if (isObject(given)) space[name] = checkRange(name, given, reader, fail);
    else throw fail(`${name}: expected a list of values or {"min": …, "max": …}, got ${JSON.stringify(given)}`);
  }
  if (Object.keys(space).length === 0) throw fail("expected at least one option to search");
  return space;
}

type Fail = (message: string, hint?: string) => IfmError;

function checkChoices(name: string, choices: readonly unknown[], reader: Reader | undefined, fail: Fail) {
  if (choices.length === 0) throw fail(`${name}: expected at least one value`);
  for (const choice of choices) checkValue(name, choice, reader, fail);
  return choices as OptionValue[];
}

function checkValue(name: string, value: unknown, reader: Reader | undefined, fail: Fail): void {
  const isWord = (part: unknown) => typeof part === "number" || typeof part === "string";
  const fits =
    reader === undefined
      ? typeof value === "boolean"
      : (isWord(value) || (Array.isArray(value) && value.every(isWord))) &&
        reader.read(textOf(value as OptionValue)) !== undefined;
  if (!fits) throw fail(`${name}: expected ${reader?.expects ?? "true or false"}, got ${JSON.stringify(value)}`);
}

function checkRange(name: string, range: Record<string, unknown>, reader: Reader | undefined, fail: Fail): Range {
  const wrong = (key: string, expected: string) =>
    fail(`${name}: ${key}: expected ${expected}, got ${JSON.stringify(range[key])}`);
  const unknown = Object.keys(range).find((key) => !["min", "max", "scale", "step"].includes(key));
  if (unknown !== undefined) throw fail(`${name}: expected min, max, scale and step, got "${unknown}"`);
  const { min, max, scale = "linear" } = range;
  if (typeof min !== "number") throw wrong("min", "a number");
  if (typeof max !== "number" || !(max > min)) throw wrong("max", `a number > ${min}`);
  if (scale !== "linear" && scale !== "log") throw wrong("scale", "linear or log");
  if (scale === "log" && min <= 0) throw wrong("min", "a number > 0, because its logarithm is taken");
  checkValue(name, min, reader, fail);
  checkValue(name, max, reader, fail);
  // Between two whole numbers a number that the option refuses tells that it takes only whole ones.
  const isWhole = Number.isInteger(min) && Number.isInteger(max) && reader?.read(String(min + 0.5)) === undefined;
  const step = range.step ?? (isWhole ? 1 : undefined);
  if (step === undefined) return { min, max, scale };
  const isStep = typeof step === "number" && step > 0 && step <= max - min && !(isWhole && !Number.isInteger(step));
  if (!isStep) throw wrong("step", `a ${isWhole ? "whole " : ""}number > 0 and ≤ ${max - min}`);
  return { min, max, scale, step };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The first trials of a study, all different. What trial i is depends on the seed, the space and i, not on how many are
 * asked for or on what ran before. Fewer come back when the space has no more.
 */
export function drawTrials(seed: number, count: number, space: Space): Trial[] {
  const trials: Trial[] = [];
  const seen = new Set<string>();
  for (let draw = 0, fruitless = 0; trials.length < count && fruitless < FRUITLESS_DRAWS * count; draw++) {
    const values = Object.entries(space).map(([name, dimension]) => [name, pick(dimension, random(seed, draw, name))]);
    const key = JSON.stringify(values);
    if (seen.has(key)) {
      fruitless++;
      continue;
    }
    seen.add(key);
    trials.push({ trial: trials.length + 1, options: Object.fromEntries(values) });
  }
  return trials;
}

/** The value of a dimension at a place from 0 up to, but not including, 2^32. */
function pick(dimension: Dimension, place: number): OptionValue {
  const share = place / 2 ** 32;
  if (!("min" in dimension)) return dimension[Math.floor(share * dimension.length)];
  const { min, max, scale, step } = dimension;
  if (step === undefined) {
    const drawn = scale === "log" ? between(min, max, place) : min + share * (max - min);
    return Math.min(max, Math.max(min, Number(drawn.toPrecision(DIGITS))));
  }
  // A quotient such as 0.3 / 0.1 falls a little short of the whole number that is meant.
  const steps = Math.floor((max - min) / step + 1e-9);
  const taken = scale === "log" ? Math.round((between(min, max, place) - min) / step) : Math.floor(share * (steps + 1));
  return Number((min + Math.min(taken, steps) * step).toPrecision(12));
}

/**
 * min · (max/min)^(place / 2^32), by halving on the logarithmic scale: products and square roots are the same in every
 * engine, Math.pow, Math.exp and Math.log need not be.
 */
function between(min: number, max: number, place: number): number {
  let low = min;
  let high = max;
  for (let bit = 31; bit >= 0; bit--) {
    const middle = Math.sqrt(low) * Math.sqrt(high);
    if ((place >>> bit) & 1) low = middle;
    else high = middle;
  }
  return low;
}

/** 32 random bits of a seed, a draw and an option's name; each option has its own, whatever else is searched. */
function random(seed: number, draw: number, name: string): number {
  let state = 0;
  for (const word of [seed, draw, ...new TextEncoder().encode(name)]) state = mix((state ^ word) + 0x9e3779b9);
  return state;
}

/** The mixer of the kernels' generator, `hash32` of assembly/random.ts. */
function mix(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}
