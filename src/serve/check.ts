import { type Path, shortened, wrong, wrongText } from "./problem.js";

/*
 * What reads the parts of a request. Each returns what it was given, with a type, or throws the Problem that says where
 * something else was expected. src/serve/openapi.ts says the same as JSON Schema, and a test compares the two.
 */

/** An object that has no other members than these. */
export function object<const Key extends string>(
  value: unknown,
  path: Path,
  keys: readonly Key[],
): { readonly [K in Key]?: unknown } {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong(path, "an object", value);
  for (const key of Object.keys(value)) {
    if (!(keys as readonly string[]).includes(key)) {
      throw wrongText(path, `an object of ${keys.join(", ")}`, `the member ${shortened(key)}`);
    }
  }
  return value as { readonly [K in Key]?: unknown };
}

/** An array of at most so many. */
export function array(value: unknown, path: Path, most: number): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(path, "an array", value);
  if (value.length > most) throw wrong(path, `an array of at most ${most}`, value);
  return value;
}

export function whole(value: unknown, path: Path, min: number, max: number): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrong(path, `a whole number from ${min} to ${max}`, value);
}

/** Undefined when it is missing. */
export function optional<T>(value: unknown, read: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : read(value);
}

export function boolean(value: unknown, path: Path): boolean {
  if (typeof value === "boolean") return value;
  throw wrong(path, "true or false", value);
}

export function oneOf<const T extends string>(value: unknown, path: Path, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw wrong(path, `one of ${choices.join(", ")}`, value);
}
