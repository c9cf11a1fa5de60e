import { createRequire } from "node:module";
import { systemProgram } from "../install.js";
import type { Browser } from "./browser.js";

/** What we use of puppeteer-core, which is not there before it is installed. */
interface Puppeteer {
  launch(options: Record<string, unknown>): Promise<{
    version(): Promise<string>;
    newPage(): Promise<{ goto(url: string): Promise<unknown>; evaluate(expression: string): Promise<unknown> }>;
    close(): Promise<void>;
  }>;
}

const OPTIONS = {
  chromium: {
    browser: "chrome",
    args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  },
  firefox: {
    browser: "firefox",
    args: [],
    extraPrefsFirefox: { "network.captive-portal-service.enabled": false, "app.update.enabled": false },
  },
};

/** What a call may take: training in a page is one. */
const CALL_MILLISECONDS = 240_000;

/** Starts Chromium or Firefox without a window. */
export async function launch(name: keyof typeof OPTIONS): Promise<Browser> {
  const require = createRequire(new URL("../package.json", import.meta.url));
  const puppeteer: Puppeteer = require("puppeteer-core");
  const { args, ...options } = OPTIONS[name];
  // Root cannot use Chromium's sandbox.
  const more = name === "chromium" && process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const executablePath = systemProgram(name);
  const browser = await puppeteer.launch({
    ...options,
    args: [...args, ...more],
    executablePath,
    headless: true,
    protocolTimeout: CALL_MILLISECONDS,
  });
  const page = await browser.newPage();
  return {
    version: (await browser.version()).replace(/^.*\//, ""),
    async open(url) {
      await page.goto(url);
    },
    evaluate: (expression) => page.evaluate(expression),
    [Symbol.asyncDispose]: () => browser.close(),
  };
}
