import { IfmError } from "../errors.js";
import { bytesOf, isResponse } from "../fetch.js";

/** Kernels that a caller brings along: a file of `wasm/` compiled, its bytes, or where it is. */
export type KernelSource = WebAssembly.Module | Uint8Array | ArrayBuffer | Response | URL | string;

/** `\0asm` */
const MAGIC = [0x00, 0x61, 0x73, 0x6d];
/** How much of another file is shown. */
const SHOWN_BYTES = 32;

const MISSING =
  'a bundler has not copied the file, or a server answers with a page: in Vite add "ifm-wasm" to optimizeDeps.exclude; ' +
  'elsewhere import "ifm-wasm/inline", or pass the file as { wasm } (docs/RUNTIMES.md)';
const FORBIDDEN =
  "the kernels need SIMD and, in a page with a Content-Security-Policy, script-src 'wasm-unsafe-eval'; " +
  "a runtime that compiles nothing wants the file imported as a module and passed as { wasm }";

/**
 * Compiles kernels unless they are compiled.
 *
 * A response is read to its end before it is compiled: the file is small, servers that call it something else than
 * `application/wasm` do no harm, and its first bytes tell a page that a server has sent in its place.
 *
 * @param open opens what is given by URL or path
 * @throws IfmError IFM_WASM when there is another file, or when it cannot be compiled here
 */
export async function compileKernels(
  source: KernelSource,
  open: (place: URL | string) => Promise<Response | Uint8Array>,
): Promise<WebAssembly.Module> {
  // By what they have: `instanceof` does not know what comes from another realm.
  if (typeof source === "string" || "href" in source) {
    const file = String(source);
    const opened = await open(source).catch((cause: Error) => {
      throw new IfmError("IFM_WASM", `cannot be read (${cause.message})`, { file, hint: MISSING, cause });
    });
    return compileAll(opened, file);
  }
  if (isResponse(source) || "byteLength" in source) return compileAll(source, "wasm");
  return source;
}

async function compileAll(source: Response | Uint8Array | ArrayBuffer, given: string): Promise<WebAssembly.Module> {
  let bytes = source as Uint8Array<ArrayBuffer>;
  let file = given;
  if (isResponse(source)) {
    file = source.url || given;
    if (!source.ok) throw new IfmError("IFM_WASM", `found HTTP status ${source.status}`, { file, hint: MISSING });
    bytes = await bytesOf(source, "IFM_WASM");
  } else if (!ArrayBuffer.isView(source)) bytes = new Uint8Array(source);
  const head = bytes.subarray(0, SHOWN_BYTES);
  if (MAGIC.some((byte, i) => head[i] !== byte)) {
    const found = head.length === 0 ? "nothing" : JSON.stringify(new TextDecoder().decode(head));
    throw new IfmError("IFM_WASM", `expected WebAssembly, found ${found}`, { file, hint: MISSING });
  }
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    const why = (cause as Error).message;
    throw new IfmError("IFM_WASM", `cannot be compiled here (${why})`, { file, hint: FORBIDDEN, cause });
  }
}
