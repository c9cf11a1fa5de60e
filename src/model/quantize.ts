import { IfmError } from "../errors.js";
import type { Tensor } from "./safetensors.js";

/** Types that a table can be made smaller with. */
export type SmallDtype = "f16" | "int8";

const LARGEST_F16 = 65504;

/** The bits of the 16-bit float that is nearest to x, of two equally near ones the even one. |x| is at most 65504. */
export function toF16(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  // Subnormals are multiples of 2^-24; so are all numbers below 2^-13 to the accuracy of their own last bit.
  if (size < 2 ** -14) return sign | toEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  // log2 may be rounded up just below a power of two.
  const power = 2 ** exponent > size ? exponent - 1 : exponent;
  // A mantissa that is rounded up to 2048 carries into the exponent, which is right.
  return sign + ((power + 14) << 10) + toEven(size * 2 ** (10 - power));
}

/** The nearest whole number, of two equally near ones the even one. */
function toEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

function f16Tensor({ name, shape, data }: Tensor): Tensor {
  const bad = data.findIndex((x) => Math.abs(x) > LARGEST_F16);
  if (bad !== -1) {
    throw new IfmError(
      "IFM_MODEL",
      `tensor ${name}: expected values up to ${LARGEST_F16} for f16, found ${data[bad]}`,
      {
        hint: "numbers so large are a sign of a training that went wrong",
      },
    );
  }
  return { name, shape, data: Uint16Array.from(data, toF16) };
}

/** Each row in whole numbers from -127 to 127 of a scale of its own. */
function int8Tensors({ name, shape, data }: Tensor): Tensor[] {
  const [rows, cols] = shape as [number, number];
  const scales = new Float32Array(rows);
  const lanes = new Int8Array(rows * cols);
  for (let r = 0; r < rows; r++) {
    const row = Float32Array.from(data.subarray(r * cols, (r + 1) * cols));
    scales[r] = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
    if (scales[r] === 0) continue;
    for (let k = 0; k < cols; k++) lanes[r * cols + k] = Math.max(-127, Math.min(127, toEven(row[k] / scales[r])));
  }
  return [
    { name: `${name}.scale`, shape: [rows], data: scales },
    { name, shape, data: lanes },
  ];
}

/** The tensors of a model with a small table; the dense ones stay as they are. */
export function quantizeTensors(tensors: readonly Tensor[], to: SmallDtype): Tensor[] {
  const quantized = tensors.flatMap((tensor) => {
    if (tensor.name === "feature_bias") return [f16Tensor(tensor)];
    if (tensor.name !== "feature_embeddings") return [tensor];
    return to === "f16" ? [f16Tensor(tensor)] : int8Tensors(tensor);
  });
  // Scales before what they scale and before 16-bit numbers, so that all lie at multiples of their size.
  const last = (tensor: Tensor) => (tensor.data instanceof Float32Array ? 0 : 1);
  return quantized.sort((a, b) => last(a) - last(b));
}
