import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { bundledPackages } from "../tools/bundled.js";
import { billOfMaterials } from "../tools/sbom.js";

// What comes from elsewhere: how it is pinned, under which licence, and who may run code. SECURITY.md names these rules.

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (name: string) => readFileSync(join(ROOT, name), "utf8");

interface Locked {
  version: string;
  resolved?: string;
  integrity?: string;
  license?: string;
  hasInstallScript?: boolean;
}

/** Every lock file of the project: the package's own, and those of tools that users never install. */
const LOCKS = readdirSync(ROOT, { recursive: true, encoding: "utf8" })
  .map((name) => name.replaceAll("\\", "/"))
  .filter((name) => /(^|\/)package-lock\.json$/.test(name) && !/(^|\/)(node_modules|build)\//.test(name))
  .sort();

function packagesOf(lock: string): [name: string, entry: Locked][] {
  const { packages } = JSON.parse(read(lock)) as { packages: Record<string, Locked> };
  return Object.entries(packages).filter(([path]) => path !== "");
}

/** Licences that allow everything that this project does, without conditions on its own code. */
const PERMISSIVE =
  /^(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0|CC0-1\.0|Unlicense|Zlib|Python-2\.0|CC-BY-4\.0)$/;
const isPermissive = (license: string) =>
  license
    .replace(/[()]/g, "")
    .split(" OR ")
    .some((one) => one.split(" AND ").every((part) => PERMISSIVE.test(part)));

/** Tools for development with other licences: they are run, never shipped. */
const RUN_ONLY = new Map([["lightningcss", "MPL-2.0"]]);

/** Packages with a script at installation. It is never needed: everything is installed with --ignore-scripts or works without. */
const SCRIPTS = ["onnxruntime-node", "protobufjs", "workerd", "bun", "deno", "esbuild", "fsevents"];

const nameOf = (path: string) => path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);

describe.each(LOCKS)("%s", (lock) => {
  const packages = packagesOf(lock);

  it("pins every package by its hash, and names no registry", () => {
    expect(packages.filter(([, { integrity }]) => !/^sha512-/.test(integrity ?? "")).map(([path]) => path)).toEqual([]);
    expect(packages.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path)).toEqual([]);
  });

  it("has permissive licences, but for tools that are run and never shipped", () => {
    const others = packages.filter(([path, { license }]) => {
      if (license === undefined) return true;
      const known = [...RUN_ONLY].some(([tool, its]) => nameOf(path).startsWith(tool) && its === license);
      return !known && !isPermissive(license);
    });
    expect(others.map(([path, { license }]) => `${nameOf(path)}: ${license}`)).toEqual([]);
  });

  it("has scripts at installation only where they are known and not needed", () => {
    const scripts = packages.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => nameOf(path));
    expect(scripts.filter((name) => !SCRIPTS.includes(name))).toEqual([]);
  });
});

describe("versions", () => {
  it.each(LOCKS.map((lock) => lock.replace("-lock", "")))("are exact in %s", (name) => {
    const { dependencies = {}, devDependencies = {} } = JSON.parse(read(name));
    const loose = Object.entries<string>({ ...dependencies, ...devDependencies }).filter(
      ([, version]) => !/^(npm:@?[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/.test(version),
    );
    expect(loose).toEqual([]);
  });
});

describe("what is bundled", () => {
  it("is permissive without exception", async () => {
    const bundled = await bundledPackages();
    expect(bundled.length).toBeGreaterThan(0);
    expect(bundled.filter(({ license }) => !isPermissive(license))).toEqual([]);
  });

  it("is named in the notices and, with the hash of the lock, in the bill of materials", async () => {
    const bundled = await bundledPackages();
    const { components } = await billOfMaterials();
    expect(components.map(({ name, version }: { name: string; version: string }) => `${name} ${version}`)).toEqual(
      bundled.map(({ name, version }) => `${name} ${version}`),
    );
    for (const { name, version } of bundled)
      expect(read("THIRD-PARTY-NOTICES.md")).toContain(`## ${name} ${version}\n`);
    for (const { hashes } of components) expect(hashes[0].content).toMatch(/^[0-9a-f]{128}$/);
  });

  it("gives the same bill of materials every time", async () => {
    expect(JSON.stringify(await billOfMaterials())).toBe(JSON.stringify(await billOfMaterials()));
  });
});

describe("workflows", () => {
  const folder = ".github/workflows";
  const files = existsSync(join(ROOT, folder)) ? readdirSync(join(ROOT, folder)) : [];

  it("are there", () => expect(files).toEqual(expect.arrayContaining(["ci.yml", "release.yml"])));

  it.each(files)("%s runs actions by commit, with the version beside it", (file) => {
    const uses = read(`${folder}/${file}`).match(/uses:.*$/gm) ?? [];
    expect(uses.length).toBeGreaterThan(0);
    for (const line of uses) expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });

  it.each(files)("%s gives no permission that it does not name", (file) => {
    expect(read(`${folder}/${file}`)).toMatch(/^permissions:/m);
    expect(read(`${folder}/${file}`)).not.toMatch(/write-all|pull_request_target|secrets\./);
  });
});
