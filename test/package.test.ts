import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { describe, expect, it } from "vitest";
import { VERSION } from "../src/version.js";
import { coreBundle } from "../tools/core-bundle.js";

// What users would get from npm. test/slow/install.test.ts installs it.

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const read = (name: string) => readFileSync(join(ROOT, name));
const manifest = JSON.parse(read("package.json").toString());

/** kB are 1000 bytes here. */
const MAX_CORE_GZIP_BYTES = 40_000;
const MAX_UNPACKED_BYTES = 3_350_000;

/** What runs where, in the order in which a runtime looks for itself. */
const CONDITIONS = ["types", "workerd", "edge-light", "deno", "bun", "node", "worker", "browser", "default"];
/** Entries that need no Node. All but those for browsers are one file. */
const WEB = ["browser", "workerd", "edge-light", "inline"].flatMap((name) => [name, `predict-${name}`]);

interface Packed {
  unpackedSize: number;
  files: { path: string; size: number; mode: number }[];
}

function pack(): Packed {
  if (!existsSync(join(ROOT, "dist/node.js"))) throw new Error("no dist/: run npm run build first");
  const output = execFileSync("npm", ["pack", "--json", "--dry-run", "--ignore-scripts"], {
    cwd: ROOT,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    shell: process.platform === "win32",
  });
  return Object.values<Packed>(JSON.parse(output))[0];
}

const packed = pack();
const paths = packed.files.map((file) => file.path);

describe("the files of the package", () => {
  it("are these kinds, and no others", () => {
    const kinds = [
      /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|THIRD-PARTY-NOTICES\.md)$/,
      /^bin\/ifm-wasm\.js$/,
      /^dist\/[a-z-]+\.js$/,
      /^dist\/([a-z]+\/)*[a-z-]+\.d\.ts$/,
      /^wasm\/ifm(-predict|-threads|-fast)?\.wasm$/,
      /^sample\/(adult\.(train|validation)\.libfm\.gz|README\.md)$/,
      /^docs\/[A-Z]+\.md$/,
    ];
    expect(paths.filter((path) => !kinds.some((kind) => kind.test(path)))).toEqual([]);
  });

  it.each([
    "LICENSE",
    "README.md",
    "THIRD-PARTY-NOTICES.md",
    "bin/ifm-wasm.js",
    "dist/checkpoint.d.ts",
    "dist/checkpoint.js",
    "dist/cli.js",
    "dist/libfm.d.ts",
    "dist/libfm.js",
    "dist/metrics.d.ts",
    "dist/metrics.js",
    "dist/node.d.ts",
    "dist/node.js",
    "dist/predict.d.ts",
    "dist/predict.js",
    "dist/serve-worker.js",
    "dist/serve.d.ts",
    "dist/serve.js",
    "dist/web.d.ts",
    "dist/worker.d.ts",
    "dist/worker.js",
    "dist/worker-host.js",
    "dist/worker-thread.js",
    ...WEB.map((name) => `dist/${name}.js`),
    "docs/API.md",
    "sample/README.md",
    "sample/adult.train.libfm.gz",
    "sample/adult.validation.libfm.gz",
    "wasm/ifm.wasm",
    "wasm/ifm-fast.wasm",
    "wasm/ifm-predict.wasm",
    "wasm/ifm-threads.wasm",
  ])("include %s", (path) => {
    expect(paths).toContain(path);
  });

  it("name no folder of the machine that built them", () => {
    const found: string[] = [];
    for (const path of paths) {
      // Bytes as characters: a path in the WebAssembly module would be found, too.
      const match = /(?<![\w.-])\/(work|root|home|tmp|Users)\/[^\s"')]*/.exec(read(path).toString("latin1"));
      if (match) found.push(`${path}: ${match[0]}`);
    }
    expect(found).toEqual([]);
  });

  it(`are at most ${MAX_UNPACKED_BYTES / 1000} kB unpacked`, () => {
    expect(packed.unpackedSize).toBeLessThanOrEqual(MAX_UNPACKED_BYTES);
  });
});

describe("the library without the command line", () => {
  it(`is at most ${MAX_CORE_GZIP_BYTES / 1000} kB with its kernels, bundled, minified and gzipped`, async () => {
    const code = gzipSync(await coreBundle(), { level: 9 }).length;
    const kernels = gzipSync(read("wasm/ifm.wasm"), { level: 9 }).length;
    expect(code + kernels, `code ${code}, kernels ${kernels} bytes`).toBeLessThanOrEqual(MAX_CORE_GZIP_BYTES);
  });

  it("does not bring the command line with it", async () => {
    const code = await coreBundle();
    for (const sign of ["commander", "NO_COLOR", "--epochs", "Bearer realm"]) expect(code).not.toContain(sign);
  });
});

/** What an entry imports, and the `.wasm` files that it knows. */
function needs(entry: string): { imports: string[]; files: string[] } {
  const code = read(`dist/${entry}.js`).toString();
  const imports = code.matchAll(/^(?:import|export)\b[^;"']*["']([^"']+)["']|\bimport\s*\(?\s*["']([^"']+)["']/gm);
  const files = code.matchAll(/new URL\("([^"]+)", import\.meta\.url\)/g);
  return {
    imports: Array.from(imports, (match) => match[1] ?? match[2]),
    files: Array.from(files, (match) => match[1]),
  };
}

describe("the entries", () => {
  const [one, predict, threads, fast] = ["", "-predict", "-threads", "-fast"].map((name) => `../wasm/ifm${name}.wasm`);
  it.each([
    [
      "browser",
      {
        imports: [
          "shared",
          "libfm",
          "gzip",
          "opfs",
          "threads",
          "reading",
          "pairs",
          "divergence",
          "checkpoints",
          "divergence",
        ].map((name) => `./browser-${name}.js`),
        files: [one, predict, threads, fast],
      },
    ],
    ["browser-pairs", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-divergence", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-checkpoints", { imports: ["./browser-shared.js"], files: [] }],
    ["worker", { imports: [], files: ["./worker-thread.js", "./worker-host.js"] }],
    ["worker-host", { imports: [], files: ["./worker-thread.js", one, predict, threads, fast] }],
    ["worker-thread", { imports: [], files: [] }],
    ["browser-reading", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-threads", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-opfs", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-shared", { imports: [], files: ["./worker-thread.js"] }],
    ["browser-libfm", { imports: ["./browser-shared.js"], files: [] }],
    ["browser-gzip", { imports: ["./browser-shared.js"], files: [] }],
    ["workerd", { imports: [one, predict], files: [] }],
    ["edge-light", { imports: [`${one}?module`, `${predict}?module`], files: [] }],
    ["inline", { imports: [], files: [] }],
    [
      "predict-browser",
      {
        imports: ["shared", "libfm", "gzip", "threads", "reading"].map((name) => `./predict-browser-${name}.js`),
        files: [predict],
      },
    ],
    ["predict-workerd", { imports: [predict], files: [] }],
    ["predict-edge-light", { imports: [`${predict}?module`], files: [] }],
    ["predict-inline", { imports: [], files: [] }],
  ])("%s needs its kernels and nothing else", (entry, expected) => {
    expect(needs(entry)).toEqual(expected);
  });

  it.each(["checkpoint", "libfm", "metrics"])("%s needs nothing of a runtime", (entry) => {
    const left = [`./${entry}.js`];
    for (const file of left) {
      expect(file).toMatch(/^\.\/[a-z-]+\.js$/);
      const { imports, files } = needs(file.slice("./".length, -".js".length));
      expect(files).toEqual([]);
      left.push(...imports.filter((name) => !left.includes(name)));
    }
  });

  it("make no code of text, which a Content-Security-Policy forbids", () => {
    for (const entry of WEB) {
      expect(read(`dist/${entry}.js`).toString(), entry).not.toMatch(/\beval\(|\bFunction\(|createObjectURL/);
    }
  });

  it("ifm-wasm/predict has no trainer in it", () => {
    const TRAINER = "a run can be iterated once";
    for (const entry of ["predict", ...WEB.filter((name) => name.startsWith("predict-"))]) {
      expect(read(`dist/${entry}.js`).toString(), entry).not.toContain(TRAINER);
    }
    expect(read("dist/browser.js").toString()).toContain(TRAINER);
  });
});

describe("package.json", () => {
  it("has the version of the code", () => {
    expect(VERSION).toBe(manifest.version);
  });

  it("asks for nothing: no dependencies, no scripts at installation", () => {
    for (const kind of ["dependencies", "optionalDependencies", "peerDependencies", "bundledDependencies"]) {
      expect(manifest[kind], kind).toBeUndefined();
    }
    for (const script of ["preinstall", "install", "postinstall"]) {
      expect(manifest.scripts[script], script).toBeUndefined();
    }
    expect(existsSync(join(ROOT, "binding.gyp"))).toBe(false); // npm would run node-gyp
  });

  it("says what it runs on", () => {
    expect(manifest.engines).toEqual({ node: ">=20.19" });
    expect(manifest.type).toBe("module");
    expect(manifest.sideEffects).toBe(false);
    expect(manifest.license).toBe("MIT");
  });

  it("exports files that are there, types first", () => {
    for (const [name, target] of Object.entries<string | Record<string, string>>(manifest.exports)) {
      if (name.endsWith("*")) continue;
      const conditions = typeof target === "string" ? { default: target } : target;
      const keys = Object.keys(conditions);
      if (keys.length > 1) expect(keys[0], name).toBe("types");
      expect(keys.at(-1), name).toBe("default");
      for (const file of Object.values(conditions)) expect(paths, name).toContain(file.replace("./", ""));
    }
  });

  it("exports an entry for every runtime", () => {
    expect(Object.keys(manifest.exports["."])).toEqual(CONDITIONS);
    expect(Object.keys(manifest.exports["./predict"])).toEqual(CONDITIONS);
  });

  it("names a program that can be run", () => {
    const { "ifm-wasm": bin } = manifest.bin;
    expect(read(bin).toString().startsWith("#!/usr/bin/env node\n")).toBe(true);
    if (process.platform !== "win32") expect(statSync(join(ROOT, bin)).mode & 0o111).toBe(0o111);
    expect(packed.files.find((file) => file.path === bin)?.mode).toBe(0o755);
  });

  it("resolves by its exports", async () => {
    // The package may import itself by name; what Node resolves here is what it resolves for a user.
    const resolve = (name: string) => fileURLToPath(import.meta.resolve(name));
    expect(resolve("ifm-wasm")).toBe(join(ROOT, "dist/node.js"));
    expect(resolve("ifm-wasm/libfm")).toBe(join(ROOT, "dist/libfm.js"));
    expect(resolve("ifm-wasm/metrics")).toBe(join(ROOT, "dist/metrics.js"));
    expect(resolve("ifm-wasm/checkpoint")).toBe(join(ROOT, "dist/checkpoint.js"));
    expect(resolve("ifm-wasm/serve")).toBe(join(ROOT, "dist/serve.js"));
    expect(resolve("ifm-wasm/predict")).toBe(join(ROOT, "dist/predict.js"));
    expect(resolve("ifm-wasm/inline")).toBe(join(ROOT, "dist/inline.js"));
    expect(resolve("ifm-wasm/wasm/ifm-threads.wasm")).toBe(join(ROOT, "wasm/ifm-threads.wasm"));
    expect(resolve("ifm-wasm/wasm")).toBe(join(ROOT, "wasm/ifm.wasm"));
    expect(resolve("ifm-wasm/package.json")).toBe(join(ROOT, "package.json"));
  });

  it("has types that are right for everybody who can import them", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ifm-wasm-types-"));
    try {
      execFileSync("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: ROOT, stdio: "ignore" });
      const attw = join(ROOT, "node_modules", "@arethetypeswrong", "cli", "dist", "index.js");
      // The package is ESM only, and a .wasm file has no types.
      const args = [join(folder, `ifm-wasm-${VERSION}.tgz`), "--profile", "esm-only", "--exclude-entrypoints", "wasm"];
      const { status, stdout } = spawnSync(process.execPath, [attw, ...args], { encoding: "utf8" });
      expect(stdout).toContain('"ifm-wasm/predict"');
      expect(status, stdout).toBe(0);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("has nothing that publint would say", async () => {
    const { messages, pkg } = await publint({ pkgDir: ROOT, pack: "npm", strict: true });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });
});
