// Installs what the tests of runtimes need and this machine has not: node test/runtimes/install.js
//
// Debian's packages come by apt-get (as root), all else from npm, pinned in the package.json beside this file. What
// cannot be had is said, here and by the tests that are skipped for it; it is no error.

import { execFile } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const MINUTE = 60_000;

const execute = promisify(execFile);

/** @param {string} path */
function isProgram(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** @param {string[]} names */
function onPath(...names) {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram);
}

/** MiniBrowser lies outside of PATH, in a folder of its WebKit's version. */
const miniBrowser = () =>
  ["4.1", "4.0", "6.0"]
    .map((version) => `/usr/lib/x86_64-linux-gnu/webkit2gtk-${version}/MiniBrowser`)
    .concat(["/usr/lib/x86_64-linux-gnu/webkitgtk-6.0/MiniBrowser"])
    .find(isProgram);

/** The system's programs, with the Debian package that has each. */
const SYSTEM = /** @type {const} */ ({
  chromium: { debian: "chromium", find: () => onPath("chromium", "chromium-browser", "google-chrome") },
  firefox: { debian: "firefox-esr", find: () => onPath("firefox-esr", "firefox") },
  webkitDriver: { debian: "webkit2gtk-driver", find: () => onPath("WebKitWebDriver") },
  miniBrowser: { debian: "webkit2gtk-driver", find: miniBrowser },
  xvfb: { debian: "xvfb", find: () => onPath("Xvfb") },
});

/** Packages from npm, with their pinned versions. */
const PINNED = Object.entries(
  /** @type {Record<string, string>} */ (JSON.parse(readFileSync(join(FOLDER, "package.json"), "utf8")).dependencies),
).map(([name, range]) => ({ name, version: range.slice(range.lastIndexOf("@") + 1) }));

/** @param {string} name of a dependency in package.json */
export function packageFolder(name) {
  return join(FOLDER, "node_modules", name);
}

/** @param {string} name */
export function pinnedVersion(name) {
  const found = PINNED.find((pinned) => pinned.name === name);
  if (!found) throw new Error(`${name} is not in test/runtimes/package.json`);
  return found.version;
}

/** Whether the pinned version of a package is there. @param {string} name */
export function isInstalled(name) {
  try {
    const { version } = JSON.parse(readFileSync(join(packageFolder(name), "package.json"), "utf8"));
    return version === pinnedVersion(name);
  } catch {
    return false;
  }
}

/** Path of a program of the system, if it is there. @param {keyof typeof SYSTEM} name */
export function systemProgram(name) {
  return SYSTEM[name].find();
}

/**
 * @param {string} what
 * @param {string} file
 * @param {string[]} args
 * @param {number} timeout
 */
async function run(what, file, args, timeout) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const options = { env, timeout, maxBuffer: 2 ** 26, shell: process.platform === "win32" };
  try {
    await execute(file, args, options);
  } catch (error) {
    const { stderr = "", message, killed } = /** @type {Error & { stderr?: string, killed?: boolean }} */ (error);
    const lines = stderr.split("\n").filter((line) => /^(npm error|E:)/.test(line));
    const why = killed ? `not done after ${timeout / MINUTE} minutes` : lines.slice(0, 3).join("; ");
    throw new Error(`${what} failed: ${why || message}`);
  }
}

/** @returns {Promise<string | undefined>} why not all is there */
async function installPackages() {
  const missing = () => PINNED.filter(({ name }) => !isInstalled(name)).map(({ name }) => name);
  if (missing().length === 0) return undefined;
  console.log(`test/runtimes: installing ${missing().join(", ")} from npm`);
  try {
    const args = ["ci", "--prefix", FOLDER, "--ignore-scripts", "--no-audit", "--no-fund"];
    await run("npm ci", "npm", args, 8 * MINUTE);
  } catch (error) {
    return `${missing().join(", ")}: ${/** @type {Error} */ (error).message}`;
  }
  return missing().length === 0 ? undefined : `${missing().join(", ")}: npm ci has left other versions`;
}

/** @returns {Promise<string | undefined>} why not all is there */
async function installSystem() {
  const missing = () => [
    ...new Set(
      Object.values(SYSTEM)
        .filter(({ find }) => find() === undefined)
        .map(({ debian }) => debian),
    ),
  ];
  if (missing().length === 0) return undefined;
  const names = missing().join(", ");
  if (onPath("apt-get") === undefined) return `${names}: no apt-get here, install by hand`;
  if (process.getuid?.() !== 0) return `${names}: only root may install, run apt-get install ${missing().join(" ")}`;
  console.log(`test/runtimes: installing ${names} from Debian`);
  // Another apt-get may be at work.
  const wait = ["-o", "DPkg::Lock::Timeout=120"];
  try {
    await run("apt-get update", "apt-get", ["update", ...wait], 2 * MINUTE);
    const args = ["install", "--yes", "--no-install-recommends", ...wait, ...missing()];
    await run("apt-get install", "apt-get", args, 6 * MINUTE);
  } catch (error) {
    return `${names}: ${/** @type {Error} */ (error).message}`;
  }
  return missing().length === 0 ? undefined : `${missing().join(", ")}: apt-get has installed no such program`;
}

/**
 * Installs what is missing.
 *
 * @returns {Promise<string[]>} what could not be had and why; each is also said on stderr
 */
export async function install() {
  const problems = (await Promise.all([installPackages(), installSystem()])).filter((text) => text !== undefined);
  for (const problem of problems) console.error(`\nNOT INSTALLED, tests that need it are skipped: ${problem}\n`);
  return problems;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await install();
