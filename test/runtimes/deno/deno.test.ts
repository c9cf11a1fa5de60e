import { tmpdir } from "node:os";
import { join } from "node:path";
import { isInstalled, packageFolder } from "../install.js";
import { testFixture } from "../support/fixture-tests.js";
import { runProgram } from "../support/project.js";

const binary = join(packageFolder("deno"), "deno");
// Its cache is not the user's, and it asks nobody for anything.
const env = { DENO_DIR: join(tmpdir(), "ifm-wasm-deno"), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };

testFixture({
  name: "Deno",
  installed: isInstalled("deno"),
  // All that it needs is to read the package's own files.
  run: (threads) => runProgram("deno/run.mjs", binary, ["run", "--no-remote", "--allow-read=."], threads, env),
});
