/** What runs in the web worker of `ifm-wasm/worker`. */
import { serve } from "./worker/host.js";

serve(self as unknown as Parameters<typeof serve>[0]);
