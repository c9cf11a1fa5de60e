import type { ModelConfig } from "../config.js";
import type { TrainingRecord } from "./record.js";
import { encodeSafetensors, safetensorsParts, type Tensor, type TensorParts } from "./safetensors.js";

// What writes a model file; format-read.ts reads.

export const FORMAT = "ifm-wasm";
export const FORMAT_VERSION = "1";

/** Keys of `config` that are the model's; the others are the training record's. */
export const MODEL_KEYS = [
  "model",
  "features",
  "fields",
  "factors",
  "attentionFactors",
  "fieldFactors",
  "hidden",
  "activation",
  "temperature",
  "temperatureOn",
  "loss",
  "fieldOfSlot",
  "excludeSameField",
  "batchNorm",
] as const satisfies (keyof ModelConfig)[];

/** Bytes of a model file: safetensors with `format`, `format_version` and `config` in its metadata. */
export function encodeModel(
  config: ModelConfig,
  record: TrainingRecord,
  tensors: Tensor[],
  digest?: string,
): Uint8Array {
  return encodeSafetensors(tensors, metadataOf(config, record, digest));
}

/** The same bytes in parts. */
export function modelParts(
  config: ModelConfig,
  record: TrainingRecord,
  tensors: readonly TensorParts[],
  digest?: string,
): Iterable<Uint8Array> {
  return safetensorsParts(tensors, metadataOf(config, record, digest));
}

/** @param digest SHA-256 of the bytes of all tensors, in their order; in Base64 */
function metadataOf(config: ModelConfig, record: TrainingRecord, digest?: string): Record<string, string> {
  const ordered = Object.fromEntries(MODEL_KEYS.map((key) => [key, config[key]]));
  const metadata = { format: FORMAT, format_version: FORMAT_VERSION };
  return {
    ...metadata,
    ...(digest ? { digest: `sha256-${digest}` } : {}),
    config: JSON.stringify({ ...ordered, ...record }),
  };
}
