import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";

const fromRoot = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** What the fields and features of the sample mean, from the tables of sample/README.md. */
function sampleNames() {
  const fields = [];
  for (const line of readFileSync(fromRoot("sample/README.md"), "utf8").split("\n")) {
    const heading = /^### (\d+) (.+)$/.exec(line);
    const row = /^\| (\d+) \| (.+) \| [\d,]+ \|$/.exec(line);
    if (heading) fields.push({ name: heading[2], features: {} });
    else if (row && fields.length > 0) fields.at(-1).features[row[1]] = row[2];
  }
  if (fields.length !== 12) throw new Error(`sample/README.md: expected 12 fields, found ${fields.length}`);
  return fields;
}

const NAMES = "virtual:sample-names";

/** @type {import("vite").Plugin} */
const names = {
  name: "sample-names",
  resolveId: (id) => (id === NAMES ? `\0${NAMES}` : undefined),
  load: (id) => (id === `\0${NAMES}` ? `export default ${JSON.stringify(sampleNames())};` : undefined),
};

export default defineConfig({
  root: fileURLToPath(new URL(".", import.meta.url)),
  // Wherever the page is put, below a folder as well.
  base: "./",
  plugins: [names],
  resolve: { alias: { "ifm-wasm/worker": fromRoot("dist/worker.js") } },
  build: {
    target: "es2022",
    // What is inlined is refused by the page's policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
