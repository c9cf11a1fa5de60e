import type { KernelBuild } from "../../src/wasm/load.js";
import { readFile } from "./host.js";

/** A quiet NaN that no computation makes: memory that nobody may read or write. As an address it lies beyond any memory. */
export const NAN_WORD = 0x7fc0dead;

/**
 * A NaN that no computation gives, another one every 16 bytes: a signaling one, so that who computes with what lies beside a
 * buffer and stores it there leaves a quiet one; and who copies it from beside one buffer to beside another is seen by its place.
 */
export const nanWordAt = (address: number): number => 0x7f800001 + (address >>> 4);

/** Fills memory with them. */
export function fillWithNaN(buffer: ArrayBufferLike, from: number, to: number): void {
  const words = new Uint32Array(buffer);
  for (let at = Math.ceil(from / 4); at < Math.floor(to / 4); at++) words[at] = nanWordAt(4 * at);
}

/** A compiled module of this checkout; global-setup.ts has seen to it that it is fresh. */
export function readModule(path: string): WebAssembly.Module {
  return new WebAssembly.Module(readFile(path));
}

function readBuild(path: string, shared = false): KernelBuild {
  return { module: readModule(path), shared };
}

/** The builds that whole models are tested on. */
export const BUILDS = [
  { build: "release", module: readBuild("wasm/ifm.wasm") },
  { build: "debug", module: readBuild("build/debug.wasm") },
] as const;

/** All modules that are shipped, and the debug build. */
export const ALL_BUILDS = [
  ...BUILDS,
  { build: "threads", module: readBuild("wasm/ifm-threads.wasm", true) },
  { build: "fast", module: readBuild("wasm/ifm-fast.wasm", true) },
] as const;
