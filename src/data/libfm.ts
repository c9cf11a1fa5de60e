import { IfmError } from "../errors.js";
import type { Dataset } from "./dataset.js";
import { explainLine, type Problem } from "./libfm-errors.js";
import { movableBuffer, moveInto } from "./movable.js";
import { iterate } from "./streams.js";

/** Where libFM text can come from: bytes in chunks of any size, all bytes at once, or a string. */
export type LibfmText = AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | Uint8Array | string;

export interface LibfmOptions {
  /** Name of the file, for messages and for `Dataset.name`. Default `data`. */
  name?: string;
  /** Slots that every row must have; by default rows may differ. */
  slots?: number;
  /** Longest line in bytes that is accepted, line end not counted. Default 16 MiB. */
  maxLineBytes?: number;
  /** Most slots (non-zeros) of all rows together. Default 2^32 - 1, what a `Dataset` can index. */
  maxNonZeros?: number;
  /**
   * Lenient mode: called for the first `maxErrors` lines that cannot be read. They are left out of the data set, and
   * `LibfmParser.brokenLines` counts them all. Without it the first such line is thrown.
   */
  onError?: (error: IfmError) => void;
  /** @internal Whether the arrays of the data set are to be in buffers that can be emptied, see movable.ts. */
  movable?: boolean;
  /** How many errors are built for `onError`. Default 20. */
  maxErrors?: number;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const ONE = 0x31;
const COLON = 0x3a;
const LETTER_E = 0x65;
/** The bit that makes an ASCII letter lower case. */
const LOWER_CASE = 0x20;

/** Largest feature id. */
export const MAX_ID = 2 ** 31 - 1;
const MAX_U32 = 2 ** 32 - 1;
const MAX_LINE_BYTES = 2 ** 24;
const MAX_ERRORS = 20;

/** Bytes needed to recognise a foreign file; nothing is parsed before they are there. */
const HEAD_BYTES = 16;
/** Room is reserved for this much text at once, so that the loop over rows has no capacity checks. */
const WINDOW_BYTES = 2 ** 16;
/** `1:1` and a separator: the shortest slot. */
const MIN_SLOT_BYTES = 4;
/** `1` and a line end: the shortest row. */
const MIN_ROW_BYTES = 2;
/** Rows are collected in arrays of at most this many entries, unless one line needs more, and joined at the end. */
const MAX_PART = 2 ** 20;
/** Rows and slots whose copies are worth to be avoided: 16 MB. */
const MANY_ENTRIES = 2 ** 22;

const NO_IDS = new Uint32Array(0);
const NO_VALUES = new Float32Array(0);

const decoder = new TextDecoder();

/** 10^0 … 10^22: the powers of ten that a double holds exactly. */
const POWERS_OF_TEN = Float64Array.from({ length: 23 }, (_, exponent) => Number(`1e${exponent}`));

/** 1 for the bytes that end a token: blanks, line ends, the start of a comment. */
const ENDS_TOKEN = new Uint8Array(256);
for (const byte of [TAB, LF, CR, SPACE, HASH]) ENDS_TOKEN[byte] = 1;

interface ArrayType<T> {
  new (length: number): T;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

/** Slots of consecutive rows. `values` is null while all of them are 1. */
interface SlotPart {
  features: Uint32Array;
  values: Float32Array | null;
}

/** Consecutive rows: label, and the number of slots up to and including the row. */
interface RowPart {
  labels: Float32Array;
  ends: Uint32Array;
}

/**
 * Reads libFM text, `label id:value id:value …` on every line, from chunks of bytes.
 *
 * Blanks are spaces and tabs; blank lines and `#` comments (a line of their own or after the slots) are skipped; lines
 * end in LF or CRLF, the last one may end nowhere; a UTF-8 byte order mark is skipped and not counted in columns.
 * Labels and values are decimal floats that are finite as f32; ids are whole numbers 0 … 2^31 - 1. Rows may differ in
 * length and may be empty unless `slots` is given.
 *
 * Give every chunk to `push`, then call `end` once. One pass over the bytes, no strings: about 300 MB of one-hot rows
 * per second of CPU time, 380 at best (Node 20.20, AMD EPYC, one thread).
 */
export class LibfmParser {
  readonly #name: string;
  readonly #slots: number | undefined;
  readonly #maxLineBytes: number;
  readonly #maxNonZeros: number;
  readonly #windowBytes: number;
  readonly #onError: ((error: IfmError) => void) | undefined;
  readonly #maxErrors: number;
  readonly #movable: boolean;

  /** First bytes of the file; complete when `#started`. */
  readonly #head: number[] = [];
  #started = false;
  #ended = false;

  /** The bytes of a line whose end has not come yet: `#carry[0 … #carried - 1]`. */
  #carry = new Uint8Array(WINDOW_BYTES);
  #carried = 0;
  /** In lenient mode: the rest of a line that was too long is being skipped. */
  #skipping = false;

  /** Number of the line that is read next. */
  #line = 1;
  #brokenLines = 0;
  #problem: Problem = "label";
  /** Offset of the token that `#problem` is about; for `slots`, how many there are. */
  #problemAt = 0;

  readonly #slotParts: SlotPart[] = [];
  #features = NO_IDS;
  #values: Float32Array | null = null;
  /** Where `#values` go when there are any. */
  #valuesRoom = NO_VALUES;
  /** Slots in `#features`, and in `#slotParts`. */
  #slotCount = 0;
  #slotBase = 0;
  #otherThanOne = 0;

  readonly #rowParts: RowPart[] = [];
  #labels = NO_VALUES;
  #ends = NO_IDS;
  /** Rows in `#labels`, and in `#rowParts`. */
  #rowCount = 0;
  #rowBase = 0;

  #maxId = -1;
  #minSlots = Number.POSITIVE_INFINITY;
  #maxSlots = 0;
  #labelMin = Number.POSITIVE_INFINITY;
  #labelMax = Number.NEGATIVE_INFINITY;

  /** Line = row + shift, from row `#shiftRows[i]` on with `#shifts[i]`: one entry where comments or blank lines end. */
  readonly #shiftRows: number[] = [];
  readonly #shifts: number[] = [];
  #shift = 0;

  constructor(options: LibfmOptions = {}) {
    this.#name = options.name ?? "data";
    this.#slots = options.slots;
    this.#maxLineBytes = options.maxLineBytes ?? MAX_LINE_BYTES;
    this.#maxNonZeros = Math.min(options.maxNonZeros ?? MAX_U32, MAX_U32);
    // A line that fits into a window is never too long, so length is checked on the few others only.
    this.#windowBytes = Math.min(WINDOW_BYTES, this.#maxLineBytes + 1);
    this.#onError = options.onError;
    this.#maxErrors = options.maxErrors ?? MAX_ERRORS;
    this.#movable = options.movable ?? false;
  }

  /** Rows read so far. */
  get rows(): number {
    return this.#rowBase + this.#rowCount;
  }

  /** Lines left out so far; always 0 without `onError`. */
  get brokenLines(): number {
    return this.#brokenLines;
  }

  /** Line of the file, from 1, that row `row` (from 0) stood on. */
  lineOf(row: number): number {
    if (!(row >= 0 && row < this.rows)) throw new RangeError(`row ${row} is not among the ${this.rows} rows read`);
    return lineOf(row, this.#shiftRows, this.#shifts);
  }

  /**
   * Takes the next bytes of the file. They are not kept: the caller may reuse `chunk`.
   *
   * @throws {IfmError} IFM_DATA at the first line that cannot be read, with its line and column (in lenient mode only
   *   when the whole file is of another kind); IFM_MEMORY when the rows do not fit.
   */
  push(chunk: Uint8Array): void {
    if (this.#ended) throw new IfmError("IFM_USAGE", "LibfmParser.push was called after end");
    if (this.#started) {
      this.#take(chunk);
      return;
    }
    const missing = HEAD_BYTES - this.#head.length;
    this.#head.push(...chunk.subarray(0, missing));
    if (this.#head.length < HEAD_BYTES) return;
    this.#start();
    this.#take(chunk.subarray(missing));
  }

  /**
   * Ends the file and gives its rows. The arrays have exactly the length they need.
   *
   * @returns the data set; in lenient mode it has 0 rows and NaN as smallest and largest label if every line was broken
   * @throws {IfmError} IFM_DATA when the last line cannot be read or there is no row; IFM_MEMORY when the rows do not fit
   */
  end(): Dataset {
    if (this.#ended) throw new IfmError("IFM_USAGE", "LibfmParser.end was called twice");
    if (!this.#started) this.#start();
    if (this.#carried > 0) this.#take(Uint8Array.of(LF));
    this.#ended = true;
    if (this.rows === 0 && this.#brokenLines === 0) {
      const empty = this.#head.length === 0;
      throw new IfmError("IFM_DATA", `no rows${empty ? ", the file is empty" : ", only blank lines and comments"}`, {
        file: this.#name,
        hint: 'every row is a line "label id:value id:value …"',
      });
    }
    return this.#join();
  }

  /** Begins to parse, with the bytes of the head. */
  #start(): void {
    this.#started = true;
    const [a, b, c] = this.#head;
    const mark = a === 0xef && b === 0xbb && c === 0xbf;
    this.#take(Uint8Array.from(mark ? this.#head.slice(3) : this.#head));
  }

  /** Parses the whole lines of `chunk` where they are and carries the rest. */
  #take(chunk: Uint8Array): void {
    const length = chunk.length;
    let p = 0;
    if (this.#carried > 0 || this.#skipping) {
      const end = chunk.indexOf(LF);
      this.#carryOver(chunk, 0, end < 0 ? length : end + 1);
      if (end < 0) return;
      if (this.#skipping) {
        this.#skipping = false;
        this.#line++;
      } else {
        const lineEnd = this.#carried;
        this.#carried = 0;
        this.#parse(this.#carry, 0, lineEnd);
      }
      p = end + 1;
    }
    while (p < length) {
      const windowEnd = Math.min(p + this.#windowBytes, length);
      let end = chunk.lastIndexOf(LF, windowEnd - 1);
      if (end < p) {
        end = windowEnd < length ? chunk.indexOf(LF, windowEnd) : -1;
        if (end < 0) break;
        if (end - p > this.#maxLineBytes) {
          this.#refuse("too-long", chunk, p, p);
          this.#line++;
          p = end + 1;
          continue;
        }
      }
      this.#parse(chunk, p, end + 1);
      p = end + 1;
    }
    if (p < length) this.#carryOver(chunk, p, length);
  }

  /** Appends `chunk[from … to - 1]` to the carried line, or reports that the line is too long and drops it. */
  #carryOver(chunk: Uint8Array, from: number, to: number): void {
    if (this.#skipping) return;
    const total = this.#carried + to - from;
    const lineBytes = chunk[to - 1] === LF ? total - 1 : total;
    if (lineBytes > this.#maxLineBytes) {
      this.#carried = 0;
      this.#skipping = true;
      this.#refuse("too-long", chunk, from, from);
      return;
    }
    if (total > this.#carry.length) {
      const carry = new Uint8Array(2 * total);
      carry.set(this.#carry.subarray(0, this.#carried));
      this.#carry = carry;
    }
    this.#carry.set(chunk.subarray(from, to), this.#carried);
    this.#carried = total;
  }

  /** Parses whole lines, `bytes[start … end - 1]`, the last of which is LF. */
  #parse(bytes: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    for (let p = start; ; ) {
      p = this.#readRows(bytes, p, end);
      if (p === end) return;
      this.#refuse(this.#problem, bytes, p, this.#problemAt);
      this.#line++;
      p = bytes.indexOf(LF, p) + 1;
      if (p === end) return;
    }
  }

  /** Makes room for the rows that `textBytes` of text can hold. */
  #reserve(textBytes: number): void {
    const slots = Math.ceil(textBytes / MIN_SLOT_BYTES);
    if (this.#slotCount + slots > this.#features.length) {
      this.#closeSlotPart();
      const size = partSize(slots, this.#slotBase);
      if (size > this.#features.length) this.#features = this.#allocate(Uint32Array, size);
    }
    const rows = Math.ceil(textBytes / MIN_ROW_BYTES);
    if (this.#rowCount + rows > this.#labels.length) {
      this.#closeRowPart();
      const size = partSize(rows, this.#rowBase);
      if (size > this.#labels.length) {
        this.#labels = this.#allocate(Float32Array, size);
        this.#ends = this.#allocate(Uint32Array, size);
      }
    }
  }

  #closeSlotPart(): void {
    this.#slotParts.push({
      features: this.#kept(this.#features, this.#slotCount),
      values: this.#values && this.#kept(this.#values, this.#slotCount),
    });
    if (!this.#isLarge) {
      this.#features = NO_IDS;
      this.#valuesRoom = NO_VALUES;
    }
    this.#slotBase += this.#slotCount;
    this.#slotCount = 0;
    this.#values = null;
  }

  #closeRowPart(): void {
    this.#rowParts.push({
      labels: this.#kept(this.#labels, this.#rowCount),
      ends: this.#kept(this.#ends, this.#rowCount),
    });
    if (!this.#isLarge) this.#labels = NO_VALUES;
    this.#rowBase += this.#rowCount;
    this.#rowCount = 0;
  }

  /**
   * Reads rows until `end`, or until a line that cannot be read: then nothing of that line is kept, and `#problem` and
   * `#problemAt` say what is wrong.
   *
   * The line feed at `end - 1` stops every scan, so none of them has to look at `end`.
   *
   * @returns `end`, or where the line starts that cannot be read
   */
  #readRows(bytes: Uint8Array, start: number, end: number): number {
    const features = this.#features;
    let values = this.#values;
    const slotBase = this.#slotBase;
    /** Slots of whole rows. */
    let kept = this.#slotCount;
    let line = this.#line;
    let problem: Problem | null = null;
    let p = start;
    let lineStart = start;

    lines: while (p < end) {
      lineStart = p;
      let c = bytes[p];
      while (c === SPACE || c === TAB) c = bytes[++p];
      if (endsLine(bytes, p, c)) {
        p = c === LF ? p + 1 : bytes.indexOf(LF, p) + 1;
        line++;
        continue;
      }

      let at = p;
      if (c === MINUS || c === PLUS) p++;
      const digits = p;
      let label = 0;
      for (let digit = bytes[p] ^ ZERO; digit <= 9; digit = bytes[++p] ^ ZERO) label = (label * 10 + digit) | 0;
      if (ENDS_TOKEN[bytes[p]] === 1 && p > digits && p - digits <= 9) {
        if (c === MINUS) label = -label;
      } else {
        label = readFloat(bytes, at);
        p = floatEnd;
        if (ENDS_TOKEN[bytes[p]] === 0 || !Number.isFinite(label)) {
          problem = "label";
          p = at;
          break;
        }
      }

      let n = kept;
      let rowMaxId = -1;
      let otherThanOne = 0;
      for (;;) {
        c = bytes[p];
        if (c === SPACE || c === TAB) {
          p++;
          continue;
        }
        let id = c ^ ZERO;
        if (id > 9) {
          if (endsLine(bytes, p, c)) {
            p = c === LF ? p + 1 : bytes.indexOf(LF, p) + 1;
            break;
          }
          problem = "slot";
          break lines;
        }
        at = p;
        for (let digit = bytes[++p] ^ ZERO; digit <= 9; digit = bytes[++p] ^ ZERO) id = (id * 10 + digit) | 0;
        // Nine digits cannot wrap around; the few longer ones are read again in double.
        if (p - at > 9) id = readLongId(bytes, at, p);
        if (bytes[p] !== COLON || id > MAX_ID) {
          problem = "slot";
          p = at;
          break lines;
        }
        let value = 1;
        if (bytes[p + 1] === ONE && ENDS_TOKEN[bytes[p + 2]] === 1) {
          p += 2;
        } else {
          value = readFloat(bytes, p + 1);
          p = floatEnd;
          if (ENDS_TOKEN[bytes[p]] === 0 || !Number.isFinite(value)) {
            problem = "slot";
            p = at;
            break lines;
          }
          if (value !== 1) {
            otherThanOne++;
            values ??= this.#startValues();
          }
        }
        features[n] = id;
        if (values !== null) values[n] = value;
        n++;
        if (id > rowMaxId) rowMaxId = id;
      }

      const slots = n - kept;
      if (this.#slots !== undefined && slots !== this.#slots) {
        problem = "slots";
        p = slots;
        break;
      }
      kept = n;
      this.#otherThanOne += otherThanOne;
      this.#addRow(label, slotBase + n, slots, rowMaxId, line);
      line++;
    }

    this.#slotCount = kept;
    this.#line = line;
    if (problem === null) return end;
    this.#problem = problem;
    this.#problemAt = p;
    return lineStart;
  }

  #addRow(label: number, end: number, slots: number, maxId: number, line: number): void {
    if (end > this.#maxNonZeros) {
      throw new IfmError("IFM_MEMORY", `more than ${this.#maxNonZeros} non-zeros`, {
        file: this.#name,
        line,
        hint: "split the file and train on its parts one after the other, each from the model of the one before",
      });
    }
    const row = this.#rowBase + this.#rowCount;
    if (line - row !== this.#shift) {
      this.#shift = line - row;
      this.#shiftRows.push(row);
      this.#shifts.push(this.#shift);
    }
    this.#labels[this.#rowCount] = label;
    this.#ends[this.#rowCount] = end;
    this.#rowCount++;
    if (maxId > this.#maxId) this.#maxId = maxId;
    if (slots < this.#minSlots) this.#minSlots = slots;
    if (slots > this.#maxSlots) this.#maxSlots = slots;
    if (label < this.#labelMin) this.#labelMin = label;
    if (label > this.#labelMax) this.#labelMax = label;
  }

  /** Begins to store values: those before were 1. */
  #startValues(): Float32Array {
    const { length } = this.#features;
    if (this.#valuesRoom.length !== length) this.#valuesRoom = this.#allocate(Float32Array, length);
    this.#values = this.#valuesRoom.fill(1);
    return this.#values;
  }

  /** Throws or, in lenient mode, counts and hands over a line that cannot be read; `at` is the place of the problem. */
  #refuse(problem: Problem, bytes: Uint8Array, lineStart: number, at: number): void {
    this.#brokenLines++;
    if (this.#onError !== undefined && this.#brokenLines > this.#maxErrors) return;
    const { error, foreign } = explainLine({
      file: this.#name,
      line: this.#line,
      head: this.rows === 0 ? this.#head : [],
      problem,
      bytes,
      lineStart,
      at,
      slots: this.#slots ?? 0,
      maxLineBytes: this.#maxLineBytes,
    });
    if (this.#onError === undefined || foreign) throw error;
    this.#onError(error);
  }

  #join(): Dataset {
    this.#closeSlotPart();
    this.#closeRowPart();
    const rows = this.#rowBase;
    const nonZeros = this.#slotBase;
    const features = this.#allocate(Uint32Array, nonZeros, this.#movable);
    const values = this.#otherThanOne > 0 ? this.#allocate(Float32Array, nonZeros, this.#movable) : null;
    let at = 0;
    for (const part of this.#slotParts) {
      const partEnd = at + part.features.length;
      if (part.values === null) values?.fill(1, at, partEnd);
      else if (values !== null) moveInto(values.subarray(at, partEnd), part.values);
      moveInto(features.subarray(at, partEnd), part.features);
      at = partEnd;
    }
    const labels = this.#allocate(Float32Array, rows, this.#movable);
    const rowPtr = this.#allocate(Uint32Array, rows + 1, this.#movable);
    at = 0;
    for (const part of this.#rowParts) {
      const partEnd = at + part.labels.length;
      moveInto(rowPtr.subarray(at + 1, partEnd + 1), part.ends);
      moveInto(labels.subarray(at, partEnd), part.labels);
      at = partEnd;
    }
    // Not `this.lineOf`: that would keep the parser, and with it a second copy of the rows.
    const [shiftRows, shifts] = [this.#shiftRows, this.#shifts];
    const dataset: Dataset = {
      name: this.#name,
      rows,
      labels,
      rowPtr,
      features,
      values,
      featureCount: this.#maxId + 1,
      minSlots: rows > 0 ? this.#minSlots : 0,
      maxSlots: this.#maxSlots,
      labelMin: rows > 0 ? this.#labelMin : Number.NaN,
      labelMax: rows > 0 ? this.#labelMax : Number.NaN,
    };
    // Not enumerable: a data set can be cloned into a worker, a function cannot.
    return Object.defineProperty(dataset, "lineOf", { value: (row: number) => lineOf(row, shiftRows, shifts) });
  }

  /** Whether so much has been read that there should never be two of all; until then that would only take time. */
  get #isLarge(): boolean {
    return this.#slotBase + this.#rowBase >= MANY_ENTRIES;
  }

  /**
   * The first `length` entries. Of many rows, a copy that can be moved away from, and `array` is used again: to parse into
   * such buffers would be slow.
   */
  #kept<T extends Float32Array | Uint32Array>(array: T, length: number): T {
    if (!this.#isLarge) return array.subarray(0, length) as T;
    const kept = this.#allocate(array.constructor as ArrayType<T>, length, true);
    kept.set(array.subarray(0, length));
    return kept;
  }

  #allocate<T>(ArrayType: ArrayType<T>, length: number, movable = false): T {
    const bytes = length * ArrayType.BYTES_PER_ELEMENT;
    try {
      return movable ? new ArrayType(movableBuffer(bytes), 0, length) : new ArrayType(length);
    } catch (cause) {
      throw new IfmError(
        "IFM_MEMORY",
        `no memory for another ${bytes} bytes after ${this.rows} rows with ${this.#slotBase + this.#slotCount} slots`,
        { file: this.#name, hint: "use a machine with more memory, or split the file", cause },
      );
    }
  }
}

/** Entries of the next array when there are `entries` already: room for several windows of text, then for as many. */
function partSize(needed: number, entries: number): number {
  return Math.max(needed, Math.min(Math.max(4 * needed, entries), MAX_PART));
}

/** Whether the line has no more tokens at `p`, where byte `c` is. */
function endsLine(bytes: Uint8Array, p: number, c: number): boolean {
  return c === LF || c === HASH || (c === CR && bytes[p + 1] === LF);
}

/** The digits `bytes[from … to - 1]` as a number; inexact beyond 2^53, where ids end long before. */
function readLongId(bytes: Uint8Array, from: number, to: number): number {
  let id = 0;
  for (let p = from; p < to; p++) id = id * 10 + (bytes[p] ^ ZERO);
  return id;
}

/** Where the number ends that `readFloat` has read. */
let floatEnd = 0;

/**
 * Reads a decimal number at `from`: sign, digits with a point, exponent. The byte after it is at `floatEnd`.
 *
 * @returns the nearest double rounded to f32, infinite when it is out of f32's range; NaN when there is no number
 */
function readFloat(bytes: Uint8Array, from: number): number {
  let p = from;
  const negative = bytes[p] === MINUS;
  if (negative || bytes[p] === PLUS) p++;
  let mantissa = 0;
  const wholeStart = p;
  for (let digit = bytes[p] ^ ZERO; digit <= 9; digit = bytes[++p] ^ ZERO) mantissa = mantissa * 10 + digit;
  let digits = p - wholeStart;
  let exponent = 0;
  if (bytes[p] === DOT) {
    const fractionStart = ++p;
    for (let digit = bytes[p] ^ ZERO; digit <= 9; digit = bytes[++p] ^ ZERO) mantissa = mantissa * 10 + digit;
    digits += p - fractionStart;
    exponent = fractionStart - p;
  }
  floatEnd = p;
  if (digits === 0) return Number.NaN;
  if ((bytes[p] | LOWER_CASE) === LETTER_E) {
    p++;
    const negativeExponent = bytes[p] === MINUS;
    if (negativeExponent || bytes[p] === PLUS) p++;
    const exponentStart = p;
    let written = 0;
    for (let digit = bytes[p] ^ ZERO; digit <= 9; digit = bytes[++p] ^ ZERO) written = written * 10 + digit;
    if (p === exponentStart) return Number.NaN;
    exponent += negativeExponent ? -written : written;
    floatEnd = p;
  }
  // Both operands of the one multiplication or division are exact here, so it is the only rounding.
  if (mantissa < 2 ** 53 && exponent >= -22 && exponent <= 22) {
    const value = exponent < 0 ? mantissa / POWERS_OF_TEN[-exponent] : mantissa * POWERS_OF_TEN[exponent];
    return Math.fround(negative ? -value : value);
  }
  return Math.fround(Number(decoder.decode(bytes.subarray(from, floatEnd))));
}

/** Feeds `parser` with all of `source`; leaves `end` to the caller. A stream is cancelled when the parser throws. */
export async function pushAll(source: LibfmText, parser: LibfmParser): Promise<void> {
  if (typeof source === "string") parser.push(new TextEncoder().encode(source));
  else if (source instanceof Uint8Array) parser.push(source);
  else for await (const chunk of "getReader" in source ? iterate(source) : source) parser.push(chunk);
}

/** Line of a row: rows from `shiftRows[i]` on stand `shifts[i]` lines further down than their number. */
export function lineOf(row: number, shiftRows: ArrayLike<number>, shifts: ArrayLike<number>): number {
  let low = 0;
  let high = shiftRows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (shiftRows[middle] <= row) low = middle;
    else high = middle - 1;
  }
  return row + shifts[low];
}
