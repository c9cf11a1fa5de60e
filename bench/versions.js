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
const CHILD = fileURLToPath(new URL("versions-child.js", import.meta.url));

/**
 * @param {Awaited<ReturnType<typeof import("./kernels.js").benchKernels>>} own of this version, measured before
 * @param {{ time: number, log?: (line: string) => void }} settings
 * @returns for each version found the nanoseconds of each kernel
 */
export function benchVersions(own, { time, log = () => {} }) {
  const found = BINARIES.filter((binary) => existsSync(binary));
  if (found.length === 0) log("other versions of Node: none found (npm ci --prefix test/runtimes)");
  const others = found.map((binary) => {
    const { status, stdout, stderr } = spawnSync(binary, [CHILD, String(time)], { encoding: "utf8", timeout: 120_000 });
    if (status !== 0) throw new Error(`${binary}: ${stderr}`);
    const { version, kernels } = JSON.parse(stdout);
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
