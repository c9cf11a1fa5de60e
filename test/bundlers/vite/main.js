import { Model } from "ifm-wasm/predict";
import { outcome } from "../app.js";

globalThis.outcome = outcome({}, Model);
