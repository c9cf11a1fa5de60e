import { join } from "node:path";
import { isInstalled, packageFolder } from "../install.js";
import { startProgram, testServing } from "../support/serve-tests.js";

const binary = join(packageFolder("bun"), "bin", "bun");

testServing({
  name: "Bun",
  installed: isInstalled("bun"),
  start: (modelFile) => startProgram("bun/serve.mjs", binary, [], modelFile),
});
