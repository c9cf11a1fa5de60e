import { checkWritable, writeFileAtomic } from "../atomic-file.js";
import { IfmError } from "../errors.js";
import { Model } from "../model/model.js";
import { computeOptions } from "./compute.js";
import { scoringData } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseOverwrite, refuseSecondStdin } from "./files.js";
import { prediction } from "./format.js";
import type { Io } from "./io.js";
import type { PredictValues } from "./options.js";
import { namingFlag } from "./overrides.js";

/** Predictions that become one piece of text. */
const ROWS_AT_ONCE = 8192;

/** `ifm-wasm predict MODEL FILE`. Returns the exit code. */
export async function predict(modelFile: string, file: string, options: PredictValues, io: Io): Promise<number> {
  const output = options.output === "-" ? undefined : options.output;
  refuseSecondStdin([modelFile, file]);
  if (output !== undefined) {
    refuseOverwrite(output, [modelFile, file]);
    await checkWritable(output);
  }
  const model = await Model.load(modelFile, await computeOptions(options, file, io));
  try {
    if (options.clip) needLabelRange(model, modelFile);
    const data = await scoringData(model, file, options, io);
    const { link = "identity", clip = false, samplePairs = 1 } = options;
    const scores = model.predict(data, { link, clip, samplePairs });
    if (output === undefined) {
      for (const text of lines(scores)) {
        if (io.out.closed) break;
        await io.out.flow(text);
      }
    } else {
      await writeFileAtomic(output, Buffer.concat([...lines(scores)].map((text) => Buffer.from(text))));
    }
    return EXIT.done;
  } catch (error) {
    throw namingFlag(error);
  } finally {
    model.dispose();
  }
}

/** @throws IfmError `IFM_MODEL` when the model file does not tell the range of the training labels. */
function needLabelRange({ record }: Model, file: string): void {
  if (record.labelMin !== undefined && record.labelMax !== undefined) return;
  throw new IfmError("IFM_MODEL", "the model does not tell the range of its training labels", {
    file,
    hint: "leave --clip out",
  });
}

/** One prediction a line, in pieces of many lines. */
export function* lines(scores: Float32Array): Generator<string> {
  for (let start = 0; start < scores.length; start += ROWS_AT_ONCE) {
    let text = "";
    for (const score of scores.subarray(start, start + ROWS_AT_ONCE)) text += `${prediction(score)}\n`;
    yield text;
  }
}
