import { IfmError } from "../errors.js";
import { type Checkpoint, type CheckpointFile, type CheckpointPlace, checkCheckpoint } from "./checkpoint-format.js";

/** Checkpoints of a training that are kept: if one is damaged, there is the one before. */
const KEPT = 2;

/** `checkpoint-000000012345-3fa09c2e.ifmckpt`; with `-r1` in it after the learning rate has been halved once. */
const NAME = /^checkpoint-(?:r(\d+)-)?(\d{12,})-([0-9a-f]{8})\.ifmckpt$/;

function nameOf({ retries, steps, run }: CheckpointPlace): string {
  const retry = retries > 0 ? `r${retries}-` : "";
  return `checkpoint-${retry}${String(steps).padStart(12, "0")}-${shortOf(run)}.ifmckpt`;
}

const shortOf = (run: string) => run.slice(0, 8);

/** A file that is open for reading. */
export interface OpenFile extends CheckpointFile {
  readonly name: string;
  close(): Promise<void>;
}

/** The files of one folder, of whatever file system. */
export interface FolderFiles {
  /** Of the folder, for messages. */
  readonly path: string;
  /** @throws IfmError IFM_USAGE when that cannot be told */
  names(): Promise<string[]>;
  /** When a file was written, in milliseconds. */
  time(name: string): Promise<number>;
  /** Writes a file. One that is interrupted leaves nothing of this name, or what is not whole. */
  write(name: string, parts: Iterable<Uint8Array>): Promise<void>;
  open(name: string): Promise<OpenFile>;
  /** Removes a file, if it is there. */
  remove(name: string): Promise<void>;
}

/** A file of the folder, by what its name says. */
interface Entry {
  name: string;
  retries: number;
  steps: number;
  run: string;
}

/** A checkpoint that is whole, open for reading: what `resume` takes. */
export interface StoredCheckpoint extends OpenFile {
  readonly place: CheckpointPlace;
}

/**
 * A folder of checkpoints. Each is a file of its own that is written whole or not at all; of each training, the last two are
 * kept. Trainings of other data or options have other names in it and do not get in each other's way; two of the same data
 * and options write the same bytes.
 */
export class CheckpointFolder {
  readonly #files: FolderFiles;
  /** Trainings that have written here. */
  readonly #writers = new Set<string>();

  /** @internal */
  constructor(files: FolderFiles) {
    this.#files = files;
  }

  /**
   * Stores a checkpoint, whole or not at all, and removes what is older than the one before.
   *
   * @throws what the file system does: the checkpoints before are then still there
   */
  async write(checkpoint: Checkpoint): Promise<void> {
    if (!this.#writers.has(checkpoint.run)) await this.#removeDamaged(checkpoint);
    this.#writers.add(checkpoint.run);
    // Before and after: trainings that are killed between writing and removing leave one too many, not one more each time.
    await this.#removeOld(checkpoint);
    await this.#files.write(nameOf(checkpoint), checkpoint.parts());
    await this.#removeOld(checkpoint);
  }

  /** Removes what is not whole of a training: by its name it would be one of the two to be kept. */
  async #removeDamaged({ run }: CheckpointPlace): Promise<void> {
    for (const { name } of await this.#entriesOf(shortOf(run))) {
      let file: OpenFile | undefined;
      try {
        file = await this.#files.open(name);
        await checkCheckpoint(file);
      } catch (error) {
        // What cannot be opened or read may be whole.
        if (error instanceof IfmError) await this.#files.remove(name);
      } finally {
        await file?.close();
      }
    }
  }

  async #removeOld({ run }: CheckpointPlace): Promise<void> {
    for (const { name } of (await this.#entriesOf(shortOf(run))).slice(KEPT)) await this.#files.remove(name);
  }

  /**
   * The newest checkpoint that is whole, of the training that has written here last.
   *
   * @param onWarning told of each that is newer than it and not whole
   * @returns undefined when there is none
   * @throws IfmError IFM_MODEL when there are some, and none is whole; IFM_USAGE when the folder cannot be read
   */
  async newest(onWarning: (text: string) => void = () => undefined): Promise<StoredCheckpoint | undefined> {
    const entries = await this.#entries();
    const times = await Promise.all(entries.map(({ name }) => this.#files.time(name).catch(() => 0)));
    const last = entries[times.indexOf(Math.max(...times))];
    const damaged: IfmError[] = [];
    for (const { name } of last ? await this.#entriesOf(last.run) : []) {
      let file: OpenFile | undefined;
      try {
        file = await this.#files.open(name);
        const place = await checkCheckpoint(file);
        for (const { message } of damaged) onWarning(`${message}; the one before it is taken`);
        return Object.assign(file, { place });
      } catch (error) {
        await file?.close();
        damaged.push(error instanceof IfmError ? error : unreadable(`${this.#files.path}/${name}`, error));
      }
    }
    if (damaged.length > 0) {
      throw new IfmError("IFM_MODEL", `no checkpoint is whole; of the newest: ${damaged[0]!.message}`, {
        file: this.#files.path,
        hint: "begin anew, without resuming",
        cause: damaged[0],
      });
    }
    return undefined;
  }

  /** The checkpoints of a training, the newest first. */
  async #entriesOf(run: string): Promise<Entry[]> {
    const own = (await this.#entries()).filter((entry) => entry.run === run);
    // After the learning rate was halved, steps count again from where training has gone back to.
    return own.sort((a, b) => b.retries - a.retries || b.steps - a.steps);
  }

  async #entries(): Promise<Entry[]> {
    return (await this.#files.names()).flatMap((name) => {
      const [, retries = "0", steps, run] = NAME.exec(name) ?? [];
      return steps === undefined ? [] : [{ name, retries: Number(retries), steps: Number(steps), run: run! }];
    });
  }
}

function unreadable(file: string, cause: unknown): IfmError {
  return new IfmError("IFM_MODEL", `checkpoint: cannot be read (${(cause as Error).message})`, { file, cause });
}
