#!/usr/bin/env node
/*
 * Runs the fixture in every runtime and writes their versions and hashes into docs/RUNTIMES.md: npm run runtimes
 *
 * What the tests have found is read, not typed (test/runtimes/support/fixture-tests.ts keeps it).
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FOUND = join(ROOT, "build", "runtimes");
const DOCUMENT = join(ROOT, "docs", "RUNTIMES.md");
const SECTION = /(<!-- npm run runtimes -->\n)[\s\S]*?(<!-- end -->\n)/;

/** Every runtime of test/runtimes, with what runs its JavaScript and WebAssembly. */
const RUNTIMES = [
  ["Node 20", "V8"],
  ["Node 22", "V8"],
  ["Node 24", "V8"],
  ["Node 26", "V8"],
  ["Deno", "V8"],
  ["workerd", "V8"],
  ["Chromium", "V8"],
  ["Firefox", "SpiderMonkey"],
  ["Bun", "JavaScriptCore"],
  ["WebKitGTK", "JavaScriptCore"],
];
/** Digits of a hash in the table. */
const DIGITS = 16;

function fail(message) {
  console.error(message);
  process.exit(1);
}

rmSync(FOUND, { recursive: true, force: true });
const args = ["vitest", "run", "--project", "runtimes", "test/runtimes"];
const { status } = spawnSync("npx", args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });
if (status !== 0) fail("docs/RUNTIMES.md is as it was: not all tests have passed");

const found = readdirSync(FOUND).map((name) => JSON.parse(readFileSync(join(FOUND, name), "utf8")));
const [sha256, ...others] = new Set(found.map((run) => run.sha256));
if (others.length > 0) fail("docs/RUNTIMES.md is as it was: runs of different versions of the fixture");
const rows = RUNTIMES.map(([name, engine]) => {
  const runs = found.filter((run) => run.engine === name).sort((a, b) => a.threads - b.threads);
  if (runs.length === 0) fail(`docs/RUNTIMES.md is as it was: ${name} was not run`);
  const threads = runs.map((run) => run.threads).join(", ");
  return [name, runs[0].version, engine, threads, `\`${runs[0].sha256.slice(0, DIGITS)}\``];
});

const cells = [["runtime", "version", "engine", "threads", "SHA-256"], ...rows];
const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
const line = (row) => `| ${row.map((text, column) => text.padEnd(widths[column])).join(" | ")} |\n`;
const table = [line(cells[0]), line(widths.map((width) => "-".repeat(width))), ...cells.slice(1).map(line)].join("");

const before = readFileSync(DOCUMENT, "utf8");
if (!SECTION.test(before)) fail("docs/RUNTIMES.md has no place for the table");
writeFileSync(DOCUMENT, before.replace(SECTION, `$1\n${table}\nIn full: \`${sha256}\`\n\n$2`));
console.log("docs/RUNTIMES.md: written");
