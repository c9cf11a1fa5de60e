// What an application's bundler makes of the core in a browser, minified: what is there once it has started, to train on
// rows and to use models. What the library imports only when it is wanted (to read a file of rows, gzipped ones, a model)
// comes in files of their own, and is not in it.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const ENTRY = "\0core";
const CORE = ["createTrainer", "Model", "readLibfm", "IfmError", "defaultModel", "defaultTrain", "VERSION"];

/** @returns {Promise<string>} the code, of `dist/` as it is */
export async function coreBundle() {
  const build = await rolldown({
    input: ENTRY,
    platform: "browser",
    plugins: [
      {
        name: "core",
        resolveId: (id) => (id === ENTRY ? id : null),
        load: (id) =>
          id === ENTRY ? `export { ${CORE} } from ${JSON.stringify(join(ROOT, "dist/browser.js"))};` : null,
      },
    ],
  });
  try {
    const { output } = await build.generate({ format: "esm", minify: true });
    const chunks = output.filter((file) => file.type === "chunk");
    return chunks.map(({ isDynamicEntry, code }) => (isDynamicEntry ? "" : code)).join("");
  } finally {
    await build.close();
  }
}
