import { IfmError } from "../errors.js";

/** What is wrong with a line: its label, the slot at a place, the number of slots, its length. */
export type Problem = "label" | "slot" | "slots" | "too-long";

/** A line that the parser has refused, and what is needed to say why. */
export interface RefusedLine {
  file: string;
  line: number;
  /** First bytes of the file while it may still be of another kind, else empty. */
  head: readonly number[];
  problem: Problem;
  bytes: Uint8Array;
  /** Where in `bytes` the line starts. */
  lineStart: number;
  /** Where in `bytes` the token starts that is wrong; for `slots`, how many slots the row has. */
  at: number;
  /** Slots that a row should have. */
  slots: number;
  maxLineBytes: number;
}

interface Explanation {
  message: string;
  hint: string;
  /** Bytes from the start of the token to what is wrong in it. */
  offset?: number;
}

const QUOTED_CHARACTERS = 40;
const MAX_UTF8_BYTES = 4;

/** What the parser accepts. No two parts match the same digits, so that a long token takes linear time. */
const DECIMAL = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const NOT_A_NUMBER = /^[+-]?(nan|inf|infinity|null|none|na|\?)$/i;

/** How files begin that are given instead of libFM text by mistake. Letters stand for themselves, `\x` for bytes. */
const FOREIGN: readonly { begins: string; at?: number; is: string; hint: string }[] = [
  { begins: "\x1f\x8b", is: "gzip data", hint: "decompress it first, or open it with openData or gunzip" },
  { begins: "PK\x03\x04", is: "a zip archive", hint: "unpack it and pass the file inside" },
  { begins: "\x28\xb5\x2f\xfd", is: "zstd data", hint: "decompress it first: zstd -d FILE" },
  { begins: "\xfd7zXZ", is: "xz data", hint: "decompress it first: xz -d FILE" },
  { begins: "BZh", is: "bzip2 data", hint: "decompress it first: bzip2 -d FILE" },
  { begins: "\0\0{", at: 6, is: "a safetensors file", hint: "this is a model; the data file is another argument" },
  { begins: "PAR1", is: "a Parquet file", hint: "convert it to libFM text" },
  { begins: "\x93NUMPY", is: "a NumPy file", hint: "convert it to libFM text" },
  { begins: "\x89HDF", is: "an HDF5 file", hint: "convert it to libFM text" },
  { begins: "\x7fELF", is: "a program", hint: "pass a data file" },
  { begins: "\xff\xfe", is: "UTF-16 text", hint: "save it as UTF-8" },
  { begins: "\xfe\xff", is: "UTF-16 text", hint: "save it as UTF-8" },
  { begins: "<", is: "HTML or XML", hint: "look into the file: a download may have saved an error page" },
  { begins: "{", is: "JSON", hint: "convert it to libFM text" },
  { begins: "[", is: "JSON", hint: "convert it to libFM text" },
  { begins: "version https://", is: "a Git LFS pointer", hint: "fetch the file itself: git lfs pull" },
];

/**
 * Says why a line cannot be read.
 *
 * @returns the error, with file, line and column, and whether the whole file is of another kind, so that no other line
 *   can be read either
 */
export function explainLine(refused: RefusedLine): { error: IfmError; foreign: boolean } {
  const { file, line, problem, lineStart, at } = refused;
  const foreign = recognise(refused.head);
  if (foreign !== undefined) {
    const message = `expected libFM text, found ${foreign.is}`;
    return { error: new IfmError("IFM_DATA", message, { file, hint: foreign.hint }), foreign: true };
  }
  if (problem === "slots") {
    const message = `row has ${at} ${at === 1 ? "slot" : "slots"}, expected ${refused.slots}`;
    const hint = "every row needs the same number of slots here; write a feature for missing values too";
    return { error: new IfmError("IFM_DATA", message, { file, line, hint }), foreign: false };
  }
  if (problem === "too-long") {
    const message = `line is longer than ${refused.maxLineBytes} bytes`;
    const hint = "check that this is text with one row per line; maxLineBytes raises the limit";
    return { error: new IfmError("IFM_DATA", message, { file, line, hint }), foreign: false };
  }
  const token = tokenAt(refused.bytes, at);
  const { message, hint, offset = 0 } = explainToken(problem, token);
  const column = at - lineStart + offset + 1;
  return { error: new IfmError("IFM_DATA", message, { file, line, column, hint }), foreign: false };
}

function recognise(head: readonly number[]): { is: string; hint: string } | undefined {
  const text = String.fromCharCode(...head);
  return FOREIGN.find(({ begins, at = 0 }) => text.startsWith(begins, at));
}

/** The token at `start`, one character per byte; a carriage return alone is a token of its own. */
function tokenAt(bytes: Uint8Array, start: number): string {
  if (bytes[start] === 0x0d) return "\r";
  let end = start;
  while (end < bytes.length && !" \t\r\n#".includes(String.fromCharCode(bytes[end]))) end++;
  return latin1(bytes.subarray(start, end));
}

/** One character per byte. `TextDecoder` has no such encoding: its "latin1" is windows-1252. */
function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return text;
}

function explainToken(problem: "label" | "slot", token: string): Explanation {
  const found = quote(token);
  if (token === "\r") {
    return {
      message: `expected the end of the line after a carriage return`,
      hint: "lines end in LF or CRLF; convert the line ends of the file",
    };
  }
  if (hasControlCharacter(token)) {
    const expected = problem === "label" ? "a number as label" : '"id:value"';
    return {
      message: `expected ${expected}, found ${found}`,
      hint: "the file holds binary data; pass libFM text, plain or gzipped",
    };
  }
  return problem === "label" ? explainLabel(token, found) : explainSlot(token, found);
}

function explainLabel(token: string, found: string): Explanation {
  if (DECIMAL.test(token))
    return { message: `label ${found} is out of range for a 32-bit float`, hint: "scale labels" };
  const message = `expected a number as label, found ${found}`;
  if (token.includes(":")) return { message, hint: 'every row begins with its label: "label id:value id:value …"' };
  if (/[,;]/.test(token)) {
    return { message, hint: 'this looks like CSV; rows are "label id:value id:value …", separated by blanks' };
  }
  if (NOT_A_NUMBER.test(token))
    return { message, hint: "labels must be finite; leave out rows whose label is unknown" };
  return { message, hint: 'rows are "label id:value id:value …" with a decimal number as label' };
}

function explainSlot(token: string, found: string): Explanation {
  const [id, value, ...more] = token.split(":", 4);
  const message = `expected "id:value", found ${found}`;
  if (value === undefined) {
    if (/^\d+$/.test(token)) return { message, hint: `every feature needs a value; write "${cut(token)}:1"` };
    if (/[,;]/.test(token)) return { message, hint: "slots are separated by blanks" };
    return { message, hint: 'after the label come features as "id:value", separated by blanks' };
  }
  if (more.length > 0) {
    if (more.length > 1) return { message, hint: "slots are separated by blanks" };
    return { message, hint: 'this looks like libffm "field:id:value"; remove the field in front of every feature' };
  }
  if (id === "") return { message, hint: "the feature id in front of the colon is missing" };
  if (!/^\d+$/.test(id)) {
    const expected = "expected a feature id, a whole number from 0 to 2147483647";
    if (id === "qid")
      return { message: `${expected}, found ${quote(id)}`, hint: "remove the query ids of ranking data" };
    if (/^-\d+$/.test(id)) return { message: `${expected}, found ${quote(id)}`, hint: "number the features from 0 on" };
    return {
      message: `${expected}, found ${quote(id)}`,
      hint: "number the features from 0 on and write their numbers",
    };
  }
  if (Number(id) >= 2 ** 31) {
    return {
      message: `feature id ${quote(id)} is larger than 2147483647`,
      hint: "number the features from 0 on, without large gaps: tables have a row for every id up to the largest",
    };
  }
  if (value === "") return { message, hint: `every feature needs a value; write "${cut(id)}:1"` };
  const offset = id.length + 1;
  if (DECIMAL.test(value)) {
    return { message: `value ${quote(value)} is out of range for a 32-bit float`, hint: "scale the values", offset };
  }
  const hint = NOT_A_NUMBER.test(value)
    ? "values must be finite; leave the feature out, or use a feature of its own for unknown values"
    : 'values are decimal numbers such as "1", "0.5" or "1e-3"';
  return { message: `expected a number as value of feature ${cut(id)}, found ${quote(value)}`, hint, offset };
}

function hasControlCharacter(token: string): boolean {
  for (let i = 0; i < token.length; i++) if (token.charCodeAt(i) < 0x20 || token.charCodeAt(i) === 0x7f) return true;
  return false;
}

function cut(text: string): string {
  return text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
}

/**
 * A token in double quotes that is safe to print: at most 40 characters, with escapes for control characters and, if it
 * is no UTF-8, for its bytes beyond ASCII.
 *
 * @param token one character per byte
 */
function quote(token: string): string {
  let text = token.slice(0, QUOTED_CHARACTERS * MAX_UTF8_BYTES);
  try {
    const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
    // `stream` tolerates a character that the slice has cut.
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true });
  } catch {
    text = text.replace(/[\x80-\xff]/g, escaped);
  }
  const characters = Array.from(text);
  const isCut = characters.length > QUOTED_CHARACTERS || token.length > QUOTED_CHARACTERS * MAX_UTF8_BYTES;
  const shown = characters.slice(0, QUOTED_CHARACTERS).join("");
  return `"${shown.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped)}${isCut ? "…" : ""}"`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  const hex = code.toString(16);
  return code < 0x100 ? `\\x${hex.padStart(2, "0")}` : `\\u{${hex}}`;
}
