import { defineConfig } from "vitest/config";
import { NOT_UNIT, onDebugKernels } from "./vitest.config.js";

// All unit tests on kernels with assertions: npm run test:debug

export default defineConfig({
  test: {
    globalSetup: "test/support/global-setup.ts",
    maxWorkers: "100%",
    projects: [onDebugKernels("debug", ["test/**/*.test.ts"], NOT_UNIT)],
  },
});
