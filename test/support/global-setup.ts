import { execFileSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const OUTPUTS = ["wasm/ifm.wasm", "wasm/ifm-predict.wasm", "build/debug.wasm", "build/kernels.wasm"];

/** Time of the newest of the files that the kernels are built from. */
function newestSource(): number {
  const sources = readdirSync(`${ROOT}assembly`, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".ts"),
  );
  return Math.max(...["asconfig.json", ...sources.map((name) => `assembly/${name}`)].map(timeOf));
}

/** Time of last change; 0 when there is no such file. */
function timeOf(name: string): number {
  return statSync(ROOT + name, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** Tests of old kernels prove nothing: builds them again when a source is newer. Fresh ones cost a look at the clock. */
export default function setup(): void {
  const newest = newestSource();
  const stale = OUTPUTS.filter((name) => timeOf(name) < newest);
  if (stale.length === 0) return;
  console.log(`${stale.join(", ")}: missing or older than assembly/, building`);
  // A failure throws with the compiler's message above it, and no test runs.
  execFileSync("npm", ["run", "build:wasm"], { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });
  const still = OUTPUTS.filter((name) => timeOf(name) === 0);
  if (still.length > 0) throw new Error(`npm run build:wasm left no ${still.join(", ")}`);
}
