// Started by fast.js with a Node that has relaxed SIMD: measures what that is worth and prints it as JSON.
import { benchFast } from "./fast.js";

console.log(JSON.stringify(await benchFast({ quick: process.argv[2] === "true", log: console.error })));
