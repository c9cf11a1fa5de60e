import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

// Who may import whom (docs/ARCHITECTURE.md). Each rule lists the imports that break it.

const ROOT = fileURLToPath(new URL("../", import.meta.url));

interface Import {
  /** The importing file, from the project's root. */
  from: string;
  /** What it imports: a path from the root without its extension, or the name of a package. */
  to: string;
  /** The names in braces. */
  names: string[];
  /** `import type`, `export type`: nothing of it is left when it runs. */
  isType: boolean;
}

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((name) => name.endsWith(".ts") && !name.includes("/node_modules/"))
    .sort();
}

/** Imports and re-exports at the start of a line, and dynamic imports; comments are not looked at. */
function importsOf(from: string): Import[] {
  const text = readFileSync(join(ROOT, from), "utf8").replace(/^\s*(\/\/|\/?\*).*$/gm, "");
  const statements = text.matchAll(/^(?:import|export)\b([^;'"]*?)\bfrom\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/gm);
  return Array.from(statements, ([, clause = "", source, bare]) => {
    const target = source ?? bare;
    const to = target.startsWith(".") ? posix.join(dirname(from), target).replace(/\.[jt]s$/, "") : target;
    const braces = /\{([^}]*)\}/.exec(clause)?.[1] ?? "";
    const isType = /^\s*type\b/.test(clause);
    return { from, to, isType, names: braces.split(",").flatMap((name) => name.trim().split(/\s+as\s+/)[0] || []) };
  });
}

const assembly = sourcesIn("assembly").flatMap(importsOf);
const src = sourcesIn("src").flatMap(importsOf);
const reference = sourcesIn("test/reference").flatMap(importsOf);

const show = (imports: Import[]) => imports.map(({ from, to }) => `${from} imports ${to}`);
const isCli = (path: string) => /^src\/cli(\.|\/|$)/.test(path);

describe("assembly/", () => {
  /** Not part of the module: the exports of the test build. */
  const testBuild = ["assembly/kernels/index.ts"];

  it("imports nothing from elsewhere", () => {
    expect(show(assembly.filter(({ to }) => !to.startsWith("assembly/")))).toEqual([]);
  });

  it("has a base that imports only itself", () => {
    const base = ["abi", "bounds", "records", "simd", "math", "random"].map((name) => `assembly/${name}`);
    const own = assembly.filter(({ from }) => base.includes(from.replace(/\.ts$/, "")));
    expect(show(own.filter(({ to }) => !base.includes(to)))).toEqual([]);
  });

  it("has kernels that import the base, and of each other constants only", () => {
    const isConstant = (name: string) => /^[A-Z][A-Z0-9_]*$/.test(name);
    // Lists of pairs are padded in one place.
    const helpers = ["padPairs"];
    const allowed = ({ to, names }: Import) =>
      /^assembly\/(abi|bounds|records|simd|math|random)$/.test(to) ||
      (/^assembly\/kernels\/[^/]+$/.test(to) &&
        names.length > 0 &&
        names.every((name) => isConstant(name) || helpers.includes(name)));
    const kernels = assembly.filter(({ from }) => from.startsWith("assembly/kernels/") && !testBuild.includes(from));
    expect(kernels.length).toBeGreaterThan(0);
    expect(show(kernels.filter((entry) => !allowed(entry)))).toEqual([]);
  });

  it("has models that import models, kernels and the base", () => {
    const allowed = ({ to }: Import) =>
      /^assembly\/(abi|bounds|records|simd|math|random|(kernels|models)\/[^/]+)$/.test(to);
    const models = assembly.filter(({ from }) => from.startsWith("assembly/models/"));
    expect(models.length).toBeGreaterThan(0);
    expect(show(models.filter((entry) => !allowed(entry)))).toEqual([]);
  });
});

describe("src/", () => {
  it("knows assembly/ and test/ by no import", () => {
    expect(show(src.filter(({ to }) => /^(assembly|test|tools|bench)\//.test(to)))).toEqual([]);
  });

  it("has a command line that nobody but itself imports", () => {
    expect(show(src.filter(({ from, to }) => isCli(to) && !isCli(from)))).toEqual([]);
  });

  it("has metrics of plain arrays: they know rows and errors, no model and no kernel", () => {
    const metrics = src.filter(({ from }) => /^src\/metrics(\.ts$|\/)/.test(from));
    expect(metrics.length).toBeGreaterThan(0);
    expect(show(metrics.filter(({ to }) => !/^src\/(metrics\/[^/]+|data\/groups|errors)$/.test(to)))).toEqual([]);
  });

  it("has a server that knows no runtime: of models it knows the types, and how rows are put together", () => {
    const serve = src.filter(({ from }) => /^src\/serve(\.ts$|\/)/.test(from));
    expect(serve.length).toBeGreaterThan(0);
    const allowed = /^src\/(serve\/[^/]+|errors|version|model\/(slots|model|explanation))$/;
    expect(show(serve.filter(({ to }) => !allowed.test(to)))).toEqual([]);
    const others = src.filter(({ from }) => !isCli(from) && !/^src\/serve(\.ts$|\/)/.test(from));
    expect(show(others.filter(({ to }) => /^src\/serve(\/|$)/.test(to)))).toEqual([]);
  });

  it("knows Node in eight places", () => {
    const places = (path: string) =>
      isCli(path) ||
      ["runtime-node", "threads-node", "atomic-file", "abandoned", "data/open", "data/zlib", "data/cache"].includes(
        path.slice(4, -3),
      );
    expect(show(src.filter(({ from, to }) => to.startsWith("node:") && !places(from)))).toEqual([]);
  });

  it("has a cache of data files that only the command line knows", () => {
    expect(show(src.filter(({ from, to }) => to === "src/data/cache" && !isCli(from)))).toEqual([]);
  });

  it("has a page's side of the worker that brings nothing along that computes", () => {
    const client = ["connection", "client", "trainer", "model", "packing", "chunks", "protocol", "page-threads"];
    const allowed =
      /^src\/(errors|version|fetch|opfs|threads-browser|data\/streams|worker\/(connection|client|trainer|model|packing|chunks|protocol|page-threads))$/;
    const own = client.map((name) => `src/worker/${name}.ts`).concat("src/worker.ts");
    const values = src.filter(({ from, isType }) => own.includes(from) && !isType);
    expect(values.length).toBeGreaterThan(0);
    expect(show(values.filter(({ to }) => !allowed.test(to)))).toEqual([]);
  });

  it("has an API without a runtime: nothing that src/api.ts reaches imports node:*", () => {
    const reached = new Set<string>();
    const visit = (path: string) => {
      const file = [`${path}.ts`, `${path}.d.ts`].find((name) => existsSync(join(ROOT, name)));
      if (file === undefined || reached.has(file)) return;
      reached.add(file);
      for (const { to } of src.filter(({ from }) => from === file)) visit(to);
    };
    visit("src/api");
    expect(reached.has("src/wasm/session.ts")).toBe(true);
    const found = src.filter(({ from, to }) => reached.has(from) && to.startsWith("node:"));
    expect(show(found)).toEqual([]);
  });
});

describe("test/reference/", () => {
  it("shares no line with what it checks", () => {
    expect(reference.length).toBeGreaterThan(0);
    expect(show(reference.filter(({ to }) => /^(src|assembly)(\/|$)/.test(to)))).toEqual([]);
  });
});

describe("git", () => {
  it("ignores no source", (context) => {
    const args = ["ls-files", "--others", "--ignored", "--exclude-standard", "--", "assembly", "src", "test", "docs"];
    let ignored = "";
    try {
      ignored = execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: "pipe" });
    } catch (error) {
      context.skip(`git cannot tell: ${(error as Error).message}`);
    }
    expect(ignored.split("\n").filter((name) => name !== "" && !name.includes("node_modules/"))).toEqual([]);
  });
});
