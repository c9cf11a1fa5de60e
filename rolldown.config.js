import { defineConfig } from "rolldown";

// Everything is bundled, so that users install no dependency. What the two entries share goes into chunks beside them:
// files of the package are found relative to import.meta.url, one folder up.
export default defineConfig({
  input: { node: "src/node.ts", cli: "src/cli.ts" },
  platform: "node",
  external: /^node:/,
  output: {
    dir: "dist",
    format: "esm",
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    comments: { legal: true, annotation: true, jsdoc: true },
  },
});
