// Run beside fixture.mjs in a folder that has the package installed: NODE run.mjs THREADS. Prints the hashes as JSON.
import * as api from "ifm-wasm";
import { runFixture } from "./fixture.mjs";

console.log(JSON.stringify(await runFixture(api, Number(process.argv[2]))));
