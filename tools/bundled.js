// The packages whose code rolldown bundles into dist/: what the notices, the bill of materials and the licence check are about.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import config from "../rolldown.config.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Folders of the packages that the bundles, made but not written, have modules of; sorted. */
async function bundledFolders() {
  const folders = new Set();
  for (const options of [config].flat()) {
    const bundle = await rolldown({ ...options, cwd: ROOT });
    const { output } = await bundle.generate(options.output);
    await bundle.close();
    for (const chunk of output) {
      for (const id of chunk.type === "chunk" ? chunk.moduleIds : []) {
        const folder = /^\0?(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)/.exec(id)?.[1];
        if (folder !== undefined) folders.add(folder);
      }
    }
  }
  return [...folders].sort();
}

/** @returns {Promise<{ folder: string, name: string, version: string, license: string, repository: string }[]>} by name */
export async function bundledPackages() {
  const packages = (await bundledFolders()).map((folder) => {
    const { name, version, license, repository } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    return { folder, name, version, license, repository: webAddress(repository) };
  });
  return packages.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function webAddress(repository) {
  const url = typeof repository === "string" ? repository : repository.url;
  if (/^[\w-]+\/[\w.-]+$/.test(url)) return `https://github.com/${url}`;
  return url
    .replace(/^git\+/, "")
    .replace(/^git:/, "https:")
    .replace(/\.git$/, "");
}
