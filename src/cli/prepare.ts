import { access } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { removeAbandoned } from "../abandoned.js";
import { checkWritable } from "../atomic-file.js";
import { defaultModel, type ModelKind } from "../config.js";
import { IfmError } from "../errors.js";
import type { StoredCheckpoint } from "../train/checkpoint-folder.js";
import { checkpointsIn, makeCheckpointFolder } from "./checkpoint-files.js";
import { pretrainFile, refuseOverwrite, type TrainingFiles } from "./files.js";
import type { TrainValues } from "./options.js";
import { trainOverrides } from "./overrides.js";

/** What a training starts from. */
interface Prepared {
  /** The model file whose weights it begins with. */
  initFile: string | undefined;
  /** The checkpoint to go on from; whoever gets it closes it. */
  found: StoredCheckpoint | undefined;
}

/** Who is told what refuses nothing. */
interface Listener {
  say(text: string): void;
  warn(text: string): void;
}

/**
 * Refuses what can be refused before anything large is read, and makes ready what the training will write to.
 *
 * @param output the model file
 * @throws IfmError IFM_USAGE, or IFM_MODEL when an initial model or a checkpoint is not there
 */
export async function prepareTraining(
  files: TrainingFiles,
  options: TrainValues,
  kind: ModelKind,
  output: string,
  listener: Listener,
): Promise<Prepared> {
  trainOverrides(kind, options);
  if (output === "-") {
    throw new IfmError("IFM_USAGE", "--output: a model cannot go to stdout", { hint: "name a file" });
  }
  refuseOverwrite(output, [files.train, files.validation, files.test]);
  checkCombinations(options);
  const { checkpoint, init, pretrain, plan } = options;
  if (!plan) {
    // First of all, so that killed trainings never leave more than one behind.
    for (const place of new Set([dirname(output), checkpoint])) if (place) await removeAbandoned(place);
    await checkWritable(output);
    if (checkpoint !== undefined) await makeCheckpointFolder(checkpoint);
  }
  const initFile = pretrain === "1" || pretrain === "2" ? await pretrainedFm(files, options, kind) : init;
  return { initFile, found: plan ? undefined : await findCheckpoint(options, listener) };
}

/** Options that mean nothing without others, or against them. */
function checkCombinations({
  checkpoint,
  checkpointEvery,
  divergenceRetries,
  onDivergence,
  init,
  pretrain,
}: TrainValues): void {
  if (divergenceRetries !== undefined && onDivergence !== "retry") {
    throw new IfmError("IFM_USAGE", "--divergence-retries: expected --on-divergence retry with it");
  }
  if (checkpointEvery !== undefined && checkpoint === undefined) {
    throw new IfmError("IFM_USAGE", "--checkpoint-every: expected --checkpoint DIR with it", {
      hint: "--checkpoint says where checkpoints are written",
    });
  }
  if (init !== undefined && (pretrain === "1" || pretrain === "2")) {
    throw new IfmError("IFM_USAGE", `expected --init or --pretrain ${pretrain}, got both`);
  }
}

async function findCheckpoint(
  { checkpoint, resume }: TrainValues,
  { say, warn }: Listener,
): Promise<StoredCheckpoint | undefined> {
  if (resume === undefined) return undefined;
  const found = await checkpointsIn(resume).newest(warn);
  if (found !== undefined) return found;
  if (checkpoint === undefined || resolve(checkpoint) !== resolve(resume)) {
    throw new IfmError("IFM_USAGE", "there is no checkpoint in this folder", {
      file: resume,
      hint: "--checkpoint DIR writes them; with --checkpoint and --resume of one folder, training begins at the start",
    });
  }
  // So that one command both begins and goes on.
  say("no checkpoint is there yet: training begins at the start\n");
  return undefined;
}

/** The FM that an earlier `--pretrain -1` has left. */
async function pretrainedFm({ name }: TrainingFiles, options: TrainValues, kind: ModelKind): Promise<string> {
  const factors = options.factors ?? defaultModel(kind).factors ?? 0;
  const file = pretrainFile("fm", name, factors);
  try {
    await access(file);
  } catch (cause) {
    const dataset = options.dataset === undefined ? "" : ` --dataset ${options.dataset}`;
    throw new IfmError("IFM_MODEL", `there is no pretrained FM of ${factors} factors`, {
      file,
      hint: `make one: ifm-wasm train --model fm${dataset} --factors ${factors} --pretrain -1`,
      cause,
    });
  }
  return file;
}
