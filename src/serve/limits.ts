import { IfmError } from "../errors.js";

/** What a handler accepts; all of it bounds time and memory of a request. */
export interface Limits {
  /** Bytes of a request's body. */
  maxBodyBytes: number;
  /** Rows of a request for predictions. */
  maxRows: number;
  /** Candidates of a request for a ranking. */
  maxCandidates: number;
  /** Slots of a row, of a context, of a candidate. */
  maxSlots: number;
  /** Candidates of a ranking that are explained. */
  maxExplained: number;
  /** Pairs of slots in all explanations of a response. */
  maxExplainedPairs: number;
  /** Arrays and objects within each other. */
  maxDepth: number;
  /** Milliseconds until the whole body must be there. */
  timeoutMilliseconds: number;
  /** Requests whose bodies are being read. */
  maxConcurrent: number;
  /** Bytes of all bodies that are being read. */
  maxPendingBytes: number;
}

export const DEFAULT_LIMITS: Readonly<Limits> = {
  maxBodyBytes: 1_048_576,
  maxRows: 1000,
  maxCandidates: 5000,
  maxSlots: 256,
  maxExplained: 100,
  maxExplainedPairs: 100_000,
  maxDepth: 16,
  timeoutMilliseconds: 10_000,
  maxConcurrent: 1000,
  maxPendingBytes: 67_108_864,
};

/**
 * The limits that were given, and the others.
 *
 * @throws IfmError IFM_USAGE
 */
export function limitsOf(given: Partial<Limits>): Limits {
  const limits = { ...DEFAULT_LIMITS };
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) {
      const names = Object.keys(DEFAULT_LIMITS).join(", ");
      throw new IfmError("IFM_USAGE", `limits: unknown "${name}", expected one of ${names}`);
    }
    if (!Number.isSafeInteger(value) || value < 1 || value > 2 ** 31 - 1) {
      throw new IfmError("IFM_USAGE", `limits: ${name}: expected a whole number from 1 to 2147483647, got ${value}`);
    }
    limits[name as keyof Limits] = value;
  }
  return limits;
}
