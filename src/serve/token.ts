import { IfmError } from "../errors.js";
import { Problem } from "./problem.js";

/** Bytes of the longest token. */
const TOKEN_BYTES = 256;

/** A token in a buffer of one size, so that comparing takes one time. */
type Padded = Uint8Array;

const encoder = new TextEncoder();

/** Undefined when it does not fit. */
function padded(token: string): Padded | undefined {
  const buffer = new Uint8Array(TOKEN_BYTES + 1);
  const { read, written } = encoder.encodeInto(token, buffer.subarray(0, TOKEN_BYTES));
  buffer[TOKEN_BYTES] = written % TOKEN_BYTES;
  return read === token.length ? buffer : undefined;
}

/** Whether they are the same, in a time that does not depend on what they are. */
function isSame(a: Padded, b: Padded): boolean {
  let difference = 0;
  for (let i = 0; i <= TOKEN_BYTES; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

/**
 * What lets requests pass that have one of the tokens.
 *
 * @throws IfmError IFM_USAGE when a token cannot be one
 */
export function tokenCheck(tokens: readonly string[]): (authorization: string | null) => void {
  const accepted = tokens.map((token) => {
    // RFC 6750 allows fewer characters; what is no visible ASCII could not be sent in a header.
    const buffer = /^[!-~]+$/.test(token) ? padded(token) : undefined;
    if (buffer !== undefined) return buffer;
    throw new IfmError("IFM_USAGE", `token: expected 1 to ${TOKEN_BYTES} visible ASCII characters`);
  });
  return (authorization) => {
    if (accepted.length === 0) return;
    const sent = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
    if (sent === undefined) throw denied("expected a header Authorization: Bearer TOKEN", "");
    const buffer = padded(sent);
    let passes = false;
    // All of them, wherever the right one is.
    for (const token of accepted) passes = (buffer !== undefined && isSame(buffer, token)) || passes;
    if (!passes) throw denied("the token is not one of those that this server accepts", ', error="invalid_token"');
  };
}

function denied(detail: string, why: string): Problem {
  return new Problem("IFM_TOKEN", detail, { headers: { "www-authenticate": `Bearer realm="ifm-wasm"${why}` } });
}
