import { Desc } from "../abi";

/*
 * Integrated gradients of a network of ReLU layers (Sundararajan, Taly, Yan 2017), in f64.
 *
 * On the line α x, α = 0 … 1, such a network is linear piece by piece. In each piece the gradient is constant, so the
 * integral is a sum over the pieces, exact but for rounding; nothing is sampled.
 */
const LAYER_BYTES: usize = 32;

/** The activations of a piece are those a little behind its beginning. */
const STEP: f64 = 1e-9;
/** More pieces than a network has that is not made for it; from there on steps are longer, so that there is an end. */
const MANY_PIECES: u32 = 4096;
const LONG_STEP: f64 = 1e-3;

@inline
function layer(d: Desc, l: u32, field: usize): u32 {
  return load<u32>(d.layers + <usize>l * LAYER_BYTES + (field << 2));
}

/** Layer l at α, from what its inputs are and how they change with α. */
function forward(d: Desc, l: u32, z: usize, dz: usize, from: usize, dFrom: usize, inputs: u32): void {
  const columns = layer(d, l, 1), bias = <usize>layer(d, l, 3), kernel = <usize>layer(d, l, 2);
  const bytes = <usize>columns << 2;
  for (let j: u32 = 0; j < columns; j++) {
    const column = <usize>j << 2;
    let sum = <f64>load<f32>(bias + column), change: f64 = 0;
    for (let i: u32 = 0; i < inputs; i++) {
      const at = <usize>i << 3;
      if (load<f64>(from + at) <= 0) continue;
      const w = <f64>load<f32>(kernel + <usize>i * bytes + column);
      sum += w * load<f64>(from + at);
      change += w * load<f64>(dFrom + at);
    }
    store<f64>(z + (<usize>j << 3), sum);
    store<f64>(dz + (<usize>j << 3), change);
  }
}

/**
 * What each block of the input has in N(x) - N(0), N being the network.
 *
 *   out[c] = Σ_i x_i ∫ ∂N/∂x_i (α x) dα over the inputs i of block c
 *
 * @param out    out f64[blocks]
 * @param x      in  f32[blocks, Kp]
 * @param room   scratch f64[4, units of all layers]
 * @returns N(0)
 */
export function integratedGradients(out: usize, d: Desc, x: usize, blocks: u32, room: usize): f64 {
  const top = d.layerCount - 1;
  let units: usize = 0;
  for (let l: u32 = 0; l <= top; l++) units += <usize>layer(d, l, 1) << 3;
  // z and dz of all layers; the gradient of their z; a = x K of the first layer, whose z is α a + b.
  const z = room, toDz = units, toGradient = units << 1, toTotal = units + toGradient;
  const columns = layer(d, 0, 1), inputs = layer(d, 0, 0), kernel = <usize>layer(d, 0, 2), bias = <usize>layer(d, 0, 3);
  const first = <usize>columns << 3;
  memory.fill(room, 0, 4 * units);
  for (let i: u32 = 0; i < inputs; i++) {
    const xi = <f64>load<f32>(x + (<usize>i << 2)), row = kernel + <usize>i * (first >> 1);
    for (let j: usize = 0; j < first; j += 8) {
      store<f64>(z + toDz + j, load<f64>(z + toDz + j) + xi * <f64>load<f32>(row + (j >> 1)));
    }
  }

  let alpha: f64 = 0, baseline: f64 = 0, pieces: u32 = 0;
  while (alpha < 1) {
    const within = pieces == 0 ? 0 : alpha + (pieces < MANY_PIECES ? STEP : LONG_STEP);
    let next: f64 = 1;
    let at = z;
    for (let l: u32 = 0; l <= top; l++) {
      const width = <usize>layer(d, l, 1) << 3;
      if (l) {
        const before = <usize>layer(d, l - 1, 1) << 3;
        forward(d, l, at, at + toDz, at - before, at - before + toDz, layer(d, l, 0));
      } else {
        for (let j: usize = 0; j < first; j += 8) {
          store<f64>(at + j, within * load<f64>(at + toDz + j) + <f64>load<f32>(bias + (j >> 1)));
        }
      }
      at += width;
    }
    if (pieces++ == 0) {
      baseline = load<f64>(at - (<usize>layer(d, top, 1) << 3));
      continue;
    }
    // Where the first of the hidden units changes sides.
    const hiddenEnd = at - (<usize>layer(d, top, 1) << 3);
    for (let u = z; u < hiddenEnd; u += 8) {
      const value = load<f64>(u), change = load<f64>(u + toDz);
      if (value > 0 ? change >= 0 : change <= 0) continue;
      const zero = within - value / change;
      if (zero > within && zero < next) next = zero;
    }
    // Gradient of the output by each z, from the top down.
    store<f64>(hiddenEnd + toGradient, 1);
    at = hiddenEnd;
    for (let l = top; l > 0; l--) {
      const own = layer(d, l, 1), below = layer(d, l - 1, 1), weights = <usize>layer(d, l, 2);
      const lower = at - (<usize>below << 3);
      for (let i: u32 = 0; i < below; i++) {
        let g: f64 = 0;
        if (load<f64>(lower + (<usize>i << 3)) > 0) {
          const row = weights + <usize>i * (<usize>own << 2);
          for (let j: u32 = 0; j < own; j++) {
            g += <f64>load<f32>(row + (<usize>j << 2)) * load<f64>(at + toGradient + (<usize>j << 3));
          }
        }
        store<f64>(lower + toGradient + (<usize>i << 3), g);
      }
      at = lower;
    }
    const length = next - alpha;
    for (let j: usize = 0; j < first; j += 8) {
      store<f64>(z + toTotal + j, load<f64>(z + toTotal + j) + length * load<f64>(z + toGradient + j));
    }
    alpha = next;
  }

  for (let c: u32 = 0, i: u32 = 0; c < blocks; c++) {
    let sum: f64 = 0;
    for (let k: u32 = 0; k < d.Kp; k++, i++) {
      const xi = <f64>load<f32>(x + (<usize>i << 2)), row = kernel + <usize>i * (first >> 1);
      let g: f64 = 0;
      for (let j: usize = 0; j < first; j += 8) g += <f64>load<f32>(row + (j >> 1)) * load<f64>(z + toTotal + j);
      sum += xi * g;
    }
    store<f64>(out + (<usize>c << 3), sum);
  }
  return baseline;
}
