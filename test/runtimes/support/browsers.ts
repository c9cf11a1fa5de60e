import { createRequire } from "node:module";
import { systemProgram } from "../install.js";
import type { Hashes } from "./fixture-tests.js";
import { serve } from "./server.js";

/** What we use of puppeteer-core, which is not there before it is installed. */
interface Page {
  goto(url: string): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
}
interface Browser extends AsyncDisposable {
  version(): Promise<string>;
  newPage(): Promise<Page>;
}
interface Puppeteer {
  launch(options: Record<string, unknown>): Promise<Browser>;
}

const CHROMIUM_ARGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const FIREFOX_PREFERENCES = { "network.captive-portal-service.enabled": false, "app.update.enabled": false };

/** How often a browser is started before it counts as broken; a busy machine makes some miss their time. */
const STARTS = 3;

/** Starts a browser without a window. */
export async function startBrowser(name: "chromium" | "firefox"): Promise<Browser> {
  const require = createRequire(new URL("../package.json", import.meta.url));
  const puppeteer: Puppeteer = require("puppeteer-core");
  const root = process.getuid?.() === 0;
  const options = {
    browser: name === "firefox" ? "firefox" : "chrome",
    executablePath: systemProgram(name),
    headless: true,
    args: name === "chromium" ? [...CHROMIUM_ARGS, ...(root ? ["--no-sandbox"] : [])] : [],
    extraPrefsFirefox: FIREFOX_PREFERENCES,
  };
  for (let start = 1; ; start++) {
    try {
      return await puppeteer.launch(options);
    } catch (error) {
      if (start === STARTS) throw error;
    }
  }
}

/** Runs the fixture in a page: with one thread in the page itself, with several in a worker, as one may not wait there. */
export async function runInPage(browser: Browser, threads: number): Promise<Hashes> {
  await using server = await serve();
  const page = await browser.newPage();
  await page.goto(`${server.origin}/test/runtimes/support/page/index.html`);
  return (await page.evaluate(`window.runFixture(${threads})`)) as Hashes;
}
