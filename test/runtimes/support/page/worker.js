import * as api from "../../../../dist/browser.js";
import { runFixture } from "../../fixture.mjs";

self.onmessage = async ({ data: threads }) => {
  try {
    self.postMessage({ hashes: await runFixture(api, threads) });
  } catch (error) {
    self.postMessage({ error: String(error) });
  }
};
