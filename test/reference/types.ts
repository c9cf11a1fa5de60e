/** The five models of MODELS.md. */
export type ModelKind = "fm" | "afm" | "ifm" | "inn" | "deepifm";

/** The activation inside the attention; the hidden layers of an MLP are always ReLU. */
export type Activation = "relu" | "tanh" | "sigmoid" | "identity";

/** Where τ divides: the softmax logits (the paper) or the projection e_p W (the authors' code). */
export type TemperatureOn = "logits" | "projection";

export type LossKind = "squared" | "logistic" | "bpr";
export type Reduction = "sum" | "mean";

/** The config keys of the model file (CONTRACT.md). */
export interface RefConfig {
  model: ModelKind;
  features: number; // n
  fields: number; // F
  factors: number; // K
  attentionFactors: number; // A
  fieldFactors: number; // K_F
  hidden: number[];
  activation: Activation;
  temperature: number; // τ
  temperatureOn: TemperatureOn;
  loss: LossKind;
  fieldOfSlot: number[]; // g_s
  excludeSameField: boolean;
}

/** Row-major values of a tensor. */
export interface RefTensor {
  shape: number[];
  data: Float64Array;
}

/** A model: its config and its tensors by the names of CONTRACT.md. */
export interface RefModel {
  config: RefConfig;
  tensors: Record<string, RefTensor>;
}

/** One non-zero (j_s, x_s) of a row. */
export interface RefSlot {
  feature: number;
  value: number;
}

export interface RefRow {
  label: number;
  slots: RefSlot[];
}

/** The slots s < t of a pair. */
export type Pair = readonly [s: number, t: number];

/** A dropout mask: 0 or 1 for each value, and the probability with which values are kept. */
export interface Dropout {
  mask: readonly number[];
  keep: number;
}

/** What a forward pass of one row may be given besides model and row. */
export interface RowOptions {
  /**
   * The masks of keep[0] and keep[1]; a missing one means no dropout. With P = M(M-1)/2 counted over *all* slots of the
   * row, whichever pairs take part:
   *   fm            [K values of z, -]
   *   afm           [P attention weights, K values of the pooled vector]
   *   ifm inn deepifm [P attention weights, P·K values of T_p e_p]
   */
  dropout?: readonly [Dropout | undefined, Dropout | undefined];
  /** The pairs that take part (sampling); all by default. FM has no choice of pairs and ignores it. */
  pairs?: readonly Pair[];
}

/** Gradients by tensor name, in the layout of the tensor. */
export type Gradients = Record<string, Float64Array>;
