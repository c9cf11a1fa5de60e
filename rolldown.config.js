import { defineConfig } from "rolldown";

// Everything is bundled, so that users install no dependency.

const output = {
  dir: "dist",
  format: "esm",
  entryFileNames: "[name].js",
  chunkFileNames: "[name].js",
  comments: { legal: true, annotation: true, jsdoc: false },
};

/** What the two processes of `ifm-wasm serve` use, and no application that has the library. */
const SERVING = /src[\\/](cli[\\/])?serve[\\/]/;

export default defineConfig([
  {
    // What several entries use goes into chunks beside them: the code finds files of the package relative to its own.
    input: {
      node: "src/node.ts",
      metrics: "src/metrics.ts",
      cli: "src/cli.ts",
      "serve-worker": "src/cli/serve/worker.ts",
    },
    platform: "node",
    external: /^node:/,
    output: {
      ...output,
      codeSplitting: {
        groups: [
          { name: "library", test: (id) => !SERVING.test(id), minShareCount: 2, priority: 1 },
          { name: "serving", minShareCount: 2 },
        ],
      },
    },
  },
  // No model, no kernels: it is used beside whichever entry gave the model.
  { input: { serve: "src/serve.ts" }, platform: "neutral", output: { ...output, codeSplitting: false } },
]);
