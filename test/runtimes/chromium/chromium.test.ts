import { expect, inject, it } from "vitest";
import config from "../../../vitest.config.js";
import { isInstalled, systemProgram } from "../install.js";
import { testBrowser } from "../support/browser.js";
import { launch } from "../support/puppeteer.js";

const hasChromium = systemProgram("chromium") !== undefined;

testBrowser({ name: "Chromium", installed: hasChromium && isInstalled("puppeteer-core") }, () => launch("chromium"));

it("runs the unit tests of the core: the project browser", (context) => {
  context.skip(!hasChromium, ["Chromium is not installed", ...inject("notInstalled")].join("; "));
  expect(config.test?.projects).toContainEqual(
    expect.objectContaining({ test: expect.objectContaining({ name: "browser" }) }),
  );
});
