import type { RefConfig, RefModel, RefTensor } from "./types.js";

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** A model file (CONTRACT.md): u64 header length, JSON header, little-endian F32 tensors. Believes what it reads. */
export function readModel(bytes: Uint8Array): RefModel {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const { __metadata__: metadata, ...entries } = header as { __metadata__: { config: string } } & Record<string, Entry>;
  const tensors: Record<string, RefTensor> = {};
  for (const [name, { shape, data_offsets }] of Object.entries(entries)) {
    const [begin, end] = data_offsets;
    const data = new Float64Array((end - begin) / 4);
    for (let i = 0; i < data.length; i++) data[i] = view.getFloat32(start + begin + 4 * i, true);
    tensors[name] = { shape, data };
  }
  return { config: JSON.parse(metadata.config) as RefConfig, tensors };
}
