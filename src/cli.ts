import { fileURLToPath } from "node:url";
import { Sink } from "./cli/io.js";
import { main } from "./cli/main.js";

// Seen from dist/ as from src/, the sample is one folder up.
const sample = (part: string) => fileURLToPath(new URL(`../sample/adult.${part}.libfm.gz`, import.meta.url));

process.exitCode = await main(process.argv.slice(2), {
  out: new Sink(process.stdout),
  err: new Sink(process.stderr),
  env: process.env,
  sample: { train: sample("train"), validation: sample("validation") },
  onInterrupt(listener) {
    process.on("SIGINT", listener).on("SIGTERM", listener);
    return () => process.off("SIGINT", listener).off("SIGTERM", listener);
  },
  exit: (code) => process.exit(code),
});
