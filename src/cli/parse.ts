import { IfmError } from "../errors.js";

/** Reads the text of an option's value; whole token or nothing. */
export interface Parser<T> {
  /** What the value must be, for messages and help: `a number > 0`. */
  readonly expects: string;
  /** The same for several of them: `numbers > 0`. */
  readonly plural: string;
  /** The shortest form, for help, where the option says what it is: `> 0`. Empty when there is nothing to say. */
  readonly brief: string;
  /** The value, or undefined if the text is something else. */
  read(text: string): T | undefined;
}

/** @throws IfmError `IFM_USAGE` naming the flag, what it expects and what it got. */
export function parseValue<T>(flag: string, parser: Parser<T>, text: string): T {
  const value = parser.read(text);
  if (value === undefined) throw new IfmError("IFM_USAGE", `${flag}: expected ${parser.expects}, got "${text}"`);
  return value;
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const WHOLE = /^[+-]?\d+$/;

/** Bounds of a number; `above` and `below` are excluded. */
interface Bounds {
  min?: number;
  above?: number;
  max?: number;
  below?: number;
}

function inBounds(value: number, { min, above, max, below }: Bounds): boolean {
  return (
    (min === undefined || value >= min) &&
    (above === undefined || value > above) &&
    (max === undefined || value <= max) &&
    (below === undefined || value < below)
  );
}

/** Bounds as text: `> 0 and ≤ 1`, `from 0 to 65535`; empty without bounds. */
function boundsText({ min, above, max, below }: Bounds): string {
  if (min !== undefined && max !== undefined) return `from ${min} to ${max}`;
  const parts: string[] = [];
  if (min !== undefined) parts.push(`≥ ${min}`);
  if (above !== undefined) parts.push(`> ${above}`);
  if (max !== undefined) parts.push(`≤ ${max}`);
  if (below !== undefined) parts.push(`< ${below}`);
  return parts.join(" and ");
}

function numeric(noun: string, shape: RegExp, isKind: (value: number) => boolean, bounds: Bounds): Parser<number> {
  const range = boundsText(bounds);
  return {
    expects: `a ${noun} ${range}`.trimEnd(),
    plural: `${noun}s ${range}`.trimEnd(),
    brief: range,
    read(text) {
      const value = Number(text);
      return shape.test(text) && isKind(value) && inBounds(value, bounds) ? value : undefined;
    },
  };
}

export function number(bounds: Bounds = {}): Parser<number> {
  return numeric("number", DECIMAL, Number.isFinite, bounds);
}

export function whole(bounds: Bounds = {}): Parser<number> {
  return numeric("whole number", WHOLE, Number.isSafeInteger, bounds);
}

/** Threads: a number, or `auto` for as many as the machine runs at once. */
export const threadCount: Parser<number | "auto"> = {
  ...whole({ min: 1, max: 256 }),
  expects: "auto or a whole number from 1 to 256",
  brief: "auto or 1 … 256",
  read: (text) => (text === "auto" ? text : whole({ min: 1, max: 256 }).read(text)),
};

const SECONDS = { s: 1, m: 60, h: 3600 } as const;
const CADENCE = /^(\d+)(s|m|h| ?epochs?)?$/;

/** How often something is done: `5m`, `500` steps or `2epochs`. */
export const cadence: Parser<{ seconds?: number; steps?: number; epochs?: number }> = {
  expects: "a time such as 30s, 5m or 2h, a number of steps, or a number of epochs such as 2epochs",
  plural: "times, steps or epochs",
  brief: "30s, 5m, 2h, 500, 2epochs, …",
  read(text) {
    const [, digits, unit] = CADENCE.exec(text) ?? [];
    const count = Number(digits);
    if (!Number.isSafeInteger(count) || count === 0) return undefined;
    if (unit === undefined) return { steps: count };
    if (unit === "s" || unit === "m" || unit === "h") return { seconds: count * SECONDS[unit] };
    return { epochs: count };
  },
};

export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  const names = choices.join(", ");
  return {
    expects: `one of ${names}`,
    plural: `some of ${names}`,
    brief: names,
    read: (text) => choices.find((choice) => choice === text),
  };
}

/** `1.0,0.9`, also in brackets as the authors' scripts want it: `[1.0,0.9]`. */
export function list<T>(item: Parser<T>, max = Number.POSITIVE_INFINITY): Parser<T[]> {
  const expects = `${max === 2 ? "one or two " : ""}${item.plural}, separated by commas`;
  return {
    expects,
    plural: expects,
    brief: item.brief,
    read(text) {
      const inner = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
      const values = inner.split(",").map((part) => item.read(part.trim()));
      return values.length <= max && values.every((value) => value !== undefined) ? values : undefined;
    },
  };
}

/** A word of letters, digits, `_`, `.` and `-`: a tensor, a data set. */
export const name: Parser<string> = {
  expects: "a name",
  plural: "names",
  brief: "",
  read: (text) => (/^\w[\w.-]*$/.test(text) ? text : undefined),
};

/** A path. What begins with two dashes is an option whose value was forgotten. */
export const path: Parser<string> = {
  expects: "a file or folder name",
  plural: "file or folder names",
  brief: "",
  read: (text) => (text === "" || text.startsWith("--") ? undefined : text),
};
