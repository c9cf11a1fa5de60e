import { outcome } from "../app.js";

globalThis.outcome = outcome();
