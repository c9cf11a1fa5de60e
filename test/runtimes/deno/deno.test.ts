import { isInstalled } from "../install.js";
import { testFixture } from "../support/fixture-tests.js";
import { runProgram } from "../support/project.js";
import { binary, env } from "./deno.js";

testFixture({
  name: "Deno",
  installed: isInstalled("deno"),
  // All that it needs is to read the package's own files.
  run: (threads) => runProgram("deno/run.mjs", binary, ["run", "--no-remote", "--allow-read=."], threads, env),
});
