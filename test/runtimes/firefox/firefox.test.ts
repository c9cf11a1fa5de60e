import { isInstalled, systemProgram } from "../install.js";
import { runInPage, startBrowser } from "../support/browsers.js";
import { testFixture } from "../support/fixture-tests.js";

testFixture({
  name: "Firefox",
  installed: systemProgram("firefox") !== undefined && isInstalled("puppeteer-core"),
  async version() {
    await using browser = await startBrowser("firefox");
    return (await browser.version()).replace(/^.*\//, "");
  },
  async run(threads) {
    await using browser = await startBrowser("firefox");
    return runInPage(browser, threads);
  },
});
