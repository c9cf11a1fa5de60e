import { type ErrorCode, IfmError } from "./errors.js";

/** Whether a file is to be fetched even by a runtime that reads others. */
export function isRemote(place: string | URL): boolean {
  return /^https?:/.test(String(place));
}

/** Whether it is a `Response`, also one of another realm, which is an instance of nothing here. */
export function isResponse(source: object): source is Response {
  return "headers" in source;
}

/**
 * Fetches a file. Whether the response is one of success is for others to say.
 *
 * @throws IfmError with `code` when there is none
 */
export async function fetchFile(url: string | URL, code: ErrorCode): Promise<Response> {
  try {
    return await fetch(url);
  } catch (cause) {
    throw new IfmError(code, `cannot be fetched (${(cause as Error).message})`, { file: String(url), cause });
  }
}

/** The response if it is one of success; otherwise throws an IfmError with `code`. */
export function checkResponse(response: Response, code: ErrorCode): Response {
  if (response.ok) return response;
  throw new IfmError(code, `expected a file, found HTTP status ${response.status}`, {
    file: response.url || "response",
  });
}

/** All bytes of a response, or of what can be the body of one. */
export async function bytesOf(
  source: Response | Blob | ArrayBuffer | ReadableStream<Uint8Array>,
  code: ErrorCode,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = isResponse(source) ? checkResponse(source, code) : new Response(source);
  return new Uint8Array(await response.arrayBuffer());
}
