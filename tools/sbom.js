// Writes the bill of materials of the package, CycloneDX 1.5: what is in the tarball although nothing is installed with it.
//
//   node tools/sbom.js [FILE]      to FILE, or stdout
//
// The same sources give the same bytes: no time, no random serial number.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundledPackages } from "./bundled.js";

const read = (name) => JSON.parse(readFileSync(fileURLToPath(new URL(`../${name}`, import.meta.url)), "utf8"));

const purl = (name, version) => `pkg:npm/${name.replace("@", "%40")}@${version}`;

const licensesOf = (license) =>
  / (OR|AND) /.test(license) ? [{ expression: license }] : [{ license: { id: license } }];

/** `sha512-…` in base64, as in a lock file. */
function hashOf(integrity) {
  const [, content] = /^sha512-(.+)$/.exec(integrity);
  return { alg: "SHA-512", content: Buffer.from(content, "base64").toString("hex") };
}

/** The document. */
export async function billOfMaterials() {
  const manifest = read("package.json");
  const lock = read("package-lock.json");
  const root = purl(manifest.name, manifest.version);
  const components = (await bundledPackages()).map(({ name, version, license, repository }) => ({
    type: "library",
    "bom-ref": purl(name, version),
    name,
    version,
    scope: "required",
    description: "bundled into dist/",
    hashes: [hashOf(lock.packages[`node_modules/${name}`].integrity)],
    licenses: licensesOf(license),
    purl: purl(name, version),
    externalReferences: [{ type: "vcs", url: repository }],
  }));
  const refs = components.map((component) => component["bom-ref"]);
  return {
    $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      lifecycles: [{ phase: "build" }],
      component: {
        type: "library",
        "bom-ref": root,
        name: manifest.name,
        version: manifest.version,
        description: manifest.description,
        licenses: licensesOf(manifest.license),
        purl: root,
      },
    },
    components,
    dependencies: [{ ref: root, dependsOn: refs }, ...refs.map((ref) => ({ ref, dependsOn: [] }))],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = `${JSON.stringify(await billOfMaterials(), null, 2)}\n`;
  if (process.argv[2] === undefined) process.stdout.write(text);
  else writeFileSync(process.argv[2], text);
}
