import { fileURLToPath } from "node:url";

const loader = fileURLToPath(new URL("wasm-module-loader.cjs", import.meta.url));

/** As Next.js sets it for its edge runtime. */
export default {
  mode: "production",
  target: ["web", "es6"],
  resolve: { conditionNames: ["edge-light", "..."] },
  optimization: { minimize: false },
  module: { rules: [{ test: /\.wasm$/, resourceQuery: /module/, loader, type: "javascript/auto" }] },
};
