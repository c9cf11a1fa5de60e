// One fresh process of bench/start.js: milliseconds of importing the package and of the first model.
import { readFileSync } from "node:fs";

const bytes = readFileSync(process.argv[2]);
const begin = performance.now();
const { Model } = await import("../dist/node.js");
const imported = performance.now();
const model = await Model.load(bytes);
const loaded = performance.now();
await model.dispose();
console.log(JSON.stringify({ imported: imported - begin, loaded: loaded - imported }));
