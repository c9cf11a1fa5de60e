import { type FileHandle, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { IfmError } from "../errors.js";
import { CheckpointFolder, type FolderFiles, type OpenFile } from "../train/checkpoint-folder.js";

/** The checkpoints of a folder. */
export function checkpointsIn(path: string): CheckpointFolder {
  return new CheckpointFolder(new Files(path));
}

/**
 * Makes a folder for checkpoints if it is not there.
 *
 * @throws IfmError IFM_USAGE
 */
export async function makeCheckpointFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw new IfmError("IFM_USAGE", `--checkpoint: cannot be made a folder (${(cause as Error).message})`, {
      file: path,
      hint: "name a folder that may be written to",
      cause,
    });
  }
}

class Files implements FolderFiles {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async names(): Promise<string[]> {
    try {
      return await readdir(this.path);
    } catch (cause) {
      const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
      const why = missing ? "no such folder" : `cannot be read (${(cause as Error).message})`;
      throw new IfmError("IFM_USAGE", why, {
        file: this.path,
        hint: "name the folder that --checkpoint has written to",
        cause,
      });
    }
  }

  async time(name: string): Promise<number> {
    return (await stat(join(this.path, name))).mtimeMs;
  }

  write(name: string, parts: Iterable<Uint8Array>): Promise<void> {
    return writeFileAtomic(join(this.path, name), parts);
  }

  async open(name: string): Promise<OpenFile> {
    const path = join(this.path, name);
    const found = await stat(path);
    // Opening a pipe would wait for a writer.
    if (!found.isFile()) throw new Error("no regular file");
    return fileOf(await open(path), found.size, path);
  }

  remove(name: string): Promise<void> {
    return rm(join(this.path, name), { force: true });
  }
}

function fileOf(handle: FileHandle, bytes: number, name: string): OpenFile {
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
    close: () => handle.close(),
  };
}
