import { IfmError } from "./errors.js";
import { isMissing, namesIn, opfsFolder, writeFileIn } from "./opfs.js";
import { CheckpointFolder, type FolderFiles, type OpenFile } from "./train/checkpoint-folder.js";

/**
 * Checkpoints in the browser's own file system (OPFS): of each training the last two, each written whole or not at all, so
 * that a tab that is closed at any moment leaves a good one.
 *
 * ```ts
 * const checkpoints = opfsCheckpoints("checkpoints/ctr");
 * const trainer = await createTrainer({
 *   model, train, data,
 *   checkpoint: { every: { seconds: 60 }, write: (checkpoint) => checkpoints.write(checkpoint) },
 *   resume: await checkpoints.newest(),
 * });
 * ```
 *
 * @param path name of a folder, which is made when something is written, or names of several with `/` between them
 */
export function opfsCheckpoints(path: string): CheckpointFolder {
  return new CheckpointFolder(new OpfsFiles(path));
}

class OpfsFiles implements FolderFiles {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  async names(): Promise<string[]> {
    const folder = await opfsFolder(this.path, false);
    return folder ? namesIn(folder) : [];
  }

  async time(name: string): Promise<number> {
    return (await this.#file(name)).lastModified;
  }

  async write(name: string, parts: Iterable<Uint8Array>): Promise<void> {
    await writeFileIn((await opfsFolder(this.path, true))!, name, parts);
  }

  async open(name: string): Promise<OpenFile> {
    const file = await this.#file(name);
    const path = `${this.path}/${name}`;
    return {
      bytes: file.size,
      name: path,
      async read(at, target) {
        const bytes = new Uint8Array(await file.slice(at, at + target.length).arrayBuffer());
        if (bytes.length < target.length)
          throw new IfmError("IFM_MODEL", "checkpoint: the file ends early", { file: path });
        target.set(bytes);
      },
      close: async () => undefined,
    };
  }

  async remove(name: string): Promise<void> {
    try {
      await (await opfsFolder(this.path, false))?.removeEntry(name);
    } catch (error) {
      // Another tab may have removed it.
      if (!isMissing(error)) throw error;
    }
  }

  async #file(name: string): Promise<File> {
    const folder = await opfsFolder(this.path, false);
    if (!folder) throw new Error("its folder is gone");
    return (await folder.getFileHandle(name)).getFile();
  }
}
