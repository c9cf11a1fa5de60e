import { expect } from "vitest";
import { IfmError } from "../../src/errors.js";
import { encodeSafetensors, type Tensor } from "../../src/model/safetensors.js";
import { type DecodeOptions, decodeSafetensors } from "../../src/model/safetensors-read.js";

/** A file with any header, and a header length that may lie. */
export function file(header: string | Uint8Array, dataBytes = 0, length?: bigint): Uint8Array {
  const text = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const bytes = new Uint8Array(8 + text.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

export function entry(name: string, shape: string, offsets: string, dtype = '"F32"'): string {
  return `${JSON.stringify(name)}:{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`;
}

export function refused(bytes: Uint8Array, options: DecodeOptions = {}): IfmError {
  let error: unknown;
  try {
    decodeSafetensors(bytes, options);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(IfmError);
  expect(error).toMatchObject({ code: "IFM_MODEL", hint: expect.stringMatching(/[^.]$/) });
  return error as IfmError;
}

export function tensor(name: string, shape: number[], values: number[]): Tensor {
  return { name, shape, data: Float32Array.from(values) };
}

/** The same bytes at an address that is `shift` bytes off. */
export function moved(bytes: Uint8Array, shift: number): Uint8Array {
  const copy = new Uint8Array(bytes.length + shift).subarray(shift);
  copy.set(bytes);
  return copy;
}

export const SMALL = [
  tensor("bias", [1], [0.5]),
  tensor("none", [0, 3], []),
  tensor("number", [], [-2]),
  tensor("feature_embeddings", [2, 3], [1, 2, 3, 4, 5, 6]),
];
export const small = () => encodeSafetensors(SMALL, { format: "ifm-wasm", config: '{"model":"fm"}' });
