import type { Stats } from "node:fs";
import { constants, lstat, open, readlink, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, isAbsolute, join, sep } from "node:path";
import { IfmError } from "./errors.js";

/** Where a path leads: the file that gets written, and what is there now. */
interface Target {
  file: string;
  old: Stats | undefined;
}

/** Links that the kernel follows in one path (Linux). */
const MAX_LINKS = 40;

/**
 * Writes a file so that at every moment, also after a crash or a power failure, it has either all of its old content
 * or all of the new: a temporary file beside it is written, brought to disk and renamed.
 *
 * An existing file keeps its mode (not its owner); a symbolic link stays, and the file it points to is replaced. What
 * is no regular file (`/dev/null`, a pipe) is written as it is, because a rename would put a file in its place. Several
 * writers at once leave the file of one of them.
 *
 * @param data Bytes, also in parts, or text that is written as UTF-8.
 * @param options.mode Permissions instead of the old file's.
 * @param options.sync False: after a power failure there may be a file of a part of the content, or of zeros.
 * @throws IfmError `IFM_USAGE`: the path cannot be written, or the disk failed. The old file is then intact, and the
 * temporary file is gone.
 */
export async function writeFileAtomic(
  path: string,
  data: Uint8Array | Iterable<Uint8Array> | string,
  options: { mode?: number; sync?: boolean } = {},
): Promise<void> {
  const { sync = true } = options;
  const { file, old } = await findTarget(path);
  if (old !== undefined && !old.isFile()) return explain(path, file, "", () => writeFile(file, data));
  const state = old === undefined ? "" : "; the file that was there is intact";
  await explain(path, file, state, async () => {
    const temporary = temporaryBeside(file);
    // Never more readable than the old file, not even while it is written.
    const mode = options.mode ?? (old && old.mode & 0o777);
    const handle = await open(temporary, "wx", mode ?? 0o666);
    try {
      try {
        // Its types do not know that it takes parts.
        await handle.writeFile(data as Uint8Array);
        // The umask may have taken bits away that the old file had.
        if (mode !== undefined && ((await handle.stat()).mode & 0o777) !== mode) await handle.chmod(mode);
        if (sync) await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, file);
    } catch (error) {
      // Its failure would hide the one that matters.
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  });
  if (!sync) return;
  await explain(path, file, ": the new file is in place, but a power failure may undo that", () => {
    return syncFolder(dirname(file));
  });
}

/**
 * Finds out now whether `writeFileAtomic` to this path would fail for want of a folder or of permission, or because the
 * path is a folder. Creates and removes an empty file beside the target; the target is not touched.
 *
 * @throws IfmError `IFM_USAGE`, as `writeFileAtomic`.
 */
export async function checkWritable(path: string): Promise<void> {
  const { file, old } = await findTarget(path);
  if (old !== undefined && !old.isFile()) return;
  await explain(path, file, "", async () => {
    // Permission bits do not tell of read-only mounts, quotas and access lists; only a file does.
    const probe = temporaryBeside(file);
    await (await open(probe, "wx")).close();
    await rm(probe);
  });
}

/** Follows the links of a path and refuses what cannot be a file, or what a plain write would not be allowed to. */
async function findTarget(path: string): Promise<Target> {
  if (path === "" || path.endsWith("/") || path.endsWith(sep)) {
    throw new IfmError("IFM_USAGE", `expected a file name, got "${path}"`, { hint: "name the file to write" });
  }
  return explain(path, path, "", async () => {
    const old = await unlessMissing(stat(path));
    if (old?.isDirectory()) {
      throw new IfmError("IFM_USAGE", "expected a file, found a folder", {
        file: path,
        hint: "name a file in that folder",
      });
    }
    // A rename asks for permission on the folder only; a file that its owner made read-only should stay. Opening it
    // is the test: without O_TRUNC it changes nothing.
    if (old?.isFile()) await (await open(path, constants.O_WRONLY)).close();
    return { file: await endOfLinks(path), old };
  });
}

/** The path that the last of a chain of links names; `realpath` would fail where no file is there yet. */
async function endOfLinks(path: string): Promise<string> {
  let end = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    if (!(await unlessMissing(lstat(end)))?.isSymbolicLink()) break;
    const link = await readlink(end);
    // Not `join`: it would cancel `folder/..`, which is another place if `folder` is a link.
    end = isAbsolute(link) ? link : `${await realpath(dirname(end))}${sep}${link}`;
  }
  return end;
}

/**
 * The name says who writes it (src/abandoned.ts reads that), and does not grow with the target's, which may be as long as
 * names can be.
 */
function temporaryBeside(file: string): string {
  return join(dirname(file), `.ifm-wasm-${hostTag()}-${process.pid}-${crypto.randomUUID()}.tmp`);
}

/** Tells machines, and containers that share a folder, apart: numbers of processes mean nothing elsewhere. */
export function hostTag(): string {
  return hostname().replace(/\W/g, "_").slice(0, 64);
}

/** Makes the rename last. Folders that cannot be opened or synced (Windows, some mounts) leave that to the system. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (!["EINVAL", "EISDIR", "EPERM", "EACCES", "ENOTSUP"].includes(codeOf(error))) throw error;
  }
}

async function unlessMissing(stats: Promise<Stats>): Promise<Stats | undefined> {
  try {
    return await stats;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Runs `action` and says what its failure means.
 *
 * @param path As the user gave it.
 * @param file What `path` leads to.
 * @param state What is on the disk after a failure; ends the message.
 */
async function explain<T>(path: string, file: string, state: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    if (cause instanceof IfmError) throw cause;
    const [problem, hint] = meaning(cause, dirname(file));
    throw new IfmError("IFM_USAGE", `cannot be written: ${problem}${state}`, { file: path, hint, cause });
  }
}

/** What went wrong and what to do about it. */
function meaning(error: unknown, folder: string): [problem: string, hint: string] {
  const elsewhere = "choose another output file";
  switch (codeOf(error)) {
    case "ENOENT":
      return [`there is no folder "${folder}"`, "create the folder first, or choose another output file"];
    case "ENOTDIR":
      return [`"${folder}" is not a folder`, elsewhere];
    case "EACCES":
    case "EPERM":
      return ["permission denied", "change the permissions of the file and its folder, or choose another output file"];
    case "EROFS":
      return ["the file system is read-only", elsewhere];
    case "EBUSY":
      return ["the file is in use, or a mount of its own", "mount its folder, or choose another output file"];
    case "ENOSPC":
      return ["the disk is full", "free some space, or choose another output file"];
    case "EDQUOT":
      return ["the disk quota is used up", "free some space, or choose another output file"];
    case "EIO":
      return ["the disk reports an error", "check the disk, or choose another output file"];
    default:
      return [error instanceof Error ? error.message : String(error), elsewhere];
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
