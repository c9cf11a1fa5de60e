import { stat } from "node:fs/promises";
import type { ComputeOptions } from "../wasm/load.js";
import type { Io } from "./io.js";
import type { TrainValues } from "./options.js";
import { warn } from "./report.js";

/** A file of fewer bytes is done before another thread has started, which takes some 30 ms. */
const WORTH_BYTES = 1e6;

/** The number of threads that was asked for, else what the size of a file makes sensible. */
export async function threadsFor(said: number | "auto" | undefined, file: string): Promise<number | "auto"> {
  if (said !== undefined) return said;
  if (file === "-") return "auto";
  // That the file is not there is said by whoever reads it.
  const bytes = await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
  return bytes < WORTH_BYTES ? 1 : "auto";
}

/** What computes with the rows of a file, as the command line says. */
export async function computeOptions(
  { threads, fast }: Pick<TrainValues, "threads" | "fast">,
  file: string,
  io: Io,
): Promise<ComputeOptions> {
  return {
    threads: await threadsFor(threads, file),
    fast: fast === true,
    onWarning: (text) => warn(io, text),
  };
}
