/** What a kernel must have computed. */
export interface Expected {
  /** The twin's values; UNTOUCHED where the kernel must write nothing. */
  values: ArrayLike<number>;
  /**
   * What an error is relative to: for each value the sum of |terms| it is a sum of, or one number for all, usually the
   * largest value. Where it is 0 the value must be exact: padding lanes.
   */
  scale: ArrayLike<number> | number;
}

/** Expected where a kernel leaves an output as it was. */
export const UNTOUCHED = Number.NaN;

/** Expected values that must come out exactly. */
export function exactly(values: ArrayLike<number>): Expected {
  return { values, scale: 0 };
}

/** Largest |value|. */
export function largest(values: ArrayLike<number>): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, Math.abs(values[i]!));
  return most;
}

/**
 * Expected values with errors relative to the largest of them.
 *
 * @param terms size of the terms that they are sums of, where those may cancel
 */
export function nearly(values: ArrayLike<number>, terms = 0): Expected {
  return { values, scale: Math.max(terms, largest(values)) };
}

const SHOWN = 5;

/**
 * Compares with an error of at most `tolerance` · scale.
 *
 * @throws Error with how many values differ, by how much, and the first of them
 */
export function assertClose(what: string, actual: ArrayLike<number>, expected: Expected, tolerance: number): void {
  const { values, scale } = expected;
  if (actual.length !== values.length) {
    throw new Error(`${what}: expected ${values.length} values, got ${actual.length}`);
  }
  let wrong = 0;
  let worst = { ratio: 0, at: 0 };
  const lines: string[] = [];
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) continue;
    const allowed = tolerance * (typeof scale === "number" ? scale : scale[i]!);
    const off = Math.abs(actual[i]! - values[i]!);
    if (actual[i] === values[i] || off <= allowed) continue;
    wrong++;
    const ratio = Number.isFinite(off) ? off / allowed : Number.POSITIVE_INFINITY;
    if (!(ratio <= worst.ratio)) worst = { ratio, at: i };
    if (lines.length < SHOWN) {
      lines.push(
        `  [${i}] got ${actual[i]}, expected ${values[i]}; off by ${off.toPrecision(3)}, allowed ${allowed.toPrecision(3)}`,
      );
    }
  }
  if (wrong === 0) return;
  const head = `${what}: ${wrong} of ${values.length} values are wrong, the worst ([${worst.at}]) by ${worst.ratio.toPrecision(3)} times what is allowed`;
  throw new Error([head, ...lines, ...(wrong > lines.length ? ["  …"] : [])].join("\n"));
}

/** Bits of two arrays of f32, or of anything with a buffer. */
export function assertSameBits(what: string, actual: ArrayBufferView, expected: ArrayBufferView): void {
  const a = new Uint8Array(actual.buffer, actual.byteOffset, actual.byteLength);
  const b = new Uint8Array(expected.buffer, expected.byteOffset, expected.byteLength);
  if (a.length !== b.length) throw new Error(`${what}: expected ${b.length} bytes, got ${a.length}`);
  const differing = new Set<number>();
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) differing.add(i >> 2);
  if (differing.size === 0) return;
  const lines = [...differing]
    .slice(0, SHOWN)
    .map((word) => `  [${word}] got ${hexFloat(a, word)}, expected ${hexFloat(b, word)}`);
  throw new Error([`${what}: ${differing.size} of ${a.length / 4} words differ`, ...lines].join("\n"));
}

function hexFloat(bytes: Uint8Array, word: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return `${view.getFloat32(4 * word, true)} (0x${view
    .getUint32(4 * word, true)
    .toString(16)
    .padStart(8, "0")})`;
}
