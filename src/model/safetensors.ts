import { IfmError } from "../errors.js";

// A safetensors file: u64 header length, header (JSON, UTF-8), data (values of all tensors, little-endian, no gaps).
// Here is what writes one; safetensors-read.ts reads.

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

/** A tensor to be written, whose values need not be there all at once. */
export interface TensorParts {
  name: string;
  shape: number[];
  /** Values of all parts together. */
  length: number;
  dtype: Dtype;
  parts(): Iterable<Numbers>;
}

export const LENGTH_BYTES = 8;
export const MAX_HEADER_BYTES = 16 * 1024 * 1024;
/** As in PyTorch and NumPy. Without it, a header of 16 MiB could become an array of four times that size. */
export const MAX_RANK = 64;
export const METADATA = "__metadata__";
export const HOST_IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
export const LONE_SURROGATE = /\p{Surrogate}/u;

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
export function swapped(bytes: Uint8Array, size: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(bytes);
  if (!HOST_IS_LITTLE_ENDIAN) for (let i = 0; i < copy.length; i += size) copy.subarray(i, i + size).reverse();
  return copy;
}

export function dtypeOf(data: Numbers): Dtype {
  return data instanceof Float32Array ? "F32" : data instanceof Int8Array ? "I8" : "F16";
}

/** The product of the sizes; `undefined` if one is no size or the product is not exact. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(size) || size < 0 || !Number.isSafeInteger(count)) return undefined;
  }
  return count;
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
export function show(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return JSON.stringify(short).replace(/[\u007f-\u2025\u2027-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
