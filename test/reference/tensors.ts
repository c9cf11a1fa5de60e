import type { Gradients, RefModel, RefTensor } from "./types.js";

/** Row i of a matrix: a view, so that writing to it writes to the matrix. */
export function rowOf(tensor: RefTensor, i: number): Float64Array {
  return rowOfData(tensor.data, i, tensor.shape[1]);
}

/** Row i of a matrix with the given number of columns, as a view. */
export function rowOfData(data: Float64Array, i: number, columns: number): Float64Array {
  return data.subarray(i * columns, (i + 1) * columns);
}

export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

export function zeros(length: number): number[] {
  return new Array<number>(length).fill(0);
}

/** All tensors but the moving statistics of batch normalisation are trained. */
export function isTrained(name: string): boolean {
  return !name.startsWith("batch_norm.moving_");
}

/** A zero for every trained weight. */
export function zeroGradients(model: RefModel): Gradients {
  const gradients: Gradients = {};
  for (const [name, tensor] of Object.entries(model.tensors)) {
    if (isTrained(name)) gradients[name] = new Float64Array(tensor.data.length);
  }
  return gradients;
}

/** A deep copy, for code that trains in place. */
export function cloneModel(model: RefModel): RefModel {
  const tensors: Record<string, RefTensor> = {};
  for (const [name, tensor] of Object.entries(model.tensors)) {
    tensors[name] = { shape: [...tensor.shape], data: Float64Array.from(tensor.data) };
  }
  return { config: { ...model.config }, tensors };
}
