/*
 * Buffers that give their memory back at once. Others keep it until they are collected, and engines are in no hurry with
 * that: to their heap a buffer of any size is a small object.
 */

/** What TypeScript does not know of buffers yet (ES2024); engines without it have ordinary ones. */
interface Resizable {
  readonly resizable?: boolean;
  resize?(bytes: number): void;
}

/** Bytes that are copied before they are given up. */
const BLOCK_BYTES = 2 ** 22;

/** A buffer that can be made smaller. Loops over such buffers are slower; copies are not. */
export function movableBuffer(bytes: number): ArrayBuffer {
  return Reflect.construct(ArrayBuffer, [bytes, { maxByteLength: bytes }]) as ArrayBuffer;
}

/** Copies numbers that nobody needs at their old place; where their buffer can shrink, there are never two of all. */
export function moveInto<T extends Float32Array | Uint32Array>(target: T, source: T): void {
  const { buffer, byteOffset } = source;
  const shrinking = buffer as unknown as Resizable;
  if (!shrinking.resizable) {
    target.set(source);
    return;
  }
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  for (let end = source.byteLength; end > 0; ) {
    const from = Math.max(0, end - BLOCK_BYTES);
    bytes.set(new Uint8Array(buffer, byteOffset + from, end - from), from);
    shrinking.resize?.(byteOffset + from);
    end = from;
  }
}
