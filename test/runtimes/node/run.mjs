// Beside fixture.mjs in a folder that has the package installed: NODE run.mjs THREADS. Prints JSON.
import * as api from "ifm-wasm";
import { runFixture } from "./fixture.mjs";

console.log(JSON.stringify({ version: process.versions.node, hashes: await runFixture(api, Number(process.argv[2])) }));
