// Writes docs/demo-light.png and docs/demo-dark.png: the demo in Chromium after training on the sample.
//
//   node tools/demo-screenshots.js      after npm run build

import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { serveDemo } from "../demo/server.js";
import { install, isInstalled, systemProgram } from "../test/runtimes/install.js";
import { withPalette } from "./png.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const WIDTH = 1280;
const HEIGHT = 2226;
const TRAINING_MILLISECONDS = 300_000;

const missing = await install();
const executablePath = systemProgram("chromium");
if (executablePath === undefined || !isInstalled("puppeteer-core")) throw new Error(missing.join("; "));

const npm = (...args) =>
  execFileSync("npm", args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });
if (!existsSync(`${ROOT}demo/node_modules/vite`)) npm("ci", "--prefix", "demo", "--ignore-scripts");
npm("run", "build", "--prefix", "demo", "--", "--logLevel", "warn");

const puppeteer = createRequire(new URL("../test/runtimes/package.json", import.meta.url))("puppeteer-core");
const args = ["--disable-gpu", ...(process.getuid?.() === 0 ? ["--no-sandbox"] : [])];
const browser = await puppeteer.launch({
  executablePath,
  args,
  headless: true,
  protocolTimeout: TRAINING_MILLISECONDS,
});
const server = await serveDemo(0);
try {
  const page = await browser.newPage();
  await page.setViewport({ width: WIDTH, height: 900 });
  await page.goto(`http://localhost:${server.address().port}/`);
  const ready = () => !document.getElementById("train").disabled;
  await page.waitForFunction(ready, { timeout: TRAINING_MILLISECONDS });
  await page.click("#train");
  await page.waitForFunction(ready, { timeout: TRAINING_MILLISECONDS });
  await page.waitForFunction(() => document.querySelectorAll("#what-if tbody tr").length > 0);
  for (const theme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    // The pointer is somewhere on the page; nothing is to look as if it were hovered over.
    await page.mouse.move(0, 0);
    const path = `${ROOT}docs/demo-${theme}.png`;
    const png = await page.screenshot({ clip: { x: 0, y: 0, width: WIDTH, height: HEIGHT } });
    writeFileSync(path, withPalette(Buffer.from(png)));
    console.log(path.slice(ROOT.length));
  }
} finally {
  await browser.close();
  server.close();
}
