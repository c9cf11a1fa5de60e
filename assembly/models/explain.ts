import { Desc, FM, INN } from "../abi";
import { integratedGradients } from "../kernels/integrate";
import { concatForward } from "../kernels/products";
import { linearTerms, pairTerms } from "../kernels/table";
import { attendedForward, attendedSlots, pairCount, pairsOf } from "./attended";

/** What explains a row is computed into; src/model/explanation.ts writes the addresses. */
@unmanaged
export class ExplainRequest {
  linear: usize; //     out f64[slots] w x
  weights: usize; //    out f64[pairs] T_p, but FM
  pairs: usize; //      out f64[pairs] contributions: of the known pairs in their order or, for FM, of all pairs of one slot
  network: usize; //    out f64[blocks] INN, DeepIFM
  room: usize; //       f64[4, units]; FM with batch norm: f64[Kp]
  constant: f64; //     out
  baseline: f64; //     out
}

/**
 * Row order[first] of the batch, but the pairs of FM.
 *
 * @returns pairs whose features are known; 0 for FM
 */
export function explainRow(d: Desc, r: ExplainRequest, scratch: usize): u32 {
  const at = d.rowPtr + (<usize>load<u32>(d.order + (<usize>d.first << 2)) << 2);
  const begin = <usize>load<u32>(at) << 2, slots = load<u32>(at, 4) - load<u32>(at);
  const features = d.features + begin, values = d.values ? d.values + begin : 0;
  linearTerms(r.linear, d, features, values, slots);
  r.constant = 0;
  r.baseline = 0;
  if (d.model == FM) {
    if (d.batchNorm) normTerms(d, r);
    return 0;
  }
  attendedSlots(d, 0, scratch);
  const P = pairCount(d, scratch);
  if (P) {
    const T = attendedForward(d, 0, scratch, d.fieldPairs, 0, false), scores = scratch + d.sScores;
    for (let p: usize = 0, end = <usize>P << 2; p < end; p += 4) {
      const weight = <f64>load<f32>(T + p);
      store<f64>(r.weights + (p << 1), weight);
      store<f64>(r.pairs + (p << 1), d.model == INN ? 0 : weight * <f64>load<f32>(scores + p));
    }
  }
  if (!d.layerCount) return P;
  if (d.model != INN) {
    r.baseline = integratedGradients(r.network, d, scratch + d.sSlots, d.M, r.room);
    return P;
  }
  const input = scratch + d.sInput;
  memory.fill(input, 0, (<usize>d.Kp << 2) * d.fieldRows);
  concatForward(input, d, d.fieldPairs, scratch + d.sSlots, scratch + d.sWeights, 0, pairsOf(d, scratch), P, 1);
  r.baseline = integratedGradients(r.network, d, input, d.fieldRows, r.room);
  return P;
}

/** FM: what slot s and each of those behind it add, into r.pairs; after explainRow. */
export function explainPairs(d: Desc, r: ExplainRequest, s: u32): void {
  const at = d.rowPtr + (<usize>load<u32>(d.order + (<usize>d.first << 2)) << 2);
  const begin = <usize>load<u32>(at) << 2, slots = load<u32>(at, 4) - load<u32>(at);
  pairTerms(r.pairs, d, d.batchNorm ? r.room : 0, d.features + begin, d.values ? d.values + begin : 0, s, slots);
}

/** Batch norm is affine lane by lane: γ (z - mean)/√(σ² + ε) + β = g z + (β - g mean). */
function normTerms(d: Desc, r: ExplainRequest): void {
  const mean = d.batchNorm, scale = mean + (<usize>d.Kp << 2);
  let constant: f64 = 0;
  for (let k: usize = 0, end = <usize>d.Kp << 2; k < end; k += 4) {
    const g = <f64>load<f32>(d.gamma + k) * <f64>load<f32>(scale + k);
    store<f64>(r.room + (k << 1), g);
    constant += <f64>load<f32>(d.beta + k) - g * <f64>load<f32>(mean + k);
  }
  r.constant = constant;
}
