import { Model } from "../model/model.js";
import { scoringData } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseSecondStdin } from "./files.js";
import { columns, count, metric } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { JsonValues } from "./options.js";

/** `ifm-wasm evaluate MODEL FILE`. Returns the exit code. */
export async function evaluate(modelFile: string, file: string, options: JsonValues, io: Io): Promise<number> {
  refuseSecondStdin([modelFile, file]);
  const model = await Model.load(modelFile);
  try {
    const metrics = model.evaluate(await scoringData(model, file, io));
    if (options.json) {
      io.out.write(jsonLine(metrics));
    } else {
      const { rows, ...figures } = metrics;
      const cells = Object.entries(figures).map(([name, figure]) => [name, metric(figure)]);
      for (const line of columns([["rows", count(rows)], ...cells], [1])) io.out.write(`${line}\n`);
    }
    return EXIT.done;
  } finally {
    model.dispose();
  }
}
