import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { systemProgram } from "./test/runtimes/install.js";

/** Tests of what `npm run build` makes: too slow for the fast loop, which needs no build. */
const OF_THE_BUILD = ["test/cli/process.test.ts", "test/cli/serve.test.ts", "test/package.test.ts"];

/** Unit tests that run in a browser, too: those of folders of the core that use nothing of Node themselves. */
const OF_THE_CORE = ["data", "kernels", "metrics", "model", "models", "reference", "train", "tune", "wasm"];
const USES_NODE = /\bfrom "node:|\bBuffer\b|\bprocess\./;

function browserTests(): string[] {
  const inFolder = (folder: string) => readdirSync(`test/${folder}`).map((name) => `test/${folder}/${name}`);
  const tests = OF_THE_CORE.flatMap(inFolder).filter((name) => name.endsWith(".test.ts"));
  return tests.filter((name) => !USES_NODE.test(readFileSync(name, "utf8")));
}

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** What gives a page shared memory. */
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

/** Unit tests in a real Chromium. */
function inChromium(executablePath: string): TestProjectInlineConfiguration {
  const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
  // Root cannot use Chromium's sandbox.
  if (process.getuid?.() === 0) args.push("--no-sandbox");
  return {
    extends: true,
    plugins: [
      {
        name: "isolation",
        configureServer({ middlewares }) {
          middlewares.use((_request, response, next) => {
            for (const [name, value] of Object.entries(ISOLATION)) response.setHeader(name, value);
            next();
          });
        },
      },
    ],
    resolve: {
      alias: [
        { find: "#runtime", replacement: path("src/runtime-browser.ts") },
        { find: /^.*\/host\.js$/, replacement: path("test/support/host-browser.ts") },
      ],
    },
    test: {
      name: "browser",
      include: browserTests(),
      testTimeout: 60_000,
      browser: {
        enabled: true,
        headless: true,
        screenshotFailures: false,
        provider: playwright({ launchOptions: { executablePath, args } }),
        instances: [{ browser: "chromium" }],
      },
    },
  };
}

const chromium = systemProgram("chromium");

export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    // Every core: by default one is left idle, which on two cores is half of them.
    maxWorkers: "100%",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [
            "test/slow/**",
            "test/runtimes/**",
            "test/bundlers/**",
            "test/fuzz/**",
            "test/demo/**",
            ...OF_THE_BUILD,
          ],
          testTimeout: 30_000,
        },
      },
      {
        extends: true,
        test: {
          name: "slow",
          include: ["test/{slow,fuzz,demo}/**/*.test.ts", ...OF_THE_BUILD],
          exclude: ["**/node_modules/**"],
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
      {
        extends: true,
        test: {
          name: "runtimes",
          include: ["test/{runtimes,bundlers}/**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          globalSetup: "test/runtimes/support/global-setup.ts",
          testTimeout: 300_000,
          hookTimeout: 600_000,
        },
      },
      ...(chromium === undefined ? [] : [inChromium(chromium)]),
    ],
  },
});
