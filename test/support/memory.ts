import { readFileSync } from "node:fs";

/** A quiet NaN that no computation makes: memory that nobody may read or write. As an address it lies beyond any memory. */
export const NAN_WORD = 0x7fc0dead;

/** A compiled module of this checkout; global-setup.ts has seen to it that it is fresh. */
export function readModule(path: string): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(`../../${path}`, import.meta.url)));
}

/** The builds that the program could run on; every suite of whole models runs on both. */
export const BUILDS = [
  { build: "release", module: readModule("wasm/ifm.wasm") },
  { build: "debug", module: readModule("build/debug.wasm") },
] as const;
