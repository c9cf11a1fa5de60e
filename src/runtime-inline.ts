import one from "../wasm/ifm.wasm?inline";
import predict from "../wasm/ifm-predict.wasm?inline";
import { kernelBuilds } from "./runtime-web.js";

/* `#runtime` of `ifm-wasm/inline`, which needs no file: the kernels are text in the code. */

export * from "./runtime-web.js";

/** Bytes from base64 of gzip data: half the size of base64 alone. */
function unpack(text: string): Response {
  const zipped = new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))]);
  return new Response(zipped.stream().pipeThrough(new DecompressionStream("gzip")));
}

/** The kernels, unpacked and compiled once. */
export const kernelBuild = kernelBuilds({ one: () => unpack(one), predict: () => unpack(predict) });
