import { isInstalled, systemProgram } from "../install.js";
import { testBrowser } from "../support/browser.js";
import { launch } from "../support/puppeteer.js";

const installed = systemProgram("firefox") !== undefined && isInstalled("puppeteer-core");

testBrowser({ name: "Firefox", installed }, () => launch("firefox"));
