import type { L2, ModelConfig } from "../config.js";
import { DTYPE_BYTES, type Dtype } from "./safetensors.js";

/** How a tensor starts. */
export type Init = { kind: "constant"; value: number } | { kind: "normal"; std: number };

/** One tensor: where it lies, how it starts, which L2 weight it obeys. */
export interface TensorSpec {
  /** Name in the model file. */
  name: string;
  /** Logical shape, as in the model file. */
  shape: number[];
  /** The same as rows of `cols` numbers. */
  rows: number;
  cols: number;
  /** Type of its numbers; counts below are of such numbers. */
  dtype: Dtype;
  /** Distance between rows; lanes behind `cols` are padding (or, in the table, another tensor). */
  stride: number;
  /** Rows come in groups: after `size` of them, rows of padding follow up to `stride`. */
  group: { size: number; stride: number };
  /** From the first to behind the last number, padding included. */
  floats: number;
  /** Byte offset from the start of the parameters. */
  offset: number;
  init: Init;
  l2: keyof L2 | undefined;
  /** Rows belong to features: only those that a batch touches have a gradient. */
  byFeature: boolean;
  /** Moving statistics are no parameters: the optimizer leaves them alone. */
  trainable: boolean;
}

/** Rows, padded columns and place of one layer of a network. */
export interface LayerSpec {
  rows: number;
  columns: number;
  kernel: number;
  bias: number;
}

/** Where the parameters of a model lie: first the dense tensors, then the table of one record per feature. */
export interface Layout {
  tensors: TensorSpec[];
  /** Layers of the network (INN, DeepIFM); byte offsets as in `tensors`. */
  layers: LayerSpec[];
  /** Kp, Ap, KFp: sizes rounded up to 4 lanes. */
  Kp: number;
  Ap: number;
  KFp: number;
  /** Floats of a record [ v: Kp lanes | w 0 0 0 ]. */
  rowFloats: number;
  /** Type of the lanes of v, and bytes of a record: 4 · rowFloats for F32, less for small tables (assembly/kernels/table.ts). */
  dtype: Dtype;
  recordBytes: number;
  /** Byte offset of the table. */
  table: number;
  /** Bytes of all parameters, n + 1 records included: the last one stays zero and stands for unknown features. */
  bytes: number;
}

const pad4 = (size: number) => Math.ceil(size / 4) * 4;
const constant = (value: number): Init => ({ kind: "constant", value });
const normal = (std: number): Init => ({ kind: "normal", std });
/** Glorot & Bengio 2010, normal. */
const glorot = (inputs: number, outputs: number): Init => normal(Math.sqrt(2 / (inputs + outputs)));

/**
 * The one list of tensors: offsets, initial values, model file, parameter counts and error texts follow from it.
 *
 * Names and shapes: docs/FORMATS.md. Initial values: those of the authors' code (V ~ N(0, 0.01²), w = w0 = 0,
 * W, b ~ N(0, 2/(K + A)), h, U, D ~ N(0, 1); DeepIFM: h = 1, U and D Glorot normal; q of AFM 1).
 */
export function layoutOf(config: ModelConfig, dtype: Dtype = "F32"): Layout {
  const { model, features: n, factors: K, attentionFactors: A, fieldFactors: KF, fields: F } = config;
  const [Kp, Ap, KFp] = [pad4(K), pad4(A), pad4(KF)];
  const rowFloats = Kp + 4;
  const tensors: TensorSpec[] = [];
  let end = 0;

  const dense = (
    name: string,
    shape: number[],
    stride: number,
    init: Init,
    { l2, group, trainable = true }: { l2?: keyof L2; group?: TensorSpec["group"]; trainable?: boolean } = {},
  ) => {
    const cols = shape.at(-1)!;
    const rows = shape.length === 1 ? 1 : shape[0]!;
    const padded = group ? (rows / group.size) * group.stride : rows;
    const floats = padded * stride;
    tensors.push({
      name,
      shape,
      rows,
      cols,
      dtype: "F32",
      stride,
      group: group ?? { size: rows, stride: rows },
      floats,
      offset: end,
      init,
      l2,
      byFeature: false,
      trainable,
    });
    end += 4 * floats;
    return padded;
  };

  dense("bias", [1], 4, constant(0));
  if (model === "fm" && config.batchNorm) {
    dense("batch_norm.gamma", [K], Kp, constant(1));
    dense("batch_norm.beta", [K], Kp, constant(0));
    dense("batch_norm.moving_mean", [K], Kp, constant(0), { trainable: false });
    dense("batch_norm.moving_variance", [K], Kp, constant(1), { trainable: false });
  }
  if (model !== "fm") {
    dense("attention_W", [K, A], Ap, glorot(K, A), { l2: "attention" });
    dense("attention_b", [A], Ap, glorot(K, A));
    dense("attention_p", [A], Ap, model === "deepifm" ? constant(1) : normal(1));
  }
  if (model === "afm") dense("prediction", [K], Kp, constant(1));
  if (model === "ifm" || model === "inn" || model === "deepifm") {
    const deep = model === "deepifm";
    dense("interaction", [F, KF], KFp, deep ? glorot(F, KF) : normal(1), { l2: "field" });
    dense("factor", [KF, K], Kp, deep ? glorot(KF, K) : normal(1), { l2: "field" });
  }
  const layers: LayerSpec[] = [];
  if (model === "inn" || model === "deepifm") {
    const M = config.fieldOfSlot.length;
    const blocks = model === "inn" ? (M * (M - 1)) / 2 : M;
    const units = [...config.hidden, 1];
    let inputs = blocks * K;
    units.forEach((outputs, l) => {
      const kernel = end;
      const columns = pad4(outputs);
      const group = l === 0 ? { size: K, stride: Kp } : { size: inputs, stride: pad4(inputs) };
      const rows = dense(`mlp.${l}.kernel`, [inputs, outputs], columns, glorot(inputs, outputs), {
        l2: "hidden",
        group,
      });
      const bias = end;
      dense(`mlp.${l}.bias`, [outputs], columns, constant(0));
      layers.push({ rows, columns, kernel, bias });
      inputs = outputs;
    });
  }

  const table = end;
  const recordBytes = dtype === "F32" ? 4 * rowFloats : DTYPE_BYTES[dtype] * Kp + 16;
  const byFeature = (name: string, shape: number[], type: Dtype, at: number, init: Init, l2?: keyof L2) => {
    const cols = shape[1] ?? 1;
    const stride = recordBytes / DTYPE_BYTES[type];
    tensors.push({
      name,
      shape,
      rows: n,
      cols,
      dtype: type,
      stride,
      group: { size: n, stride: n },
      floats: n === 0 ? 0 : (n - 1) * stride + cols,
      offset: table + at,
      init,
      l2,
      byFeature: true,
      trainable: true,
    });
  };
  const behind = DTYPE_BYTES[dtype] * Kp;
  if (dtype === "I8") byFeature("feature_embeddings.scale", [n], "F32", behind, constant(0));
  if (dtype === "F32") byFeature("feature_bias", [n], "F32", behind, constant(0), "linear");
  else byFeature("feature_bias", [n], "F16", behind + 6, constant(0), "linear");
  byFeature("feature_embeddings", [n, K], dtype, 0, normal(0.01), "embedding");
  return { tensors, layers, Kp, Ap, KFp, rowFloats, dtype, recordBytes, table, bytes: table + recordBytes * (n + 1) };
}

/** Where row r of a tensor begins, in numbers from its start. */
export function floatOf({ stride, group }: TensorSpec, r: number): number {
  return stride * (Math.floor(r / group.size) * group.stride + (r % group.size));
}

/** Numbers that a model of this layout holds. */
export function parameterCount(layout: Layout): number {
  return layout.tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
}

/** A pair s < t of slots, and its place p among all of them in order (0,1), (0,2), …, (1,2), … */
export interface SlotPair {
  s: number;
  t: number;
  p: number;
}

/** The pairs that a model looks at; pairs of two slots of one field are left out on demand. */
export function pairsOf({ fieldOfSlot, excludeSameField }: ModelConfig): SlotPair[] {
  const pairs: SlotPair[] = [];
  let p = 0;
  for (let s = 0; s < fieldOfSlot.length; s++) {
    for (let t = s + 1; t < fieldOfSlot.length; t++, p++) {
      if (!excludeSameField || fieldOfSlot[s] !== fieldOfSlot[t]) pairs.push({ s, t, p });
    }
  }
  return pairs;
}
