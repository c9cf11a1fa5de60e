import type { L2, ModelConfig } from "../config.js";

/** How a tensor starts. */
export type Init = { kind: "zero" } | { kind: "normal"; std: number };

/** One tensor: where it lies, how it starts, which L2 weight it obeys. */
export interface TensorSpec {
  /** Name in the model file. */
  name: string;
  /** Logical shape, as in the model file. */
  shape: number[];
  /** The same as rows of `cols` numbers. */
  rows: number;
  cols: number;
  /** Distance between rows in floats; lanes behind `cols` are padding (or, in the table, another tensor). */
  stride: number;
  /** Byte offset from the start of the parameters. */
  offset: number;
  init: Init;
  l2: keyof L2 | undefined;
  /** Rows belong to features: only those that a batch touches have a gradient. */
  byFeature: boolean;
}

/** Where the parameters of a model lie: first the dense tensors, then the table of one record per feature. */
export interface Layout {
  tensors: TensorSpec[];
  /** Kp, Ap, KFp: sizes rounded up to 4 lanes. */
  Kp: number;
  Ap: number;
  KFp: number;
  /** Floats of a record [ v: Kp lanes | w 0 0 0 ]. */
  rowFloats: number;
  /** Byte offset of the table. */
  table: number;
  /** Bytes of all parameters, n + 1 records included: the last one stays zero and stands for unknown features. */
  bytes: number;
}

const pad4 = (size: number) => Math.ceil(size / 4) * 4;

/**
 * The one list of tensors: offsets, initial values, model file, parameter counts and error texts follow from it.
 *
 * Names and shapes: docs/FORMATS.md. Initial values: those of the authors' code (V ~ N(0, 0.01²), w = w0 = 0,
 * W, b ~ N(0, 2/(K + A)), h, U, D ~ N(0, 1)).
 */
export function layoutOf(config: ModelConfig): Layout {
  const { features: n, factors: K, attentionFactors: A, fieldFactors: KF, fields: F } = config;
  const [Kp, Ap, KFp] = [pad4(K), pad4(A), pad4(KF)];
  const rowFloats = Kp + 4;
  const tensors: TensorSpec[] = [];
  let end = 0;

  const dense = (name: string, shape: number[], stride: number, init: Init, l2?: keyof L2) => {
    const cols = shape.at(-1)!;
    const rows = shape.length === 1 ? 1 : shape[0]!;
    tensors.push({ name, shape, rows, cols, stride, offset: end, init, l2, byFeature: false });
    end += 4 * rows * stride;
  };
  const zero: Init = { kind: "zero" };
  const normal = (std: number): Init => ({ kind: "normal", std });

  dense("bias", [1], 4, zero);
  if (config.model !== "fm") {
    const std = Math.sqrt(2 / (K + A));
    dense("attention_W", [K, A], Ap, normal(std), "attention");
    dense("attention_b", [A], Ap, normal(std));
    dense("attention_p", [A], Ap, normal(1));
    dense("interaction", [F, KF], KFp, normal(1), "field");
    dense("factor", [KF, K], Kp, normal(1), "field");
  }

  const table = end;
  const byFeature = (name: string, shape: number[], lane: number, init: Init, l2: keyof L2) => {
    const cols = shape[1] ?? 1;
    tensors.push({
      name,
      shape,
      rows: n,
      cols,
      stride: rowFloats,
      offset: table + 4 * lane,
      init,
      l2,
      byFeature: true,
    });
  };
  byFeature("feature_bias", [n], Kp, zero, "linear");
  byFeature("feature_embeddings", [n, K], 0, normal(0.01), "embedding");
  return { tensors, Kp, Ap, KFp, rowFloats, table, bytes: table + 4 * rowFloats * (n + 1) };
}

/** Numbers that a model of this layout holds. */
export function parameterCount(layout: Layout): number {
  return layout.tensors.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
}

/** Pairs s < t of slots that a model looks at, in order (0,1), (0,2), …; pairs of one field are left out on demand. */
export function pairsOf({ fieldOfSlot, excludeSameField }: ModelConfig): [number, number][] {
  const pairs: [number, number][] = [];
  for (let s = 0; s < fieldOfSlot.length; s++) {
    for (let t = s + 1; t < fieldOfSlot.length; t++) {
      if (!excludeSameField || fieldOfSlot[s] !== fieldOfSlot[t]) pairs.push([s, t]);
    }
  }
  return pairs;
}
