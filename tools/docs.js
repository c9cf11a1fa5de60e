// Runs what the documents show: what they print is what the program prints.
//
//   node tools/docs.js [FILE…]           writes outputs into README.md and docs/*.md; after npm run build
//   node tools/docs.js --check [FILE…]   says which are stale, exit code 1
//
// In a document, a comment in front of a block says what the block is:
//
//   <!-- file: NAME -->              its text is written to a file of that name
//   <!-- output: ifm-wasm ARGS -->   what that command prints on stdout and stderr
//   <!-- output: node -->            what the `js` block before it prints
//   … | from "A" to "B" -->          of it only the lines from the first that begins with A up to the next that begins
//                                    with B; several such parts are joined by a line […]
//   <!-- table: NAME -->             in front of a table: it is made of src/cli/authors.ts
//
// `js` blocks are run whether or not their output is shown. A document's commands run one after the other in a folder
// of their own, which holds a copy of the package. Times and speeds differ from run to run and are not compared.

import { spawnSync } from "node:child_process";
import { closeSync, cpSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PACKAGE = ["bin", "dist", "wasm", "sample", "package.json"];
const BLOCK = /((?:<!-- (file|output): (.*?) -->\n)?^(```+)(\w*)\n)([\s\S]*?)^\4$/gm;
const TABLE = /(<!-- table: (\w+) -->\n)((?:\|.*\n)+)/g;
const CUT = "[…]";

/** The same text where nothing but the clock has changed. */
function timeless(text) {
  return text
    .replace(/[\d,]+ +[\d.]+ s\b/g, "# s")
    .replace(/(after|read in) [\d.]+ s\b/g, "$1 # s")
    .replace(/"(rowsPerSecond|seconds|secondsToFirstBatch|readSeconds)":[\d.e+-]+/g, '"$1":#')
    .replace(/[ \t]+/g, " ");
}

/** What a process prints, stdout and stderr as they come. */
function run(folder, args) {
  const path = join(folder, ".output");
  const file = openSync(path, "w");
  const env = { PATH: process.env.PATH, NO_COLOR: "1" };
  const { status, error } = spawnSync(process.execPath, args, { cwd: folder, env, stdio: ["ignore", file, file] });
  closeSync(file);
  if (error) throw error;
  return { status, text: readFileSync(path, "utf8") };
}

/** The parts of `text` that a marker asks for. */
function partsOf(text, ranges) {
  if (ranges.length === 0) return text;
  const lines = text.split("\n");
  let at = 0;
  const find = (start) => {
    const found = lines.findIndex((line, i) => i >= at && line.startsWith(start));
    if (found < 0) throw new Error(`no line begins with "${start}" in\n${text}`);
    at = found;
    return found;
  };
  const parts = ranges.map((range) => {
    const [, from, to] = /^from "(.*)" to "(.*)"$/.exec(range) ?? [];
    if (from === undefined) throw new Error(`expected from "A" to "B", got ${range}`);
    return lines.slice(find(from), find(to)).join("\n").trimEnd();
  });
  return `${parts.join(`\n${CUT}\n`)}\n`;
}

/** The document with the outputs of now. */
function renew(text) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-wasm-docs-"));
  try {
    for (const name of PACKAGE) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
    let printed = "";
    let programs = 0;
    return text.replace(BLOCK, (block, start, kind, what, fence, language, body) => {
      if (kind === "file") writeFileSync(join(folder, what), body);
      if (language === "js") {
        const program = `example-${++programs}.js`;
        writeFileSync(join(folder, program), body);
        const result = run(folder, [program]);
        if (result.status !== 0) throw new Error(`an example ends with ${result.status}:\n${body}\n${result.text}`);
        printed = result.text;
      }
      if (kind !== "output") return block;
      const [command, ...ranges] = what.split(" | ");
      const [program, ...args] = command.split(" ");
      if (program !== "node" && program !== "ifm-wasm") throw new Error(`unknown program: ${command}`);
      const output = program === "node" ? printed : run(folder, ["bin/ifm-wasm.js", ...args]).text;
      const now = partsOf(output, ranges);
      return timeless(now) === timeless(body) ? block : start + now + fence;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A Markdown table with columns of even width. */
function table(rows) {
  const cells = rows.map((row) => row.map((text) => text.replaceAll("|", "\\|")));
  const widths = cells[0].map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row) => `| ${row.map((text, column) => text.padEnd(widths[column])).join(" | ")} |\n`;
  return [line(cells[0]), line(widths.map((width) => "-".repeat(width))), ...cells.slice(1).map(line)].join("");
}

/** The tables of the authors' flags by name, from their one source. */
async function authorsTables() {
  const build = await rolldown({ input: join(ROOT, "src/cli/authors.ts"), platform: "node" });
  const { output } = await build.generate({ format: "esm" });
  await build.close();
  const source = `data:text/javascript,${encodeURIComponent(output[0].code)}`;
  const { AUTHORS_TABLE, compatDefaults } = await import(source);

  const asCode = (text) => text.replace(/--[a-z][\w-]*/g, "`$&`");
  // Those of DeepIFM alone first.
  const keysOfDeepIfm = AUTHORS_TABLE.filter(({ of }) => of.endsWith("model_params")).sort(
    (a, b) => a.of.length - b.of.length,
  );
  const scriptsOf = ({ of }) => of.replace(" model_params", "").replaceAll(" ", ", ");
  const ofScripts = AUTHORS_TABLE.filter(({ of }) => of !== "model_params");

  const kinds = ["fm", "afm", "ifm", "inn", "deepifm"];
  const defaults = kinds.map((kind) => compatDefaults(kind));
  const keys = new Set([compatDefaults("ifm"), ...defaults].flatMap((values) => Object.keys(values)));
  const flagOf = (key) => `\`--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}\``;
  const said = (value) => (value === undefined ? "" : value === true ? "yes" : String(value));
  return {
    scripts: table([
      ["flag", "of", "here"],
      ...ofScripts.map((flag) => [`\`${flag.theirs}\``, scriptsOf(flag), asCode(flag.ours)]),
    ]),
    keys: table([["flag", "here"], ...keysOfDeepIfm.map(({ theirs, ours }) => [`\`${theirs}\``, asCode(ours)])]),
    compat: table([
      ["", ...kinds.map((kind) => `\`${kind}\``)],
      ...Array.from(keys, (key) => [flagOf(key), ...defaults.map((values) => said(values[key]))]),
    ]),
  };
}

/** The document with the tables of now. */
async function renewTables(text) {
  if (text.search(TABLE) === -1) return text;
  const tables = await authorsTables();
  return text.replace(TABLE, (_, marker, name) => {
    if (!Object.hasOwn(tables, name)) throw new Error(`unknown table: ${name}`);
    return marker + tables[name];
  });
}

const { values, positionals } = parseArgs({ options: { check: { type: "boolean" } }, allowPositionals: true });
const documents = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
const all = ["README.md", ...documents.map((name) => `docs/${name}`)];
for (const name of positionals.length > 0 ? positionals : all) {
  const path = join(ROOT, name);
  const before = readFileSync(path, "utf8");
  const after = renew(await renewTables(before));
  if (after === before) continue;
  if (values.check) {
    const [was, is] = [before.split("\n"), after.split("\n")];
    const line = is.findIndex((text, i) => text !== was[i]);
    console.error(`${name}:${line + 1}: expected "${is[line]}", found "${was[line]}"; run: node tools/docs.js ${name}`);
    process.exitCode = 1;
  } else {
    writeFileSync(path, after);
    console.log(`${name}: written`);
  }
}
