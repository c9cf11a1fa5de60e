import { type ModelConfig, validateModelConfig } from "../config.js";
import { IfmError } from "../errors.js";
import { layoutOf } from "./layout.js";
import type { TrainingRecord } from "./record.js";
import {
  type Dtype,
  decodeSafetensors,
  dtypeOf,
  encodeSafetensors,
  safetensorsParts,
  type Tensor,
  type TensorParts,
} from "./safetensors.js";

const FORMAT = "ifm-wasm";
const FORMAT_VERSION = "1";

/** Keys of `config` that are the model's; the others are the training record's. */
const MODEL_KEYS = [
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

/** What a model file holds. */
export interface DecodedModel {
  config: ModelConfig;
  record: TrainingRecord;
  tensors: Map<string, Tensor>;
  /** Type of the table's numbers. */
  dtype: Dtype;
  /** What the file says of the digest of its data. */
  digest: string | undefined;
  /** The bytes of all tensors. */
  data: Uint8Array;
}

/**
 * Reads a model file and checks that every tensor of the model is there in its shape.
 *
 * @throws IfmError IFM_MODEL
 */
export function decodeModel(bytes: Uint8Array, file?: string): DecodedModel {
  const place = file === undefined ? {} : { file };
  const fail = (message: string, hint?: string) =>
    new IfmError("IFM_MODEL", message, { ...place, ...(hint ? { hint } : {}) });

  const { metadata, tensors, data } = decodeSafetensors(bytes, place);
  const { format, format_version: version, config: json } = metadata;
  if (format !== FORMAT) {
    throw fail(`metadata: expected format "${FORMAT}", found ${format === undefined ? "none" : `"${format}"`}`);
  }
  if (version !== FORMAT_VERSION) {
    throw fail(
      `metadata: expected format_version "${FORMAT_VERSION}", found "${version}"`,
      "a newer ifm-wasm may read it",
    );
  }
  if (json === undefined) throw fail("metadata: config is missing");
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (cause) {
    throw fail(`metadata: config is not JSON (${(cause as Error).message})`);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw fail("metadata: config is no JSON object");

  const entries = Object.entries(parsed);
  const isModelKey = (key: string) => (MODEL_KEYS as readonly string[]).includes(key);
  const given = Object.fromEntries(entries.filter(([key]) => isModelKey(key)));
  const record = checkRecord(Object.fromEntries(entries.filter(([key]) => !isModelKey(key))), fail);
  // The tensors say so where the config is silent.
  given.batchNorm ??= given.model === "fm" && tensors.has("batch_norm.gamma");
  const config = validateModelConfig(given, (message) => fail(`config: ${message}`));

  const table = tensors.get("feature_embeddings");
  const dtype = table ? dtypeOf(table.data) : "F32";
  for (const { name, shape, dtype: own } of layoutOf(config, dtype).tensors) {
    const found = tensors.get(name);
    if (!found) throw fail(`tensor ${name}: missing; ${config.model} needs it with shape [${shape}]`);
    if (dtypeOf(found.data) !== own) throw fail(`tensor ${name}: expected dtype ${own}, found ${dtypeOf(found.data)}`);
    if (found.shape.length !== shape.length || found.shape.some((size, axis) => size !== shape[axis])) {
      throw fail(`tensor ${name}: expected shape [${shape}] from the config, found [${found.shape}]`);
    }
  }
  return { config, record, tensors, dtype, digest: metadata.digest, data };
}

/** The numbers of a record are used in arithmetic, so they must be numbers. */
function checkRecord(record: Record<string, unknown>, fail: (message: string) => IfmError): TrainingRecord {
  for (const key of ["seed", "labelMin", "labelMax", "rows", "bestEpoch"]) {
    const value = record[key];
    if (value !== undefined && !Number.isFinite(value)) throw fail(`config: ${key} is no number`);
  }
  return record as TrainingRecord;
}
