// Builds the page and serves it; installs before what that takes, if it is not there.
//
//   node demo/start.js [--port N]

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { serveDemo } from "./server.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const { values } = parseArgs({ options: { port: { type: "string", default: "8420" } } });

const npm = (...args) =>
  execFileSync("npm", args, { cwd: ROOT, stdio: "inherit", shell: process.platform === "win32" });

if (!existsSync(`${ROOT}dist/worker.js`) || !existsSync(`${ROOT}wasm/ifm-threads.wasm`)) npm("run", "build");
if (!existsSync(`${ROOT}demo/node_modules/vite`)) {
  npm("ci", "--prefix", "demo", "--ignore-scripts", "--no-audit", "--no-fund");
}
npm("run", "build", "--prefix", "demo", "--", "--logLevel", "warn");

const server = await serveDemo(Number(values.port));
console.log(`http://localhost:${server.address().port}/   (Ctrl-C ends it)`);
