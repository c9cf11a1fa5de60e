// Beside fixture.mjs in a folder that has the package installed: deno run run.mjs THREADS. Prints JSON.
import * as api from "ifm-wasm";
import { runFixture } from "./fixture.mjs";

console.log(JSON.stringify({ version: Deno.version.deno, hashes: await runFixture(api, Number(Deno.args[0])) }));
