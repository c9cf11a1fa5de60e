import { join } from "node:path";
import { isInstalled, packageFolder } from "../install.js";
import { testFixture } from "../support/fixture-tests.js";
import { runProgram } from "../support/project.js";

const binary = join(packageFolder("bun"), "bin", "bun");

testFixture({
  name: "Bun",
  installed: isInstalled("bun"),
  run: (threads) => runProgram("bun/run.mjs", binary, [], threads),
});
