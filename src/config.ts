/** The five models of the package; `afm`, `inn` and `deepifm` follow in a later release. */
export type ModelKind = "fm" | "afm" | "ifm" | "inn" | "deepifm";
export type Activation = "relu" | "tanh" | "sigmoid" | "identity";
export type TemperatureOn = "logits" | "projection";
export type Loss = "squared" | "logistic";
export type Reduction = "sum" | "mean";
export type OptimizerKind = "sgd" | "momentum" | "adagrad" | "adam" | "ftrl";

/** What shapes a model. Stored in the model file under `config`. Symbols as in docs/NOTATION.md. */
export interface ModelConfig {
  model: ModelKind;
  /** n: features, rows of the tables. */
  features: number;
  /** F: fields. */
  fields: number;
  /** K: factors (embedding size). */
  factors: number;
  /** A: attention factors. */
  attentionFactors: number;
  /** K_F: field factors. */
  fieldFactors: number;
  /** Units of the hidden layers (INN, DeepIFM). */
  hidden: number[];
  /** Activation of the attention's projection. */
  activation: Activation;
  /** τ: temperature of the attention. */
  temperature: number;
  /** What τ divides: the logits (the paper) or the projection (the authors' released code). */
  temperatureOn: TemperatureOn;
  loss: Loss;
  /** Field of each slot; its length is M for the models that need a fixed number of slots, empty for FM. */
  fieldOfSlot: number[];
  /** Leave out pairs of two slots of one field (DeepIFM). */
  excludeSameField: boolean;
}

/** Weights of the L2 terms λ·½‖·‖² by group. */
export interface L2 {
  embedding: number;
  linear: number;
  attention: number;
  field: number;
  hidden: number;
}

/** How a model is trained. */
export interface TrainConfig {
  optimizer: OptimizerKind;
  /** Learning rate (α of FTRL). */
  lr: number;
  epochs: number;
  batchSize: number;
  /** Probability of keeping [attention weights, pair products]; FM uses the last entry. */
  keep: [number, number];
  l2: L2;
  reduction: Reduction;
  /** Clip the gradient to this global L2 norm; 0 = off. */
  clipNorm: number;
  /** Epochs without improvement before training ends; 0 = off. */
  earlyStop: number;
  seed: number;
  shuffle: boolean;
  /** Names of tensors that are not trained. */
  freeze: string[];
  /** μ of momentum. */
  momentum: number;
  /** β₁, β₂, ε of Adam; `exact` also moves the rows that a batch does not touch. */
  adam: { beta1: number; beta2: number; epsilon: number; exact: boolean };
  /** β, λ₁, λ₂ of FTRL-proximal. */
  ftrl: { beta: number; l1: number; l2: number };
}
