/** What runs in the web worker of `ifm-wasm/worker`. */
import { spawnBy } from "./threads-browser.js";
import { type Port, serve } from "./worker/host.js";
import { spawnInPage } from "./worker/page-threads.js";

const page = self as unknown as Port;
spawnBy(spawnInPage(page));
serve(page);
