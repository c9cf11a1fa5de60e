import { IfmError } from "./errors.js";

/* Files in the browser's own file system (OPFS), which only the pages of one origin see. */

/** What TypeScript does not know yet: browsers rename files, over another one if need be. */
type Movable = FileSystemFileHandle & { move(name: string): Promise<void> };

/**
 * Writes a file, whole or not at all: under another name, which is then changed.
 *
 * @param path names of folders, which are made if need be, and of the file, with `/` between them
 * @throws IfmError IFM_USAGE when the path is none, or this browser has no such files
 */
export async function writeOpfsFile(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  const { folder, name } = await locate(path, true);
  const unfinished = `${name}.${crypto.randomUUID()}.tmp`;
  const handle = (await folder.getFileHandle(unfinished, { create: true })) as Movable;
  try {
    const file = await handle.createWritable();
    // In parts: of a large model there is no room for a second copy.
    for (const part of parts) await file.write(part as Uint8Array<ArrayBuffer>);
    await file.close();
    await handle.move(name);
  } catch (error) {
    await folder.removeEntry(unfinished).catch(() => undefined);
    throw error;
  }
}

/**
 * A file that `save` has written.
 *
 * @throws IfmError IFM_MODEL when there is none of this name
 */
export async function readOpfsFile(path: string): Promise<File> {
  try {
    const { folder, name } = await locate(path, false);
    return await (await folder.getFileHandle(name)).getFile();
  } catch (cause) {
    if (cause instanceof IfmError) throw cause;
    throw new IfmError("IFM_MODEL", "no such file in the browser's file system", { file: path, cause });
  }
}

async function locate(path: string, create: boolean): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  if (typeof navigator === "undefined" || !navigator.storage?.getDirectory) {
    throw new IfmError("IFM_USAGE", "save: this browser, or a page without https, has no files", {
      file: path,
      hint: "toBytes() gives the bytes of the model file",
    });
  }
  const names = path.split("/");
  const name = names.pop()!;
  if ([...names, name].some((part) => part === "" || part === "." || part === "..")) {
    throw new IfmError("IFM_USAGE", `save: expected a path such as "models/ifm.safetensors", got "${path}"`);
  }
  let folder = await navigator.storage.getDirectory();
  for (const part of names) folder = await folder.getDirectoryHandle(part, { create });
  return { folder, name };
}
