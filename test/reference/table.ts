/** A table in one of its formats, decoded literally (docs/FORMATS.md, ARCHITECTURE.md). */
export type TableFormat = "F32" | "F16" | "I8";

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 mantissa bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

export interface DecodedRecord {
  /** K values. */
  v: number[];
  w: number;
}

/** Bytes of a lane, and of a record of Kp lanes. */
export function recordSizes(format: TableFormat, Kp: number): { lane: number; record: number } {
  const lane = { F32: 4, F16: 2, I8: 1 }[format];
  return { lane, record: lane * Kp + 16 };
}

/**
 * Record j. F32: [ v: Kp | w 0 0 0 ]; small: [ lanes: Kp | scale f32 | 0, w f16 | Σ v² f32 | w f32 ], v = scale · lane,
 * scale = 1 for F16.
 */
export function decodeRecord(bytes: Uint8Array, format: TableFormat, K: number, j: number): DecodedRecord {
  const Kp = Math.ceil(K / 4) * 4;
  const { lane, record } = recordSizes(format, Kp);
  const view = new DataView(bytes.buffer, bytes.byteOffset + j * record, record);
  const tail = lane * Kp;
  const scale = format === "I8" ? view.getFloat32(tail, true) : 1;
  const lanes = Array.from({ length: K }, (_, k) => {
    if (format === "F32") return view.getFloat32(4 * k, true);
    return format === "F16" ? halfToNumber(view.getUint16(2 * k, true)) : view.getInt8(k);
  });
  const w = format === "F32" ? view.getFloat32(tail, true) : halfToNumber(view.getUint16(tail + 6, true));
  return { v: lanes.map((x) => scale * x), w };
}
