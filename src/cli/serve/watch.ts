import { stat } from "node:fs/promises";

/** Milliseconds between two looks at a file. Events of the file system do not come on all of them. */
export const LOOK_MILLISECONDS = 500;

/** What changes with a file's content; undefined when there is none. */
async function stateOf(file: string): Promise<string | undefined> {
  return stat(file).then(
    ({ ino, size, mtimeMs }) => `${ino}:${size}:${mtimeMs}`,
    () => undefined,
  );
}

/**
 * Calls `onChange` when a file has changed, and has then stayed the same from one look to the next: it may be in the middle
 * of being written. No look begins before `onChange` is done.
 *
 * @returns what ends the watch
 */
export async function watchFile(file: string, onChange: () => Promise<void>): Promise<() => void> {
  let known = await stateOf(file);
  let before = known;
  let ended = false;
  let timer: ReturnType<typeof setTimeout>;
  const look = async () => {
    const now = await stateOf(file);
    if (ended) return;
    if (now !== undefined && now !== known && now === before) {
      known = now;
      await onChange();
    }
    before = now;
    if (!ended) timer = setTimeout(look, LOOK_MILLISECONDS);
  };
  timer = setTimeout(look, LOOK_MILLISECONDS);
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
