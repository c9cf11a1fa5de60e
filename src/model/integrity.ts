import { type ErrorPlace, IfmError } from "../errors.js";

const TOKEN = /^sha(256|384|512)-([A-Za-z0-9+/]{43,86}={0,2})(?:\?.*)?$/;
const CHANGED = "the file is damaged, or is not the one that was meant; copy or download it again";

/** Base64 of some bytes. */
export function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

/** The hash that the runtime computes; undefined where it has none (pages without https). */
export async function webHash(bits: string, bytes: Uint8Array): Promise<string | undefined> {
  const subtle = globalThis.crypto?.subtle;
  return subtle && base64(new Uint8Array(await subtle.digest(`SHA-${bits}`, bytes as BufferSource)));
}

/**
 * Compares a file with what `integrity` says, as browsers do (W3C Subresource Integrity): of several hashes the
 * strongest kind counts, and one of them must fit.
 *
 * @throws IfmError IFM_MODEL when none does; IFM_USAGE when it is no such text, or nothing here computes hashes
 */
export async function checkIntegrity(bytes: Uint8Array, integrity: string, place: ErrorPlace): Promise<void> {
  const tokens = integrity.split(/\s+/).filter(Boolean);
  const parsed = tokens.map((token) => TOKEN.exec(token));
  if (tokens.length === 0 || parsed.includes(null)) {
    throw new IfmError("IFM_USAGE", `integrity: expected "sha256-" and Base64, got "${integrity.slice(0, 80)}"`);
  }
  const bits = parsed
    .map((token) => token![1]!)
    .sort()
    .at(-1)!;
  const found = await webHash(bits, bytes);
  if (found === undefined) throw new IfmError("IFM_USAGE", "integrity: this runtime has no crypto.subtle");
  if (parsed.some((token) => token![1] === bits && token![2] === found)) return;
  throw new IfmError("IFM_MODEL", `expected integrity ${integrity.trim()}, found sha${bits}-${found}`, {
    ...place,
    hint: CHANGED,
  });
}

/**
 * @param hash SHA-256 in Base64
 * @throws IfmError IFM_MODEL
 */
export function checkDigest(said: string, hash: string, place: ErrorPlace): void {
  if (said === `sha256-${hash}`) return;
  throw new IfmError("IFM_MODEL", `weights: expected digest ${said.slice(0, 80)}, found sha256-${hash}`, {
    ...place,
    hint: CHANGED,
  });
}
