import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

function git(...args) {
  const { stdout, status } = spawnSync("git", args, { cwd: ROOT, encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** What a figure depends on besides the program. */
export function machine() {
  const head = git("rev-parse", "--short", "HEAD");
  // What a run writes is no change of what it measures.
  const changed = git("status", "--porcelain", "--", "assembly", "src", "bench", "package.json", "asconfig.json");
  return {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memory: `${(totalmem() / 2 ** 30).toFixed(0)} GiB`,
    system: `${type()} ${release().split(".").slice(0, 2).join(".")}`,
    node: process.versions.node,
    v8: process.versions.v8,
    packageVersion: JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")).version,
    commit: head === undefined ? "unknown" : changed ? `${head} with changes` : head,
  };
}

/** Mean number of processes that wanted a core in the last minute. */
export const load = () => loadavg()[0].toFixed(1);
