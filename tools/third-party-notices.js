// Writes THIRD-PARTY-NOTICES.md: the licences of the packages that rolldown bundles into dist/.
//
//   node tools/third-party-notices.js            writes the file
//   node tools/third-party-notices.js --check    exits with 1 when the file is not what it would write

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundledPackages } from "./bundled.js";

const FILE = fileURLToPath(new URL("../THIRD-PARTY-NOTICES.md", import.meta.url));

function licenceText({ name, folder }) {
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  return readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").replace(/^\n+/, "").trimEnd();
}

const packages = await bundledPackages();
const sections = packages.map(
  (bundled) => `## ${bundled.name} ${bundled.version}

${bundled.license}, <${bundled.repository}>

${"```"}text
${licenceText(bundled)}
${"```"}
`,
);
const notices = `# Third-party notices

<!-- Written by tools/third-party-notices.js; change it there. -->

The files in \`dist/\` contain code of these packages.

${sections.join("\n")}`;

if (!process.argv.includes("--check")) {
  writeFileSync(FILE, notices);
  console.log(`THIRD-PARTY-NOTICES.md: ${packages.map(({ name }) => name).join(", ")}`);
} else if (!existsSync(FILE) || readFileSync(FILE, "utf8") !== notices) {
  console.error("THIRD-PARTY-NOTICES.md is out of date: run node tools/third-party-notices.js");
  process.exitCode = 1;
}
