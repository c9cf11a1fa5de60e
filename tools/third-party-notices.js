// Writes THIRD-PARTY-NOTICES.md: the licences of the packages that rolldown bundles into dist/.
//
//   node tools/third-party-notices.js            writes the file
//   node tools/third-party-notices.js --check    exits with 1 when the file is not what it would write

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import config from "../rolldown.config.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const FILE = join(ROOT, "THIRD-PARTY-NOTICES.md");

/** Folders of the packages that a bundle, made but not written, has modules of. */
async function bundledPackages() {
  const bundle = await rolldown({ ...config, cwd: ROOT });
  const { output } = await bundle.generate(config.output);
  await bundle.close();
  const folders = output
    .flatMap((chunk) => (chunk.type === "chunk" ? chunk.moduleIds : []))
    .map((id) => /^\0?(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)/.exec(id)?.[1])
    .filter((folder) => folder !== undefined);
  return [...new Set(folders)];
}

function licenceText(name, folder) {
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  return readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").replace(/^\n+/, "").trimEnd();
}

function repositoryOf({ repository }) {
  const url = typeof repository === "string" ? repository : repository.url;
  if (/^[\w-]+\/[\w.-]+$/.test(url)) return `https://github.com/${url}`;
  return url
    .replace(/^git\+/, "")
    .replace(/^git:/, "https:")
    .replace(/\.git$/, "");
}

function section(folder) {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const { name, version, license } = manifest;
  const text = `## ${name} ${version}

${license}, <${repositoryOf(manifest)}>

${"```"}text
${licenceText(name, folder)}
${"```"}
`;
  return { name, text };
}

const sections = (await bundledPackages()).map(section).sort((a, b) => (a.name < b.name ? -1 : 1));
const notices = `# Third-party notices

<!-- Written by tools/third-party-notices.js; change it there. -->

The files in \`dist/\` contain code of these packages.

${sections.map(({ text }) => text).join("\n")}`;

if (!process.argv.includes("--check")) {
  writeFileSync(FILE, notices);
  console.log(`THIRD-PARTY-NOTICES.md: ${sections.map(({ name }) => name).join(", ")}`);
} else if (!existsSync(FILE) || readFileSync(FILE, "utf8") !== notices) {
  console.error("THIRD-PARTY-NOTICES.md is out of date: run node tools/third-party-notices.js");
  process.exitCode = 1;
}
