import { type ErrorPlace, IfmError } from "../errors.js";

// A safetensors file: u64 header length, header (JSON, UTF-8), data (values of all tensors, little-endian, no gaps).
// The header is text from anywhere, so nothing in it is believed: every size is compared with the size of the file
// before a tensor is made of it.

/** Numbers of a tensor: 32-bit floats; 16-bit floats, as their bits; 8-bit integers. */
export type Numbers = Float32Array | Uint16Array | Int8Array;

export const ARRAYS = { F32: Float32Array, F16: Uint16Array, I8: Int8Array };
export type Dtype = keyof typeof ARRAYS;
export const isDtype = (name: string): name is Dtype => Object.hasOwn(ARRAYS, name);
export const DTYPE_BYTES: Readonly<Record<Dtype, number>> = { F32: 4, F16: 2, I8: 1 };

/** A named table of numbers in row-major order. */
export interface Tensor {
  name: string;
  /** Sizes from the outermost to the innermost; `[]` is a single number. */
  shape: number[];
  /** The product of `shape` values. */
  data: Numbers;
}

export interface Safetensors {
  /** What `__metadata__` holds; an object without prototype. */
  metadata: Record<string, string>;
  /** By name, in the order of the header. */
  tensors: Map<string, Tensor>;
  /** The bytes of all tensors. */
  data: Uint8Array;
}

/** A tensor to be written, whose values need not be there all at once. */
export interface TensorParts {
  name: string;
  shape: number[];
  /** Values of all parts together. */
  length: number;
  dtype: Dtype;
  parts(): Iterable<Numbers>;
}

export interface DecodeOptions {
  /** Where the bytes came from, for messages. */
  file?: string;
  /** Accept NaN and infinite values. */
  allowNonFinite?: boolean;
}

/** What the header says of a tensor; begin and end in bytes from the start of the data. */
interface Entry {
  name: string;
  dtype: Dtype;
  shape: number[];
  begin: number;
  end: number;
}

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** As in PyTorch and NumPy. Without it, a header of 16 MiB could become an array of four times that size. */
const MAX_RANK = 64;
const METADATA = "__metadata__";
const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const LONE_SURROGATE = /\p{Surrogate}/u;
const DAMAGED = "the file is damaged or cut short, or no safetensors file; copy or download it again";
const REWRITE = "write the file again with the program that made it, or with a recent version of safetensors";

/**
 * Writes tensors as the bytes of a safetensors file.
 *
 * The same input gives the same bytes on every machine: tensors and metadata in the order given, values
 * little-endian, the header padded with spaces so that the data start at a multiple of 8 bytes. Values are not
 * checked; `decodeSafetensors` refuses NaN and infinities unless told otherwise.
 *
 * @throws IfmError `IFM_USAGE`: a shape that does not fit its data, a name that comes twice, text that is no valid
 * Unicode, a header of more than 16 MiB. `IFM_MEMORY`: more bytes than the runtime can give.
 */
export function encodeSafetensors(tensors: readonly Tensor[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const parts = safetensorsParts(
    tensors.map(({ name, shape, data }) => {
      return { name, shape, length: data.length, dtype: dtypeOf(data), parts: () => [data] };
    }),
    metadata,
  );
  return joined(
    parts,
    tensors.reduce((sum, { data }) => sum + data.byteLength, 0),
  );
}

/**
 * Parts of a file as one.
 *
 * @param dataBytes of all behind the first
 */
export function joined(parts: Iterable<Uint8Array>, dataBytes: number): Uint8Array {
  let at = 0;
  let bytes: Uint8Array | undefined;
  for (const part of parts) {
    bytes ??= allocate(part.length + dataBytes);
    bytes.set(part, at);
    at += part.length;
  }
  return bytes as Uint8Array;
}

/** The bytes of `encodeSafetensors` in parts: the header, then those of the tensors. */
export function* safetensorsParts(
  tensors: readonly TensorParts[],
  metadata: Readonly<Record<string, string>>,
): Generator<Uint8Array> {
  const names = new Set<string>([METADATA]);
  const members: string[] = [];
  const pairs = Object.entries(metadata);
  if (pairs.length > 0) {
    members.push(`"${METADATA}":{${pairs.map(([key, value]) => `${quote(key)}:${quote(value)}`).join(",")}}`);
  }
  let dataBytes = 0;
  for (const { name, shape, length, dtype } of tensors) {
    if (names.has(name)) throw new IfmError("IFM_USAGE", `tensor ${show(name)}: this name is taken`);
    names.add(name);
    if (shape.length > MAX_RANK || elementCount(shape) !== length) {
      throw new IfmError("IFM_USAGE", `tensor ${show(name)}: shape [${shape}] does not fit ${length} values`);
    }
    const end = dataBytes + DTYPE_BYTES[dtype] * length;
    members.push(`${quote(name)}:{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${dataBytes},${end}]}`);
    dataBytes = end;
  }

  const header = new TextEncoder().encode(`{${members.join(",")}}`);
  const headerBytes = Math.ceil(header.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new IfmError(
      "IFM_USAGE",
      `model file: expected at most ${MAX_HEADER_BYTES} header bytes, got ${headerBytes}`,
      {
        hint: "keep less in the metadata, or fewer tensors",
      },
    );
  }
  const dataStart = LENGTH_BYTES + headerBytes;
  const bytes = new Uint8Array(dataStart);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(header, LENGTH_BYTES);
  bytes.fill(0x20, LENGTH_BYTES + header.length, dataStart);
  yield bytes;
  yield* dataParts(tensors);
}

/** The bytes of the tensors in parts. */
export function* dataParts(tensors: readonly TensorParts[]): Generator<Uint8Array> {
  for (const tensor of tensors) for (const values of tensor.parts()) yield littleEndian(values);
}

/** Numbers as they are in a file. */
function littleEndian(values: Numbers): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return HOST_IS_LITTLE_ENDIAN ? bytes : swapped(bytes, values.BYTES_PER_ELEMENT);
}

/** A copy with the bytes of each number in the order of this machine, or of a file. */
function swapped(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  if (!HOST_IS_LITTLE_ENDIAN) for (let i = 0; i < copy.length; i += size) copy.subarray(i, i + size).reverse();
  return copy;
}

export function dtypeOf(data: Numbers): Dtype {
  return data instanceof Float32Array ? "F32" : data instanceof Int8Array ? "I8" : "F16";
}

/**
 * Reads the bytes of a safetensors file, all of them or nothing.
 *
 * Accepted is what the format allows, with tensors of F32, F16 and I8 only: sizes of zero, tensors in any order in the data, data
 * that are not aligned. Refused is what other readers may understand differently: keys that come twice, unknown keys,
 * gaps, overlaps, bytes after the last tensor. Where its data are aligned, a tensor shares memory with
 * `bytes`; where not, they are copies. Nothing is allocated because the header says so: the tensors together are never
 * larger than `bytes`.
 *
 * @throws IfmError `IFM_MODEL`, with `options.file`: not a safetensors file, damaged, or with values that are not
 * finite (unless `allowNonFinite`).
 */
export function decodeSafetensors(bytes: Uint8Array, options: DecodeOptions = {}): Safetensors {
  const { file, allowNonFinite = false } = options;
  const dataStart = LENGTH_BYTES + headerLength(bytes, file);
  const header = new HeaderReader(headerText(bytes, dataStart, file), file);
  const { metadata, entries } = header.read();
  checkCover(entries, bytes.length - dataStart, file);

  const tensors = new Map<string, Tensor>();
  for (const { name, shape, dtype, begin, end } of entries) {
    const length = (end - begin) / DTYPE_BYTES[dtype];
    const tensor: Tensor = { name, shape, data: numbers(bytes, dataStart + begin, dtype, length) };
    if (!allowNonFinite) checkFinite(tensor, file);
    tensors.set(name, tensor);
  }
  return { metadata, tensors, data: bytes.subarray(dataStart) };
}

/** Size of the header in bytes, known to fit into the file. */
function headerLength(bytes: Uint8Array, file: string | undefined): number {
  if (bytes.length === 0) throw modelError(file, "expected a safetensors file, found an empty file", DAMAGED);
  // The smallest header is `{}`.
  if (bytes.length < LENGTH_BYTES + 2) {
    throw notSafetensors(bytes, file, `expected at least ${LENGTH_BYTES + 2} bytes, found ${bytes.length}`);
  }
  const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw notSafetensors(bytes, file, `expected a header of at most ${MAX_HEADER_BYTES} bytes, found ${length}`);
  }
  const room = bytes.length - LENGTH_BYTES;
  if (length > BigInt(room)) {
    throw notSafetensors(
      bytes,
      file,
      `expected a header of ${length} bytes, found ${room} bytes to the end of the file`,
    );
  }
  if (bytes[LENGTH_BYTES] !== 0x7b) {
    throw notSafetensors(bytes, file, 'expected "{" at the start of the header, found something else');
  }
  return Number(length);
}

function headerText(bytes: Uint8Array, dataStart: number, file: string | undefined): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(LENGTH_BYTES, dataStart));
  } catch (cause) {
    throw modelError(file, "expected a header in UTF-8, found bytes that are not", DAMAGED, cause);
  }
}

/**
 * Reads the header by its own grammar: names to entries, an entry of three keys, lists of whole numbers. It does not
 * nest, so there is no recursion to exhaust, and there are no objects whose keys could be `__proto__`. `JSON.parse` would
 * keep the last of two equal keys where another reader keeps the first.
 */
class HeaderReader {
  private readonly text: string;
  private readonly file: string | undefined;
  /** Next character. */
  private at = 0;
  /** Where in the header we are, for messages. */
  private tensor: string | undefined;

  constructor(text: string, file: string | undefined) {
    this.text = text;
    this.file = file;
  }

  read(): { metadata: Record<string, string>; entries: Entry[] } {
    const metadata: Record<string, string> = Object.create(null);
    const entries: Entry[] = [];
    this.object((name) => {
      if (name === METADATA) {
        this.object((key) => {
          metadata[key] = this.string();
        });
      } else {
        this.tensor = name;
        entries.push(this.entry(name));
        this.tensor = undefined;
      }
    });
    this.skipSpace();
    if (this.at < this.text.length) throw this.unexpected("nothing after the header's last }");
    return { metadata, entries };
  }

  private entry(name: string): Entry {
    let dtype: string | undefined;
    let shape: number[] | undefined;
    let offsets: number[] | undefined;
    this.object((key) => {
      if (key === "dtype") dtype = this.string();
      else if (key === "shape") shape = this.integers(MAX_RANK);
      else if (key === "data_offsets") offsets = this.integers(2);
      else throw this.error(`expected the keys dtype, shape, data_offsets, found ${show(key)}`, REWRITE);
    });
    if (dtype === undefined || shape === undefined || offsets === undefined) {
      const missing = dtype === undefined ? "dtype" : shape === undefined ? "shape" : "data_offsets";
      throw this.error(`expected the keys dtype, shape, data_offsets, found no ${missing}`, REWRITE);
    }
    if (!isDtype(dtype)) {
      throw this.error(
        `expected dtype "F32", "F16" or "I8", found ${show(dtype)}`,
        "convert the tensors to 32-bit floats (PyTorch: tensor.float(), NumPy: array.astype(numpy.float32)) and save again",
      );
    }
    if (offsets.length !== 2) throw this.error(`expected two data_offsets, found ${offsets.length}`, REWRITE);
    const [begin, end] = offsets;
    if (begin > end) throw this.error(`expected data_offsets in rising order, found [${offsets}]`, REWRITE);
    const count = elementCount(shape);
    if (count === undefined) throw this.error(`shape [${shape}] has more elements than a file can hold`, DAMAGED);
    const size = count * DTYPE_BYTES[dtype];
    if (end - begin !== size) {
      throw this.error(
        `expected ${size} bytes for shape [${shape}], found ${end - begin} (data_offsets [${offsets}])`,
        REWRITE,
      );
    }
    return { name, dtype, shape, begin, end };
  }

  /** `{ "key": value, … }`; `value` reads what follows the colon. */
  private object(value: (key: string) => void): void {
    const keys = new Set<string>();
    this.expect("{");
    if (this.take("}")) return;
    do {
      const key = this.string();
      if (keys.has(key)) throw this.error(`expected each key once, found ${show(key)} twice`, REWRITE);
      keys.add(key);
      this.expect(":");
      value(key);
    } while (this.take(","));
    this.expect("}");
  }

  private integers(atMost: number): number[] {
    const numbers: number[] = [];
    this.expect("[");
    if (this.take("]")) return numbers;
    do {
      if (numbers.length === atMost) throw this.unexpected(`at most ${atMost} numbers in a list`);
      numbers.push(this.integer());
    } while (this.take(","));
    this.expect("]");
    return numbers;
  }

  private integer(): number {
    this.skipSpace();
    const token = /(?:0|[1-9][0-9]{0,15})(?![0-9.eE])/y;
    token.lastIndex = this.at;
    const match = token.exec(this.text);
    const number = Number(match?.[0] ?? Number.NaN);
    if (match === null || !Number.isSafeInteger(number)) {
      throw this.unexpected(`a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
    }
    this.at += match[0].length;
    return number;
  }

  private string(): string {
    this.skipSpace();
    const start = this.at;
    if (this.text[start] !== '"') throw this.unexpected("a string");
    let end = start + 1;
    let escaped = false;
    // By hand: a regular expression with alternatives runs out of stack on strings of megabytes.
    for (let code = this.text.charCodeAt(end); code !== 0x22; code = this.text.charCodeAt(end)) {
      if (code === 0x5c) {
        escaped = true;
        end++;
      } else if (!(code >= 0x20)) {
        // A control character, or NaN at the end of the text.
        this.at = Math.min(end, this.text.length);
        throw this.unexpected("the end of a string");
      }
      end++;
    }
    const value = escaped ? this.unescape(start, end + 1) : this.text.slice(start + 1, end);
    if (value === undefined || LONE_SURROGATE.test(value)) throw this.unexpected("a string of valid Unicode");
    this.at = end + 1;
    return value;
  }

  /** The string whose quotes are at `start` and `end - 1`; `undefined` if an escape in it is unknown. */
  private unescape(start: number, end: number): string | undefined {
    try {
      return JSON.parse(this.text.slice(start, end));
    } catch {
      return undefined;
    }
  }

  private expect(character: string): void {
    if (!this.take(character)) throw this.unexpected(`"${character}"`);
  }

  private take(character: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private skipSpace(): void {
    while (this.at < this.text.length && " \n\r\t".includes(this.text[this.at])) this.at++;
  }

  private unexpected(expected: string): IfmError {
    const found = this.at < this.text.length ? show(this.text.slice(this.at, this.at + 16)) : "the end of the header";
    return this.error(`expected ${expected} at character ${this.at + 1} of the header, found ${found}`, DAMAGED);
  }

  private error(message: string, hint: string): IfmError {
    return modelError(this.file, this.tensor === undefined ? message : `tensor ${show(this.tensor)}: ${message}`, hint);
  }
}

/** The tensors must cover the data exactly: bytes that belong to none, or to two, could hide something. */
function checkCover(entries: readonly Entry[], dataBytes: number, file: string | undefined): void {
  let covered = 0;
  let previous = "";
  for (const { name, begin, end } of entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (end > dataBytes) {
      throw modelError(
        file,
        `tensor ${show(name)}: expected data up to byte ${end}, found ${dataBytes} bytes of data`,
        DAMAGED,
      );
    }
    if (begin < covered) {
      throw modelError(
        file,
        `tensor ${show(name)}: data_offsets [${begin},${end}] overlap with those of ${previous}`,
        REWRITE,
      );
    }
    if (begin > covered) {
      throw modelError(
        file,
        `tensor ${show(name)}: expected to begin at byte ${covered} of the data, found ${begin}: there is a gap`,
        REWRITE,
      );
    }
    covered = end;
    previous = show(name);
  }
  if (covered < dataBytes) {
    throw modelError(
      file,
      `expected ${covered} bytes of data, found ${dataBytes}: ${dataBytes - covered} bytes after the last tensor`,
      DAMAGED,
    );
  }
}

function checkFinite({ name, shape, data }: Tensor, file: string | undefined): void {
  if (data instanceof Int8Array) return;
  for (let i = 0; i < data.length; i++) {
    // 16-bit floats of the highest exponent are no numbers.
    if (data instanceof Float32Array ? Number.isFinite(data[i]) : (data[i] & 0x7c00) !== 0x7c00) continue;
    const where = `value ${i} (at [${position(i, shape)}])`;
    throw modelError(
      file,
      `tensor ${show(name)}: expected finite values, found ${data instanceof Float32Array ? data[i] : "none"} as ${where}`,
      "the training that made this file diverged, or the file is damaged; train again with a smaller learning rate",
    );
  }
}

/** Indices of the value at place `flat` of a row-major table. */
function position(flat: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  let rest = flat;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}

/** The product of the sizes; `undefined` if one is no size or the product is not exact. */
function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(size) || size < 0 || !Number.isSafeInteger(count)) return undefined;
  }
  return count;
}

function numbers(bytes: Uint8Array, at: number, dtype: Dtype, length: number): Numbers {
  const offset = bytes.byteOffset + at;
  const size = DTYPE_BYTES[dtype];
  if (HOST_IS_LITTLE_ENDIAN && offset % size === 0)
    return new ARRAYS[dtype](bytes.buffer as ArrayBuffer, offset, length);
  return new ARRAYS[dtype](swapped(bytes.subarray(at, at + size * length), size).buffer);
}

function allocate(length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new IfmError("IFM_MEMORY", `model file: expected ${length} bytes of memory, the runtime gives less`, {
      hint: "train with fewer factors or fewer features",
      cause,
    });
  }
}

/** Text for the header, in JSON. */
function quote(text: string): string {
  if (typeof text !== "string" || LONE_SURROGATE.test(text)) {
    throw new IfmError(
      "IFM_USAGE",
      `model file: expected names and metadata of valid Unicode, got ${show(String(text))}`,
    );
  }
  return JSON.stringify(text);
}

/** Text from a file for a message: short, and nothing in it that a terminal would act on. */
function show(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return JSON.stringify(short).replace(/[\u007f-\u2025\u2027-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function modelError(file: string | undefined, message: string, hint: string, cause?: unknown): IfmError {
  const place: ErrorPlace = { hint, cause };
  if (file !== undefined) place.file = file;
  return new IfmError("IFM_MODEL", message, place);
}

/** What people pass by mistake. `start` is the beginning of the file, one character per byte. */
const WRONG_FILES: readonly { start: string | RegExp; what: string; hint: string }[] = [
  { start: "\x1f\x8b", what: "a gzip file", hint: "decompress it first (gunzip)" },
  {
    start: "PK\x03\x04",
    what: "a zip archive, perhaps a PyTorch or NumPy file",
    hint: "load it where it was made and save its tensors with safetensors.torch.save_file or safetensors.numpy.save_file",
  },
  {
    // 0x80 and the protocol's number, a control character.
    start: /^\x80(?![\x20-\xff])/,
    what: "a Python pickle, perhaps of PyTorch",
    hint: "load it where it was made and save its tensors with safetensors.torch.save_file; pickles are never read here",
  },
  { start: "\x89PNG", what: "a PNG image", hint: "check the file name" },
  {
    start: /^(?:\xef\xbb\xbf)?\s*<(?:!|html|head|body|\?xml)/i,
    what: "an HTML or XML page",
    hint: "a server or bundler answered with a page in place of the file; check the URL and that the file is deployed",
  },
  {
    start: "version https://git-lfs",
    what: "a Git LFS pointer",
    hint: "fetch the file itself (git lfs pull)",
  },
  {
    start: "#global bias W0",
    what: "a model of libFM in text",
    hint: "train it again with ifm-wasm",
  },
  {
    start: /^(?:\s|#[^\n]*\n)*[-+]?[0-9.]+(?:e[-+]?[0-9]+)?[ \t]+[0-9]+:[-+0-9.]/i,
    what: "data in libFM format",
    hint: "name the model file first and the data file after it",
  },
  { start: /^(?:\xef\xbb\xbf)?\s*[[{]/, what: "a JSON file", hint: "check the file name" },
];

/**
 * The error for bytes whose first part is no safetensors header. Only then are they looked at for other formats: a
 * header length may begin with any two bytes, such as those of gzip.
 */
function notSafetensors(bytes: Uint8Array, file: string | undefined, message: string): IfmError {
  const head = String.fromCharCode(...bytes.subarray(0, 512));
  const wrong = WRONG_FILES.find(({ start }) => {
    return typeof start === "string" ? head.startsWith(start) : start.test(head);
  });
  if (wrong === undefined) return modelError(file, message, DAMAGED);
  return modelError(file, `expected a safetensors file, found ${wrong.what}`, wrong.hint);
}
