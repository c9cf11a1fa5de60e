import { isInstalled, systemProgram } from "../install.js";
import { testBrowser } from "../support/browser.js";
import { launch } from "../support/puppeteer.js";

const installed = systemProgram("firefox") !== undefined && isInstalled("puppeteer-core");

// The fixture starts its threads from a worker. Those of ifm-wasm/worker, which the page starts, are in worker.test.ts.
const oneThread = "Firefox 153 now and then stops for good when a worker starts another";

testBrowser({ name: "Firefox", installed, oneThread }, () => launch("firefox"));
