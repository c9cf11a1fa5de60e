import { isInstalled, systemProgram } from "../install.js";
import { testWorker } from "../support/worker-tests.js";

testWorker("chromium", systemProgram("chromium") !== undefined && isInstalled("puppeteer-core"));
