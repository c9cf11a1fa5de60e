import { IfmError } from "../errors.js";
import { opfsFolder } from "../opfs.js";
import { opfsCheckpoints } from "../opfs-checkpoints.js";
import type { TrainerOptions } from "../train/trainer.js";
import type { PlainOptions } from "./protocol.js";

/**
 * Where the checkpoints of a training in this worker go, and which it goes on from.
 *
 * @throws IfmError IFM_USAGE when there is none to go on from; IFM_MODEL when none is whole
 */
export async function checkpointOptions(
  checkpoint: PlainOptions["checkpoint"],
  resume: PlainOptions["resume"],
  onWarning: (text: string) => void,
): Promise<Pick<TrainerOptions, "checkpoint" | "resume">> {
  const options: Pick<TrainerOptions, "checkpoint" | "resume"> = {};
  if (checkpoint !== undefined) {
    const { name, ...rest } = checkpoint;
    // Now, rather than with a warning when the first one is due.
    await opfsFolder(name, true);
    const folder = opfsCheckpoints(name);
    options.checkpoint = { ...rest, write: (taken) => folder.write(taken) };
  }
  if (resume !== undefined) {
    options.resume = await opfsCheckpoints(resume).newest(onWarning);
    if (!options.resume && resume !== checkpoint?.name) {
      throw new IfmError("IFM_USAGE", "there is no checkpoint in this folder", {
        file: resume,
        hint: "checkpoint: { name } writes them; with resume of the same name, training begins at the start",
      });
    }
  }
  return options;
}
