import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** What may have been meant by a path where nothing is. */
export function missingFileHint(path: string): string {
  const folder = dirname(path);
  const name = basename(path);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return `there is no folder "${folder}"`;
  }
  let closest: string | undefined;
  // Further away than half its length, a name has nothing to do with the other.
  let fewest = Math.max(3, name.length / 2);
  for (const candidate of names) {
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits < fewest) {
      fewest = edits;
      closest = candidate;
    }
  }
  return closest === undefined ? `look into the folder "${folder}"` : `did you mean "${join(folder, closest)}"?`;
}

/** Insertions, deletions and replacements that turn `a` into `b` (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
