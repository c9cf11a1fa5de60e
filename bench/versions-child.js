// Started by versions.js with another Node: measures the kernels and prints them as JSON.
import { fileURLToPath } from "node:url";
import { benchKernels } from "./kernels.js";
import { measureLimits } from "./limits.js";

const path = (name) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const limits = await measureLimits(path("build/bench/limits.wasm"), 0.02);
const kernels = await benchKernels(path("build/bench/kernels.wasm"), path("src/wasm/abi.ts"), limits, {
  time: Number(process.argv[2]),
});
console.log(JSON.stringify({ version: process.version, kernels }));
