import * as api from "../../../../dist/browser.js";
import { runFixture } from "../../fixture.mjs";

/** In the page with one thread; with several in a worker, as a page must not wait. */
window.runFixture = (threads) => (threads === 1 ? runFixture(api) : runInWorker(threads));

function runInWorker(threads) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => ("hashes" in data ? resolve(data.hashes) : reject(new Error(data.error)));
    worker.onerror = ({ message }) => reject(new Error(`worker: ${message}`));
    worker.postMessage(threads);
  }).finally(() => worker.terminate());
}
