import { zeros } from "./tensors.js";
import type { Gradients, RefModel } from "./types.js";

export interface MlpKept {
  inputs: number[][]; // per layer: its input
  preactivations: number[][]; // per layer: x kernel + bias
  output: number;
}

/** The layers are `mlp.0`, `mlp.1`, …; the last is the linear unit. */
function layerCount(model: RefModel): number {
  let layers = 0;
  while (`mlp.${layers}.kernel` in model.tensors) layers++;
  return layers;
}

/**
 * y_0 = input;  y_{l+1} = ReLU(y_l kernel_l + bias_l) for the hidden layers;  output = y_L kernel_L + bias_L
 * (MODELS.md, INN and DeepIFM.) Tensors: `mlp.l.kernel` (in,out), `mlp.l.bias` (out).
 */
export function mlpForward(model: RefModel, input: readonly number[]): MlpKept {
  const layers = layerCount(model);
  const inputs: number[][] = [];
  const preactivations: number[][] = [];
  let y = [...input];
  for (let layer = 0; layer < layers; layer++) {
    const kernel = model.tensors[`mlp.${layer}.kernel`];
    const bias = model.tensors[`mlp.${layer}.bias`].data;
    const [nIn, nOut] = kernel.shape;
    if (y.length !== nIn) throw new RangeError(`mlp.${layer}: expected ${nIn} inputs, got ${y.length}`);
    const pre = zeros(nOut);
    for (let o = 0; o < nOut; o++) {
      pre[o] = bias[o];
      for (let i = 0; i < nIn; i++) pre[o] += y[i] * kernel.data[i * nOut + o];
    }
    inputs.push(y);
    preactivations.push(pre);
    y = layer < layers - 1 ? pre.map((x) => Math.max(x, 0)) : pre;
  }
  return { inputs, preactivations, output: y[0] };
}

/**
 * From the last layer to the first:  dpre = dy ⊙ ReLU'(pre);  dbias += dpre;  dkernel += yᵀ dpre;  dy = dpre kernelᵀ
 * Adds to `into` and returns the gradient of the input.
 */
export function mlpBackward(model: RefModel, kept: MlpKept, dOutput: number, into: Gradients): number[] {
  const layers = layerCount(model);
  let dy = [dOutput];
  for (let layer = layers - 1; layer >= 0; layer--) {
    const kernel = model.tensors[`mlp.${layer}.kernel`];
    const [nIn, nOut] = kernel.shape;
    const dx = zeros(nIn);
    for (let o = 0; o < nOut; o++) {
      const slope = layer < layers - 1 && kept.preactivations[layer][o] <= 0 ? 0 : 1;
      const dPre = dy[o] * slope;
      into[`mlp.${layer}.bias`][o] += dPre;
      for (let i = 0; i < nIn; i++) {
        into[`mlp.${layer}.kernel`][i * nOut + o] += kept.inputs[layer][i] * dPre;
        dx[i] += dPre * kernel.data[i * nOut + o];
      }
    }
    dy = dx;
  }
  return dy;
}
