// Compiles and tests a copy of the project: what copy.js asks for, in a process that can be ended. Its folder is the copy.
// Compiler and test runner stay from fault to fault, as their start takes longer than most tests.

import { join } from "node:path";
import asc from "assemblyscript/asc";
import { createVitest } from "vitest/node";

const ROOT = process.cwd();

// As the project `unit` of vitest.config.ts; here kernels are built when they are asked for.
const vitest = await createVitest("test", {
  root: ROOT,
  config: false,
  watch: false,
  include: ["test/**/*.test.ts"],
  testTimeout: 30_000,
  maxWorkers: 1,
  bail: 1,
  reporters: [{}],
});

/** Whether the compiler takes it. */
async function build({ target, entries }) {
  const args = [...entries, "--target", target, "--baseDir", ROOT];
  const { error } = await asc.main(args, { stderr: asc.createMemoryStream() });
  return error === null;
}

/** Whether all tests of some files pass, or are skipped as they are on this machine without a fault. */
async function test({ changed, files }) {
  for (const file of changed) vitest.invalidateFile(join(ROOT, file));
  const wanted = await vitest.globTestSpecifications(files);
  if (wanted.length !== files.length) throw new Error(`expected the tests ${files}, found ${wanted.length} of them`);
  const { unhandledErrors } = await vitest.runTestSpecifications(wanted);
  const isSound = ({ testModule }) => /^(passed|skipped)$/.test(testModule?.state());
  return unhandledErrors.length === 0 && wanted.every(isSound);
}

process.on("message", async (message) => {
  process.send(await (message.target ? build(message) : test(message)));
});
process.on("disconnect", () => process.exit());
process.send("ready");
