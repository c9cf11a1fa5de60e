/** What a pair of slots adds to a score. */
export interface PairContribution {
  /** Positions of the two slots in the row, s < t. */
  s: number;
  t: number;
  /** Attention weight T_p; the weights of a row sum to 1. 1 for FM, which has none. */
  weight: number;
  /** What the pair adds to the score. INN: 0, its pairs go through the network. */
  contribution: number;
}

/** What a network adds to a score, by integrated gradients (Sundararajan et al. 2017). */
export interface NetworkContribution {
  method: "integrated gradients";
  /** The network's input is one block for each slot (DeepIFM), or for each pair (INN). */
  of: "slots" | "pairs";
  /** What the network gives for an input of zeros. */
  baseline: number;
  /** Share of each slot, or of each of `pairs`, in what the network gives beyond that. */
  contributions: number[];
}

/**
 * Why a row has its score:
 *
 *   score = bias + constant + Σ linear + Σ pairs.contribution + network.baseline + Σ network.contributions
 *
 * to the accuracy of the score, which is summed in 32-bit floats.
 */
export interface Explanation {
  /** The raw score ŷ, as `predict` gives it. */
  score: number;
  bias: number;
  /** Batch norm of FM shifts the sum of the pairs by this much. 0 otherwise. */
  constant: number;
  /** w[j] x of each slot, by its position in the row; 0 where the feature is unknown. */
  linear: number[];
  /** The pairs that the model looks at; those with unknown features are not among them. */
  pairs: PairContribution[];
  /** INN and DeepIFM. */
  network?: NetworkContribution;
  /** Slots whose feature the model does not know. */
  unknownFeatures: number;
}
