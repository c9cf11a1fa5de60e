import { type CheckReport, checkDataset, formatCheck } from "../data/check.js";
import { openData } from "../data/open.js";
import { EXIT } from "./exit.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { JsonValues } from "./options.js";

/** `ifm-wasm check FILE`. Returns the exit code: lines that cannot be read are bad data, oddities are not. */
export async function check(file: string, options: JsonValues, io: Io): Promise<number> {
  const report = await checkDataset(openData(file), { name: file });
  io.out.write(options.json ? jsonLine(plainReport(report)) : formatCheck(report));
  return report.broken.count > 0 ? EXIT.data : EXIT.done;
}

/** The report with errors as plain objects: of an `Error`, JSON would leave out the message. */
function plainReport({ broken, ...report }: CheckReport): object {
  const errors = broken.errors.map(({ message, line, column, hint }) => ({ message, line, column, hint }));
  return { ...report, broken: { count: broken.count, errors } };
}
