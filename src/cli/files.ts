import { access } from "node:fs/promises";
import { basename, join, relative, resolve } from "node:path";
import { IfmError } from "../errors.js";
import type { SampleFiles } from "./io.js";
import { DEFAULT_PATH, type TrainValues } from "./options.js";

/** The data files of a training. */
export interface TrainingFiles {
  train: string;
  validation?: string;
  test?: string;
  /** Name of the data set, as in the names of the authors' files. */
  name: string;
  /** Whether these are the bundled files. */
  isSample: boolean;
}

/**
 * Finds the data files that a `train` command means: the file named, the files of `--dataset`, or the bundled sample.
 *
 * @throws IfmError `IFM_USAGE`: options that contradict each other. `IFM_DATA`: no training file of that data set.
 */
export async function trainingFiles(
  file: string | undefined,
  options: TrainValues,
  sample: SampleFiles,
): Promise<TrainingFiles> {
  const { dataset, validation, test } = options;
  const others = { ...(validation === undefined ? {} : { validation }), ...(test === undefined ? {} : { test }) };
  if (dataset === undefined && options.path !== undefined) {
    throw new IfmError("IFM_USAGE", "--path: names the folder of a --dataset, and there is none", {
      hint: "add --dataset NAME, or name the file: ifm-wasm train FILE",
    });
  }
  if (file !== undefined) {
    if (dataset !== undefined) {
      throw new IfmError("IFM_USAGE", `expected FILE or --dataset, got both "${file}" and "${dataset}"`);
    }
    refuseSecondStdin([file, validation, test]);
    return { train: file, ...others, name: datasetName(file), isSample: false };
  }
  if (validation !== undefined || test !== undefined) {
    const flag = validation !== undefined ? "--validation" : "--test";
    throw new IfmError("IFM_USAGE", `${flag}: there is no training file`, {
      hint: `name it: ifm-wasm train FILE ${flag} …`,
    });
  }
  if (dataset !== undefined) return datasetFiles(dataset, options.path ?? DEFAULT_PATH);
  return { ...sample, name: datasetName(sample.train), isSample: true };
}

async function datasetFiles(dataset: string, folder: string): Promise<TrainingFiles> {
  const find = (part: string) => firstThatExists(join(folder, dataset, `${dataset}.${part}.libfm`));
  const [train, validation, test] = await Promise.all([find("train"), find("validation"), find("test")]);
  if (train === undefined) {
    throw new IfmError("IFM_DATA", "no such file, and no .gz of it", {
      file: join(folder, dataset, `${dataset}.train.libfm`),
      hint: `--path names the folder that ${dataset}/ is in; to name a file: ifm-wasm train FILE`,
    });
  }
  return {
    train,
    ...(validation === undefined ? {} : { validation }),
    ...(test === undefined ? {} : { test }),
    name: dataset,
    isSample: false,
  };
}

async function firstThatExists(file: string): Promise<string | undefined> {
  for (const candidate of [file, `${file}.gz`]) {
    const exists = await access(candidate).then(
      () => true,
      () => false,
    );
    if (exists) return candidate;
  }
  return undefined;
}

/** @throws IfmError `IFM_USAGE` when `-` is there more than once. */
export function refuseSecondStdin(files: readonly (string | undefined)[]): void {
  if (files.filter((file) => file === "-").length > 1) {
    throw new IfmError("IFM_USAGE", "-: standard input can be read once only");
  }
}

/** @throws IfmError `IFM_USAGE` when the output would replace a file that is read. */
export function refuseOverwrite(output: string, inputs: readonly (string | undefined)[]): void {
  for (const input of inputs) {
    if (input !== undefined && input !== "-" && resolve(input) === resolve(output)) {
      throw new IfmError("IFM_USAGE", `--output: "${output}" is one of the files that are read`, {
        hint: "choose another output file",
      });
    }
  }
}

/** `data/ml-tag.train.libfm.gz` is of the data set `ml-tag`. */
function datasetName(file: string): string {
  if (file === "-") return "stdin";
  const stem = basename(file)
    .replace(/\.gz$/, "")
    .replace(/\.(?:libfm|libsvm|svm|txt)$/, "");
  return stem.replace(/\.train$/, "") || "data";
}

/** Where the authors' `--pretrain` keeps a model: `pretrain/fm_ml-tag_256.safetensors`. */
export function pretrainFile(model: string, dataset: string, factors: number): string {
  return join("pretrain", `${model}_${dataset}_${factors}.safetensors`);
}

/** A path as short as it can be said from here. */
export function shortPath(file: string): string {
  const short = relative(process.cwd(), file);
  return short.startsWith("..") || short === "" ? file : short;
}
