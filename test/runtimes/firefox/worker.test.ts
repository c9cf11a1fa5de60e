import { isInstalled, systemProgram } from "../install.js";
import { testWorker } from "../support/worker-tests.js";

testWorker("firefox", systemProgram("firefox") !== undefined && isInstalled("puppeteer-core"));
