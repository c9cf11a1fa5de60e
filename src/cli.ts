import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Sink } from "./cli/io.js";
import { main } from "./cli/main.js";

// Seen from dist/ as from src/, the files of the package are one folder up.
const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { version } = JSON.parse(readFileSync(file("package.json"), "utf8")) as { version: string };

process.exitCode = await main(process.argv.slice(2), {
  out: new Sink(process.stdout),
  err: new Sink(process.stderr),
  env: process.env,
  version,
  sample: { train: file("sample/adult.train.libfm.gz"), validation: file("sample/adult.validation.libfm.gz") },
  onInterrupt(listener) {
    process.on("SIGINT", listener).on("SIGTERM", listener);
    return () => process.off("SIGINT", listener).off("SIGTERM", listener);
  },
  exit: (code) => process.exit(code),
});
