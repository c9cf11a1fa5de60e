import { isInstalled } from "../install.js";
import { startProgram, testServing } from "../support/serve-tests.js";
import { binary, env } from "./deno.js";

const args = ["run", "--no-remote", "--allow-read=.", "--allow-net=127.0.0.1"];

testServing({
  name: "Deno",
  installed: isInstalled("deno"),
  start: (modelFile) => startProgram("deno/serve.mjs", binary, args, modelFile, env),
});
