import { Problem } from "./problem.js";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = [0x5b, 0x7b];

/**
 * The value of a JSON text.
 *
 * @throws Problem IFM_JSON when it is none, or when its arrays and objects lie deeper within each other than `maxDepth`
 */
export function parseJson(bytes: Uint8Array, maxDepth: number): unknown {
  // Before parsing: an engine may build what is nested, or recurse, before it gives up.
  if (hasMoreBrackets(bytes, maxDepth) && isDeeper(bytes, maxDepth)) {
    throw new Problem("IFM_JSON", `expected JSON with arrays and objects at most ${maxDepth} deep`);
  }
  if (bytes.length === 0) throw new Problem("IFM_JSON", "expected a JSON object, found an empty body");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Problem("IFM_JSON", "expected JSON, found bytes that are not UTF-8");
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // What engines say differs, and repeats what was sent.
    throw new Problem("IFM_JSON", "expected JSON, found something else");
  }
}

/** Whether more than `most` brackets open, deep or not; a large table of numbers has a handful, and looking is quick. */
function hasMoreBrackets(bytes: Uint8Array, most: number): boolean {
  let count = 0;
  for (const bracket of OPENING) {
    for (let at = bytes.indexOf(bracket); at !== -1; at = bytes.indexOf(bracket, at + 1)) {
      if (++count > most) return true;
    }
  }
  return false;
}

/** Whether brackets, outside of strings, open more than `most` levels. */
function isDeeper(bytes: Uint8Array, most: number): boolean {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (inString) {
      if (byte === BACKSLASH) i++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === 0x5b || byte === 0x7b) {
      if (++depth > most) return true;
    } else if (byte === 0x5d || byte === 0x7d) {
      depth--;
    }
  }
  return false;
}
