import { defineConfig } from "vitest/config";

/** Tests of what `npm run build` makes: too slow for the fast loop, which needs no build. */
const OF_THE_BUILD = ["test/cli/process.test.ts", "test/package.test.ts"];

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
          exclude: ["test/slow/**", "test/runtimes/**", "test/fuzz/**", "test/demo/**", ...OF_THE_BUILD],
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
          include: ["test/runtimes/**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          globalSetup: "test/runtimes/support/global-setup.ts",
          testTimeout: 300_000,
        },
      },
    ],
  },
});
