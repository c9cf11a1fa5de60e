// Beside fixture.mjs in a folder that has the package installed: bun run.mjs THREADS. Prints JSON.
import * as api from "ifm-wasm";
import { runFixture } from "./fixture.mjs";

console.log(JSON.stringify({ version: Bun.version, hashes: await runFixture(api, Number(Bun.argv[2])) }));
