import { createHash } from "node:crypto";
import { cp, readdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, inject, it, type TestContext } from "vitest";
import { createTrainer, readLibfm } from "../../src/node.js";
import { isInstalled, systemProgram } from "../runtimes/install.js";
import { type Browser, start } from "../runtimes/support/browser.js";
import { output, startService } from "../runtimes/support/processes.js";
import { launch } from "../runtimes/support/puppeteer.js";
import { serve } from "../runtimes/support/server.js";
import { BUILT, build, installBundlers, installPackage, program } from "./support.js";

// What a user does: install the package, import it, bundle. docs/RUNTIMES.md says which settings that takes; the fixtures
// have those and no others. Bundlers are pinned in the package.json beside this file.

const FOLDER = new URL("./", import.meta.url);
const PAGE = new URL("page.html", FOLDER);

const problem = await installBundlers();
if (problem !== undefined) console.error(`\nSKIPPED: bundlers\n  ${problem}\n`);
const hasChromium = systemProgram("chromium") !== undefined && isInstalled("puppeteer-core");
if (!hasChromium) console.error("\nSKIPPED: bundles in a page: Chromium or puppeteer-core is not installed\n");

function needsBundlers(context: TestContext): void {
  context.skip(problem !== undefined, problem);
}

function needsChromium(context: TestContext): void {
  needsBundlers(context);
  context.skip(!hasChromium, ["Chromium or puppeteer-core is not installed", ...inject("notInstalled")].join("; "));
}

interface Outcome {
  losses: number[];
  scores: number[];
  ece: number;
}
let expected: Outcome;

beforeAll(async () => {
  if (problem !== undefined) return;
  await rm(BUILT, { recursive: true, force: true });
  await installPackage();
  const { run } = await import(new URL("app.js", FOLDER).href);
  expected = await run();
});

let browser: Browser | undefined;
afterAll(() => browser?.[Symbol.asyncDispose]());

/** What becomes of `globalThis.outcome` in a page. */
async function outcomeAt(url: string): Promise<unknown> {
  browser ??= await start(() => launch("chromium"));
  await browser.open(url);
  return browser.evaluate("globalThis.outcome");
}

/** The same of a page that is built, under a strict Content-Security-Policy. */
async function outcomeOf(folder: string, headers: Record<string, string> = {}): Promise<unknown> {
  await using server = await serve({ root: folder, served: /./, headers });
  return await outcomeAt(`${server.origin}/index.html`);
}

const into = (name: string) => join(BUILT, name);
const wasmIn = async (folder: string) =>
  (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".wasm"));

it("Node computes what is compared", () => {
  if (problem !== undefined) return;
  expect(expected.losses).toHaveLength(3);
  expect(expected.losses[2]).toBeLessThan(expected.losses[0]);
  expect(expected.scores.every(Number.isFinite)).toBe(true);
  expect(expected.ece).toBeGreaterThan(0);
});

describe("Vite", () => {
  it("builds, without settings", async (context) => {
    needsChromium(context);
    const folder = into("vite");
    await build("vite", "vite", ["build", "--outDir", folder, "--logLevel", "warn"]);
    expect(await wasmIn(folder)).toHaveLength(4);
    expect(await outcomeOf(folder)).toEqual(expected);

    // A policy that forbids kernels is named, too.
    const policy = { "content-security-policy": "default-src 'self'" };
    expect(await outcomeOf(folder, policy)).toMatchObject({
      error: { name: "IfmError", code: "IFM_WASM", hint: expect.stringContaining("'wasm-unsafe-eval'") },
    });
  });

  /** Runs the development server. */
  async function outcomeInDevelopment(vite: string, config: string): Promise<unknown> {
    const folder = new URL("vite", FOLDER).pathname;
    const args = [program(vite, "vite"), "--config", new URL(config, FOLDER).pathname, "--force"];
    await using server = await startService(process.execPath, [...args, folder], {
      ready: /Local:\s+(\S+)/,
      env: { NO_COLOR: "1", IFM_VITE_CACHE: into(`${vite}-cache`) },
    });
    return await outcomeAt(server.said[1]!);
  }

  it("serves during development, without settings", async (context) => {
    needsChromium(context);
    expect(await outcomeInDevelopment("vite", "vite/plain.config.js")).toEqual(expected);
  });

  it("says, up to version 7, which setting is missing", async (context) => {
    needsChromium(context);
    expect(await outcomeInDevelopment("vite7", "vite/plain.config.js")).toMatchObject({
      error: {
        name: "IfmError",
        code: "IFM_WASM",
        message: expect.stringContaining('expected WebAssembly, found "<!doctype html>'),
        hint: expect.stringContaining('add "ifm-wasm" to optimizeDeps.exclude'),
      },
    });
  });

  it("serves during development, up to version 7 with that setting", async (context) => {
    needsChromium(context);
    expect(await outcomeInDevelopment("vite7", "vite/exclude.config.js")).toEqual(expected);
  });
});

describe("webpack", () => {
  it("builds, without settings", async (context) => {
    needsChromium(context);
    const folder = into("webpack");
    await build("webpack", "webpack-cli", ["--mode", "production", "--entry", "./main.js", "--output-path", folder]);
    await cp(PAGE, join(folder, "index.html"));
    expect(await wasmIn(folder)).toHaveLength(4);
    expect(await outcomeOf(folder)).toEqual(expected);
  });
});

describe("Rollup", () => {
  it("builds one file that needs no other, without settings", async (context) => {
    needsBundlers(context);
    const folder = into("rollup");
    await build("rollup", "rollup", ["--config", "rollup.config.js", "--dir", folder, "--silent"]);
    expect(await readdir(folder)).toEqual(["main.js"]);
    expect(JSON.parse(await output(process.execPath, [join(folder, "main.js")]))).toEqual(expected);
  });
});

describe("esbuild", () => {
  const bundle = (entry: string, folder: string, ...args: string[]) =>
    build("esbuild", "esbuild", [entry, "--bundle", "--format=esm", `--outfile=${folder}/main.js`, ...args]);

  it("builds for a page with a loader for .wasm", async (context) => {
    needsChromium(context);
    const folder = into("esbuild");
    await bundle("main.js", folder, "--loader:.wasm=file");
    await cp(PAGE, join(folder, "index.html"));
    expect(await wasmIn(folder)).toHaveLength(1);
    expect(await outcomeOf(folder)).toEqual(expected);
  });

  it("builds for a page without the loader, and the error says what is missing", async (context) => {
    needsChromium(context);
    const folder = into("esbuild-plain");
    await bundle("plain.js", folder);
    await cp(PAGE, join(folder, "index.html"));
    expect(await outcomeOf(folder)).toMatchObject({
      error: {
        name: "IfmError",
        code: "IFM_WASM",
        message: expect.stringMatching(/wasm\/ifm\.wasm: found HTTP status 404$/),
        hint: expect.stringContaining('import "ifm-wasm/inline"'),
      },
    });
  });

  it("builds one file for a page that needs no other, for ifm-wasm/inline", async (context) => {
    needsChromium(context);
    const folder = into("esbuild-inline");
    // An alias is also that of what lies below it.
    const same = ["libfm", "metrics"].map((name) => `--alias:ifm-wasm/${name}=ifm-wasm/${name}`);
    await bundle("plain.js", folder, "--alias:ifm-wasm=ifm-wasm/inline", ...same);
    await cp(PAGE, join(folder, "index.html"));
    expect(await outcomeOf(folder)).toEqual(expected);
  });
});

/** What we use of edge-runtime, which is not there before it is installed. */
interface EdgeRuntime {
  dispatchFetch(url: string, init: { method: string; body: FormData }): Promise<Response>;
  context: Record<string, unknown> & { FormData: typeof FormData; Blob: typeof Blob };
}
interface EdgeRuntimeModule {
  EdgeRuntime: new (options: { initialCode: string; extend: (context: object) => object }) => EdgeRuntime;
}

describe("Next.js's edge runtime", () => {
  it("gets compiled modules, and predicts", async (context) => {
    needsBundlers(context);
    const folder = into("edge");
    await build("edge", "webpack-cli", ["--config", "webpack.config.js", "--entry", "./main.js", "-o", folder]);
    const [file, ...others] = await wasmIn(folder);
    expect(others).toEqual([]);
    const bytes = await readFile(join(folder, file!));
    const name = file!.replace(/\.wasm$/, "");
    expect(name).toBe(`wasm_${createHash("sha1").update(bytes).digest("hex")}`);

    const require = createRequire(pathToFileURL(join(FOLDER.pathname, "package.json")));
    const { EdgeRuntime } = require("edge-runtime") as EdgeRuntimeModule;
    const module = await WebAssembly.compile(bytes);
    const runtime = new EdgeRuntime({
      initialCode: await readFile(join(folder, "main.js"), "utf8"),
      extend: (inside) => Object.assign(inside, { [name]: module }),
    });

    const rows = "1 0:1 2:1\n-1 1:1 2:1\n1 0:1 3:0.5\n";
    const train = await readLibfm(rows);
    using trainer = await createTrainer({ model: { model: "ifm" }, train: { epochs: 3 }, data: { train } });
    for await (const _event of trainer);
    using model = trainer.model();
    const form = new runtime.context.FormData();
    form.set("model", new runtime.context.Blob([Uint8Array.from(model.toBytes())]), "model.safetensors");
    form.set("rows", new runtime.context.Blob([rows]), "rows.libfm");
    const response = await runtime.dispatchFetch("http://localhost/", { method: "POST", body: form });
    expect(await response.json()).toEqual(Array.from(model.predict(train, { link: "sigmoid" })));
  });
});
