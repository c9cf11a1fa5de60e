import { type ModelConfig, validateModelConfig } from "../config.js";
import { IfmError } from "../errors.js";
import { FORMAT, FORMAT_VERSION, MODEL_KEYS } from "./format.js";
import { layoutOf } from "./layout.js";
import type { TrainingRecord } from "./record.js";
import { type Dtype, dtypeOf, type Tensor } from "./safetensors.js";
import { decodeSafetensors } from "./safetensors-read.js";

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
