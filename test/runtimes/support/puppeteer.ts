import { createRequire } from "node:module";
import { systemProgram } from "../install.js";
import type { Browser } from "./browser.js";

/** A tab. What we use of puppeteer-core, which is not there before it is installed. */
export interface Page {
  goto(url: string): Promise<unknown>;
  evaluate(expression: string): Promise<unknown>;
  on(event: "console", listener: (message: { type(): string; text(): string }) => void): unknown;
  on(event: "pageerror", listener: (error: Error) => void): unknown;
  setViewport(viewport: { width: number; height: number }): Promise<void>;
  /** Chromium only. */
  emulateMediaFeatures(features: { name: string; value: string }[]): Promise<void>;
  screenshot(options: {
    path?: string;
    clip?: { x: number; y: number; width: number; height: number };
  }): Promise<Uint8Array>;
  /** Chromium only. */
  tracing: { start(options: { categories: string[] }): Promise<void>; stop(): Promise<Uint8Array | undefined> };
  close(): Promise<void>;
}

/** A browser with any number of tabs. */
export interface Tabs {
  version(): Promise<string>;
  newPage(): Promise<Page>;
  close(): Promise<void>;
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
export function launchTabs(name: keyof typeof OPTIONS): Promise<Tabs> {
  const require = createRequire(new URL("../package.json", import.meta.url));
  const puppeteer: { launch(options: Record<string, unknown>): Promise<Tabs> } = require("puppeteer-core");
  const { args, ...options } = OPTIONS[name];
  // Root cannot use Chromium's sandbox.
  const more = name === "chromium" && process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  const executablePath = systemProgram(name);
  return puppeteer.launch({
    ...options,
    args: [...args, ...more],
    executablePath,
    headless: true,
    protocolTimeout: CALL_MILLISECONDS,
  });
}

/** Starts Chromium or Firefox with one tab. */
export async function launch(name: keyof typeof OPTIONS): Promise<Browser> {
  const browser = await launchTabs(name);
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
