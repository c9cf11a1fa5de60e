import wasm from "ifm-wasm/wasm/ifm.wasm";
import { outcome } from "../app.js";

// With --loader:.wasm=file esbuild copies the file, and this is its new name.
globalThis.outcome = outcome({ wasm: new URL(wasm, import.meta.url) });
