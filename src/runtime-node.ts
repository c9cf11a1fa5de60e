import { readFile } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import { writeFileAtomic } from "./atomic-file.js";
import { IfmError } from "./errors.js";

/*
 * What the core needs of Node. The core imports it as "#runtime"; an entry for another runtime is bundled with a file of
 * its own that exports the same names.
 */

let compiled: Promise<WebAssembly.Module> | undefined;

/** The kernels, compiled once. `wasm/` lies beside `src/` and, in the package, beside `dist/`. */
export function kernelModule(): Promise<WebAssembly.Module> {
  compiled ??= readFile(new URL("../wasm/ifm.wasm", import.meta.url)).then((bytes) => WebAssembly.compile(bytes));
  return compiled;
}

/**
 * Bytes of a model file.
 *
 * @throws IfmError IFM_MODEL when it cannot be read
 */
export async function readModelFile(path: string | URL): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "no such file"
        : code === "EISDIR"
          ? "is a folder, expected a model file"
          : code === "EACCES"
            ? "may not be read (permission denied)"
            : `cannot be read (${code ?? String(cause)})`;
    throw new IfmError("IFM_MODEL", why, { file: String(path), cause });
  }
}

/** Writes a model file, given in parts, whole or not at all. */
export function writeModelFile(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  return writeFileAtomic(path, parts);
}

/** Lets signals, timers and I/O have their turn. */
export async function breathe(): Promise<void> {
  await setImmediate();
}
