import { checkWritable } from "../atomic-file.js";
import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import { encodeModel } from "../model/format.js";
import { Model } from "../model/model.js";
import { quantizeTensors, type SmallDtype } from "../model/quantize.js";
import type { Metrics } from "../train/types.js";
import { outputColors } from "./colors.js";
import { scoringData } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseOverwrite, refuseSecondStdin } from "./files.js";
import { bytes, columns, count, percent } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { QuantizeValues } from "./options.js";

/** What became of a model, as `--json` prints it. */
interface QuantizeReport {
  output: string;
  to: SmallDtype;
  bytes: { before: number; after: number };
  metrics?: { before: Metrics; after: Metrics };
  /** Largest difference of two scores of a row. */
  largestChange?: number;
}

/** `ifm-wasm quantize MODEL --to KIND --output FILE`. Returns the exit code. */
export async function quantize(modelFile: string, options: QuantizeValues, io: Io): Promise<number> {
  const { to, output, validation, cache } = options;
  if (to === undefined) throw new IfmError("IFM_USAGE", "--to: expected f16 or int8, got nothing");
  if (output === undefined) throw new IfmError("IFM_USAGE", "--output: expected the name of the new file, got nothing");
  refuseSecondStdin([modelFile, validation]);
  refuseOverwrite(output, [modelFile, validation]);
  await checkWritable(output);
  const model = await Model.load(modelFile);
  let small: Model | undefined;
  try {
    small = await smaller(model, modelFile, to);
    const report: QuantizeReport = { output, to, bytes: { before: sizeOf(model), after: sizeOf(small) } };
    if (validation !== undefined) {
      const data = await scoringData(
        model,
        validation,
        { samplePairs: 1, ...(cache === undefined ? {} : { cache }) },
        io,
      );
      Object.assign(report, compare(model, small, data));
    }
    await small.save(output);
    io.out.write(options.json ? jsonLine(report) : describe(report, outputColors(io).bold));
    return EXIT.done;
  } finally {
    model.dispose();
    small?.dispose();
  }
}

/** @throws IfmError `IFM_MODEL` when the model is small already, or has numbers that do not fit. */
async function smaller(model: Model, modelFile: string, to: SmallDtype): Promise<Model> {
  if (model.tensors.some(({ dtype }) => dtype !== "F32")) {
    throw new IfmError("IFM_MODEL", "expected a model of 32-bit floats, found one that is quantized", {
      file: modelFile,
      hint: "quantize the model that it was made from",
    });
  }
  const tensors = model.tensors.map(({ name, shape }) => ({ name, shape, data: model.tensor(name) }));
  return Model.load(encodeModel(model.config, model.record, quantizeTensors(tensors, to)));
}

function compare(model: Model, small: Model, data: Dataset): Pick<QuantizeReport, "metrics" | "largestChange"> {
  const [before, after] = [new Float32Array(data.rows), new Float32Array(data.rows)];
  return {
    metrics: { before: model.evaluate(data, { scores: before }), after: small.evaluate(data, { scores: after }) },
    largestChange: before.reduce((most, score, r) => Math.max(most, Math.abs(score - after[r])), 0),
  };
}

const sizeOf = ({ tensors }: Model) => tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);

function describe({ output, to, bytes: size, metrics, largestChange }: QuantizeReport, bold: (text: string) => string) {
  const table = [["", "f32", to, "change"]];
  table.push(["size", bytes(size.before), bytes(size.after), percent(size.after / size.before)]);
  if (metrics) {
    const { rows, ...before } = metrics.before;
    const after: Partial<Record<string, number>> = { ...metrics.after };
    for (const [name, figure] of Object.entries(before)) {
      const [x, y] = [figure, after[name] ?? Number.NaN];
      table.push([name, x.toFixed(6), y.toFixed(6), signed(y - x)]);
    }
    table.push(["largest change of a score", "", "", (largestChange ?? 0).toPrecision(3)]);
    table.push(["rows", count(rows), count(rows), ""]);
  }
  const lines = columns(table, [1, 2, 3]).map((line) => `  ${line}\n`);
  return `${bold(output)}\n${lines.join("")}`;
}

/** `+1.20e-5` */
const signed = (change: number) => `${change < 0 ? "-" : "+"}${Math.abs(change).toExponential(2)}`;
