import { type FileHandle, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { IfmError } from "../errors.js";
import {
  type Checkpoint,
  type CheckpointFile,
  type CheckpointPlace,
  checkCheckpoint,
} from "../train/checkpoint-format.js";

/** Checkpoints of a training that are kept: if one is damaged, there is the one before. */
const KEPT = 2;

/** `checkpoint-000000012345-3fa09c2e.ifmckpt`; with `-r1` in it after the learning rate has been halved once. */
const NAME = /^checkpoint-(?:r(\d+)-)?(\d{12,})-([0-9a-f]{8})\.ifmckpt$/;

function nameOf({ retries, steps, run }: CheckpointPlace): string {
  const retry = retries > 0 ? `r${retries}-` : "";
  return `checkpoint-${retry}${String(steps).padStart(12, "0")}-${run.slice(0, 8)}.ifmckpt`;
}

/** A file of the folder, by what its name says. */
interface Entry {
  name: string;
  retries: number;
  steps: number;
  run: string;
}

/** A checkpoint that is whole, open for reading. */
export interface Found {
  path: string;
  file: CheckpointFile;
  place: CheckpointPlace;
  close(): Promise<void>;
}

/**
 * A folder of checkpoints. Each is a file of its own that is written whole or not at all; of each training, the last two are
 * kept. Trainings of other data or options have other names in it and do not get in each other's way; two of the same data
 * and options write the same bytes.
 */
export class CheckpointFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes the folder if it is not there.
   *
   * @throws IfmError IFM_USAGE
   */
  async make(): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
    } catch (cause) {
      throw new IfmError("IFM_USAGE", `--checkpoint: cannot be made a folder (${(cause as Error).message})`, {
        file: this.path,
        hint: "name a folder that may be written to",
        cause,
      });
    }
  }

  /** @throws IfmError IFM_USAGE, as `writeFileAtomic`: the checkpoints before are then still there */
  async write(checkpoint: Checkpoint): Promise<void> {
    // Before and after: trainings that are killed between writing and removing leave one too many, not one more each time.
    await this.#removeOld(checkpoint);
    await writeFileAtomic(join(this.path, nameOf(checkpoint)), checkpoint.parts());
    await this.#removeOld(checkpoint);
  }

  async #removeOld({ run }: CheckpointPlace): Promise<void> {
    const own = (await this.#entries()).filter((entry) => entry.run === run.slice(0, 8));
    for (const { name } of newestFirst(own).slice(KEPT)) await rm(join(this.path, name), { force: true });
  }

  /**
   * The newest checkpoint that is whole, of the training that has written here last.
   *
   * @param onDamaged told of each that is newer than it and not whole
   * @returns undefined when there is none
   * @throws IfmError IFM_MODEL when there are some, and none is whole; IFM_USAGE when the folder cannot be read
   */
  async newest(onDamaged: (error: IfmError) => void): Promise<Found | undefined> {
    const entries = await this.#entries();
    const times = await Promise.all(
      entries.map(({ name }) =>
        stat(join(this.path, name)).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        ),
      ),
    );
    const last = entries[times.indexOf(Math.max(...times))];
    const damaged: IfmError[] = [];
    for (const { name } of newestFirst(entries.filter(({ run }) => run === last?.run))) {
      const path = join(this.path, name);
      let handle: FileHandle | undefined;
      try {
        const { size } = await regularFile(path);
        handle = await open(path);
        const file = fileOf(handle, size, path);
        const place = await checkCheckpoint(file);
        const opened = handle;
        damaged.forEach(onDamaged);
        return { path, file, place, close: () => opened.close() };
      } catch (error) {
        await handle?.close();
        damaged.push(error instanceof IfmError ? error : unreadable(path, error));
      }
    }
    if (damaged.length > 0) {
      throw new IfmError("IFM_MODEL", `no checkpoint is whole; of the newest: ${damaged[0].message}`, {
        file: this.path,
        hint: "begin anew, without --resume",
        cause: damaged[0],
      });
    }
    return undefined;
  }

  async #entries(): Promise<Entry[]> {
    let names: string[];
    try {
      names = await readdir(this.path);
    } catch (cause) {
      const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
      const why = missing ? "no such folder" : `cannot be read (${(cause as Error).message})`;
      throw new IfmError("IFM_USAGE", why, {
        file: this.path,
        hint: "name the folder that --checkpoint has written to",
        cause,
      });
    }
    return names.flatMap((name) => {
      const [, retries = "0", steps, run] = NAME.exec(name) ?? [];
      return steps === undefined ? [] : [{ name, retries: Number(retries), steps: Number(steps), run: run! }];
    });
  }
}

/** After the learning rate was halved, steps count again from where training has gone back to. */
function newestFirst(entries: Entry[]): Entry[] {
  return entries.toSorted((a, b) => b.retries - a.retries || b.steps - a.steps);
}

async function regularFile(path: string) {
  const found = await stat(path);
  // Opening a pipe would wait for a writer.
  if (!found.isFile()) throw new Error("no regular file");
  return found;
}

function unreadable(file: string, cause: unknown): IfmError {
  return new IfmError("IFM_MODEL", `checkpoint: cannot be read (${(cause as Error).message})`, { file, cause });
}

function fileOf(handle: FileHandle, bytes: number, name: string): CheckpointFile {
  return {
    bytes,
    name,
    async read(at, target) {
      for (let done = 0; done < target.length; ) {
        const { bytesRead } = await handle.read(target, done, target.length - done, at + done);
        if (bytesRead === 0) throw new IfmError("IFM_MODEL", "checkpoint: the file ends early", { file: name });
        done += bytesRead;
      }
    },
  };
}
