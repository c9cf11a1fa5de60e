import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { defineConfig } from "rolldown";

// Everything is bundled, so that users install no dependency.

/** Runtimes without files, but for `inline`: that is any runtime. */
const WEB = ["browser", "workerd", "edge-light", "inline"];

/** What the two processes of `ifm-wasm serve` use, and no application that has the library. */
const SERVING = /src[\\/](cli[\\/])?serve[\\/]/;

const output = {
  dir: "dist",
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  comments: { legal: true, annotation: true, jsdoc: false },
};

/** `x.wasm?inline`: the file, gzipped, in base64. The header of gzip data names the system; that is left out. */
const inlineKernels = {
  name: "inline-kernels",
  load(id) {
    if (!id.endsWith(".wasm?inline")) return null;
    const zipped = gzipSync(readFileSync(id.slice(0, -"?inline".length)), { level: 9 });
    zipped[9] = 255;
    return `export default ${JSON.stringify(zipped.toString("base64"))};`;
  },
};

/**
 * An entry with a `#runtime` of its own, in one file. In browsers, what is seldom needed is in files beside it, fetched
 * when it is.
 */
function entry(name, source, runtime, platform = "neutral") {
  // A bundler's worker may have to be one file.
  const codeSplitting = runtime.startsWith("browser") &&
    !name.startsWith("worker") && { groups: [{ name: "shared", minShareCount: 2 }] };
  return {
    input: { [name]: source },
    platform,
    resolve: { alias: { "#runtime": fileURLToPath(new URL(`src/runtime-${runtime}.ts`, import.meta.url)) } },
    plugins: [inlineKernels],
    // `wasm/` lies beside `src/` and, in the package, beside `dist/`.
    external: [/^node:/, /\.wasm(\?module)?$/],
    makeAbsoluteExternalsRelative: false,
    output: { ...output, chunkFileNames: `${name}-[name].js`, codeSplitting },
  };
}

export default defineConfig([
  {
    // What several entries use goes into chunks beside them: the code finds files of the package relative to its own.
    input: {
      node: "src/node.ts",
      metrics: "src/metrics.ts",
      checkpoint: "src/checkpoint.ts",
      libfm: "src/libfm.ts",
      cli: "src/cli.ts",
      "serve-worker": "src/cli/serve/worker.ts",
    },
    platform: "node",
    external: /^node:/,
    output: {
      ...output,
      // The entry has that name; this is what `readLibfm` imports.
      chunkFileNames: ({ name }) => (name === "libfm" ? "libfm-parser.js" : "[name].js"),
      codeSplitting: {
        groups: [
          // What the entries for every runtime need, and nothing of Node's.
          { name: "errors", test: /\/src\/(errors|data\/(movable|streams))\.ts$/, priority: 3 },
          { name: "checkpoint-format", test: /\/src\/train\/(checkpoint-f(older|ormat)|xxhash)\.ts$/, priority: 2 },
          { name: "parser", test: /\/src\/data\/(libfm|libfm-errors)\.ts$/, priority: 2 },
          { name: "measures", test: /\/src\/(metrics\/\w+|data\/groups)\.ts$/, priority: 2 },
          { name: "library", test: (id) => !SERVING.test(id), minShareCount: 2, priority: 1 },
          { name: "serving", minShareCount: 2 },
        ],
      },
    },
  },
  // No model, no kernels: it is used beside whichever entry gave the model.
  { input: { serve: "src/serve.ts" }, platform: "neutral", output: { ...output, codeSplitting: false } },
  ...WEB.map((runtime) => entry(runtime, "src/web.ts", runtime)),
  // The page's side of `ifm-wasm/worker`, and what runs in workers; the code finds them as files beside it.
  entry("worker", "src/worker.ts", "browser"),
  entry("worker-host", "src/worker-host.ts", "browser"),
  entry("worker-thread", "src/worker-thread.ts", "browser"),
  // The same without the trainer; `predict` is Node's.
  entry("predict", "src/predict.ts", "node", "node"),
  ...WEB.map((runtime) => entry(`predict-${runtime}`, "src/predict.ts", `${runtime}-predict`)),
]);
