import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { hostTag } from "./atomic-file.js";

/** Temporary files older than this are nobody's any more, wherever their writer was, in milliseconds. */
const ABANDONED = 24 * 3600 * 1000;
/** Between the start of a process and the first that it knows of the time, in milliseconds. */
const START = 1000;
const TEMPORARY = /^\.ifm-wasm-(\w+)-(\d+)-[0-9a-f-]{36}\.tmp$/;

/**
 * Removes the temporary files that `writeFileAtomic` has left in a folder when it was killed, or when the power failed.
 * Files of writers that may still be there are left alone, and whatever goes wrong is.
 */
export async function removeAbandoned(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names) {
    const [, host, pid] = TEMPORARY.exec(name) ?? [];
    if (pid === undefined) continue;
    const path = join(folder, name);
    const age = await stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > ABANDONED || (host === hostTag() && isGone(Number(pid), age))) {
      await rm(path, { force: true }).catch(() => undefined);
    }
  }
}

/** @param age of its file in milliseconds */
function isGone(pid: number, age: number): boolean {
  // In a container, this process may have the number of one before it.
  if (pid === process.pid) return age > 1000 * process.uptime() + START;
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
