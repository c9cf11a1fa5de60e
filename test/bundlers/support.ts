import { execFile, execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { VERSION } from "../../src/version.js";
import { ROOT } from "../runtimes/support/processes.js";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const MODULES = join(FOLDER, "node_modules");
/** Where the fixtures are built. */
export const BUILT = join(ROOT, "build", "bundlers");

const INSTALL_MILLISECONDS = 5 * 60_000;
const BUILD_MILLISECONDS = 120_000;

const run = promisify(execFile);
const json = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** Bundlers that are not there in the pinned version. */
function missing(): string[] {
  const pinned = Object.entries<string>(json(join(FOLDER, "package.json")).dependencies);
  const isThere = (name: string, range: string) => {
    const manifest = join(MODULES, name, "package.json");
    return existsSync(manifest) && range.replace(/^npm:.*@/, "") === json(manifest).version;
  };
  return pinned.filter(([name, range]) => !isThere(name, range)).map(([name]) => name);
}

/** Installs the bundlers unless they are there. Returns why not. */
export async function installBundlers(): Promise<string | undefined> {
  if (missing().length === 0) return undefined;
  const args = ["ci", "--prefix", FOLDER, "--ignore-scripts", "--no-audit", "--no-fund"];
  try {
    await run("npm", args, { timeout: INSTALL_MILLISECONDS, shell: process.platform === "win32" });
  } catch (error) {
    const { stderr = "", message } = error as Error & { stderr?: string };
    const why = stderr.split("\n").filter((line) => line.startsWith("npm error"));
    return `${missing()}: npm ci failed: ${why.slice(0, 3).join("; ") || message}`;
  }
  return missing().length === 0 ? undefined : `${missing()}: npm ci has left other versions`;
}

/** Installs the package as it is packed, beside the bundlers. It has no dependencies and no scripts: unpacking is all. */
export async function installPackage(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ifm-wasm-bundlers-"));
  try {
    execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], {
      cwd: ROOT,
      stdio: "ignore",
      shell: process.platform === "win32",
    });
    const target = join(MODULES, "ifm-wasm");
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    const tarball = join(folder, `ifm-wasm-${VERSION}.tgz`);
    execFileSync("tar", ["-xzf", tarball, "--directory", target, "--strip-components", "1"]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The file that npm runs for a tool. */
export function program(tool: string, name = tool): string {
  const { bin } = json(join(MODULES, tool, "package.json"));
  return join(MODULES, tool, typeof bin === "string" ? bin : bin[name]);
}

/** Builds a fixture, in its folder. */
export async function build(fixture: string, tool: string, args: string[]): Promise<void> {
  const command = [program(tool), ...args];
  const options = { cwd: join(FOLDER, fixture), timeout: BUILD_MILLISECONDS, env: { ...process.env, NO_COLOR: "1" } };
  try {
    await run(process.execPath, command, options);
  } catch (error) {
    const { stdout, stderr } = error as Error & { stdout: string; stderr: string };
    throw new Error(`${tool} ${args.join(" ")} failed\n${stdout}${stderr}`, { cause: error });
  }
}
