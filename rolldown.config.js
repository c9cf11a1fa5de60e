import { defineConfig } from "rolldown";

// Everything is bundled, so that users install no dependency. What several entries use goes into chunks beside them:
// the code finds files of the package relative to its own, one folder up.
export default defineConfig({
  input: { node: "src/node.ts", metrics: "src/metrics.ts", checkpoint: "src/checkpoint.ts", cli: "src/cli.ts" },
  platform: "node",
  external: /^node:/,
  output: {
    dir: "dist",
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    codeSplitting: {
      groups: [
        { name: "errors", test: /\/src\/errors\.ts$/, priority: 2 },
        // Loaded by trainers that are asked for checkpoints only.
        { name: "checkpoint-format", test: /\/src\/train\/(checkpoint-format|xxhash)\.ts$/, priority: 1 },
        { name: "library", minShareCount: 2 },
      ],
    },
    comments: { legal: true, annotation: true, jsdoc: false },
  },
});
