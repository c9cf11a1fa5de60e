import { isInstalled, systemProgram } from "../install.js";
import { runInPage, startBrowser } from "../support/browsers.js";
import { testFixture } from "../support/fixture-tests.js";

testFixture({
  name: "Chromium",
  installed: systemProgram("chromium") !== undefined && isInstalled("puppeteer-core"),
  async version() {
    await using browser = await startBrowser("chromium");
    return (await browser.version()).replace(/^.*\//, "");
  },
  async run(threads) {
    await using browser = await startBrowser("chromium");
    return runInPage(browser, threads);
  },
});
