import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/*
 * The kernels by other versions of Node, where they are found: those that test/runtimes installs. A loop that is fine in
 * one version of V8 can fall to a quarter in the next.
 */

const BINARIES = ["node22", "node24", "node26"].map((name) =>
  fileURLToPath(new URL(`../test/runtimes/node_modules/${name}/bin/node`, import.meta.url)),
);

/** Other versions of Node that are there, the oldest first. */
export const otherNodes = () => BINARIES.filter((binary) => existsSync(binary));

/** What a script of this folder prints as JSON when another version of Node runs it. */
export function resultBy(binary, script, args) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { status, stdout, stderr } = spawnSync(binary, [path, ...args], { encoding: "utf8", timeout: 120_000 });
  if (status !== 0) throw new Error(`${binary}: ${stderr}`);
  return JSON.parse(stdout);
}

/**
 * @param {Awaited<ReturnType<typeof import("./kernels.js").benchKernels>>} own of this version, measured before
 * @param {{ time: number, log?: (line: string) => void }} settings
 * @returns for each version found the nanoseconds of each kernel
 */
export function benchVersions(own, { time, log = () => {} }) {
  const found = otherNodes();
  if (found.length === 0) log("other versions of Node: none found (npm ci --prefix test/runtimes)");
  const others = found.map((binary) => {
    const { version, kernels } = resultBy(binary, "versions-child.js", [String(time)]);
    log(`kernels by ${version}`);
    return { version, nanoseconds: new Map(kernels.map(({ kernel, nanoseconds }) => [kernel, nanoseconds])) };
  });
  return {
    versions: [process.version, ...others.map(({ version }) => version)],
    rows: own.map(({ kernel, nanoseconds }) => ({
      kernel,
      nanoseconds: [nanoseconds, ...others.map((other) => other.nanoseconds.get(kernel) ?? Number.NaN)],
    })),
  };
}
