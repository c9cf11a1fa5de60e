import { IfmError } from "./errors.js";

/* Files in the browser's own file system (OPFS), which only the pages of one origin see. */

/** What TypeScript does not know yet, and some browsers do not have. */
interface FileHandle extends FileSystemFileHandle {
  /** Renames the file, over another one if need be. Safari has no form of it without the folder. */
  move?(folder: FileSystemDirectoryHandle, name: string): Promise<void>;
  /** In workers: a file that is written in place, and by nobody else meanwhile. */
  createSyncAccessHandle?(): Promise<SyncAccess>;
}

interface SyncAccess {
  write(bytes: Uint8Array, options: { at: number }): number;
  // Promises in browsers of 2022.
  flush(): void | Promise<void>;
  close(): void | Promise<void>;
}

/** Temporary files that have been written last before so many milliseconds are nobody's, unless they are locked. */
const ABANDONED = 60_000;
const TEMPORARY = /\.[0-9a-f]{8}-[0-9a-f-]{27}\.tmp$/;

/**
 * Writes a file, whole or not at all.
 *
 * @param path names of folders, which are made if need be, and of the file, with `/` between them
 * @throws IfmError IFM_USAGE when the path is none, or this browser has no such files
 */
export async function writeOpfsFile(path: string, parts: Iterable<Uint8Array>): Promise<void> {
  const { folder, name } = await locate(path, true);
  await writeFileIn(folder, name, parts);
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

/**
 * Removes a file that `save` has written, or a folder with all that is in it, such as one of checkpoints. Does nothing
 * where there is none.
 *
 * @throws IfmError IFM_USAGE when it cannot be removed, because somebody writes it
 */
export async function removeOpfsEntry(path: string): Promise<void> {
  try {
    const { folder, name } = await locate(path, false);
    await folder.removeEntry(name, { recursive: true });
  } catch (cause) {
    if (cause instanceof IfmError) throw cause;
    if (isMissing(cause)) return;
    throw new IfmError("IFM_USAGE", `cannot be removed (${(cause as Error).message})`, { file: path, cause });
  }
}

/**
 * A folder.
 *
 * @param create whether it is made where there is none
 * @returns undefined where there is none
 * @throws IfmError IFM_USAGE when the path is none, or this browser has no such files
 */
export async function opfsFolder(path: string, create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const { folder, name } = await locate(path, create);
    return await folder.getDirectoryHandle(name, { create });
  } catch (error) {
    if (isMissing(error)) return undefined;
    if (!isMismatch(error)) throw error;
    throw new IfmError("IFM_USAGE", "is a file, expected a folder", { file: path, cause: error });
  }
}

const isA = (name: string) => (error: unknown) => error instanceof DOMException && error.name === name;

/** Whether an error says that a file or folder is not there. */
export const isMissing = isA("NotFoundError");
const isMismatch = isA("TypeMismatchError");

/**
 * Writes a file of a folder, whole or not at all: under another name, which is then changed. Where files cannot be renamed,
 * whoever is interrupted may leave an empty one if there was none of this name before.
 */
export async function writeFileIn(
  folder: FileSystemDirectoryHandle,
  name: string,
  parts: Iterable<Uint8Array>,
): Promise<void> {
  await removeAbandoned(folder);
  const unfinished = `${name}.${crypto.randomUUID()}.tmp`;
  const handle: FileHandle = await folder.getFileHandle(unfinished, { create: true });
  try {
    if (handle.move) {
      await (handle.createSyncAccessHandle
        ? writeInPlace(await handle.createSyncAccessHandle(), parts)
        : writeCopy(handle, parts));
      await handle.move(folder, name);
    } else {
      await writeCopy(await folder.getFileHandle(name, { create: true }), parts);
      await folder.removeEntry(unfinished);
    }
  } catch (error) {
    await folder.removeEntry(unfinished).catch(() => undefined);
    throw error;
  }
}

/** Writes a copy, which takes the place of the file when it is closed. */
async function writeCopy(handle: FileSystemFileHandle, parts: Iterable<Uint8Array>): Promise<void> {
  const file = await handle.createWritable();
  try {
    // In parts: of a large model there is no room for a second one.
    for (const part of parts) await file.write(part as Uint8Array<ArrayBuffer>);
    await file.close();
  } catch (error) {
    await file.abort().catch(() => undefined);
    throw error;
  }
}

async function writeInPlace(access: SyncAccess, parts: Iterable<Uint8Array>): Promise<void> {
  try {
    let at = 0;
    for (const part of parts) {
      const written = access.write(part, { at });
      if (written !== part.length) throw new Error(`only ${written} of ${part.length} bytes could be written`);
      at += written;
    }
    await access.flush();
  } finally {
    await access.close();
  }
}

/** Removes temporary files of tabs that were closed. Those that are being written are locked, and stay. */
async function removeAbandoned(folder: FileSystemDirectoryHandle): Promise<void> {
  for (const name of await namesIn(folder)) {
    if (!TEMPORARY.test(name)) continue;
    try {
      const { lastModified } = await (await folder.getFileHandle(name)).getFile();
      if (Date.now() - lastModified > ABANDONED) await folder.removeEntry(name);
    } catch {
      // Somebody writes it, or has removed it.
    }
  }
}

/** Names of what is in a folder. */
export async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

async function locate(path: string, create: boolean): Promise<{ folder: FileSystemDirectoryHandle; name: string }> {
  if (typeof navigator === "undefined" || !navigator.storage?.getDirectory) {
    throw new IfmError("IFM_USAGE", "this browser, or a page without https, has no file system of its own", {
      file: path,
      hint: "toBytes() gives the bytes of a model, and those of a checkpoint",
    });
  }
  const names = typeof path === "string" ? path.split("/") : [""];
  const name = names.pop()!;
  if ([...names, name].some((part) => part === "" || part === "." || part === "..")) {
    throw new IfmError("IFM_USAGE", `expected a path such as "models/ifm.safetensors", got "${path}"`);
  }
  let folder = await navigator.storage.getDirectory();
  for (const part of names) folder = await folder.getDirectoryHandle(part, { create });
  return { folder, name };
}
