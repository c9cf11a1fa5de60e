import { systemProgram } from "../install.js";
import { testBrowser } from "../support/browser.js";
import { launch } from "./driver.js";

const programs = [systemProgram("webkitDriver"), systemProgram("miniBrowser"), systemProgram("xvfb")];
const installed = programs.every((program) => program !== undefined);

// Shared memory is behind an option of JavaScriptCore.
testBrowser({ name: "WebKitGTK", installed, oneThread: "threads have not been tried in it" }, (threads) =>
  launch(threads > 1 ? { JSC_useSharedArrayBuffer: "1" } : {}),
);
