import { buildWasm } from "../../tools/build-wasm.js";

/** Tests of old kernels prove nothing: what is older than its sources is built again. Fresh ones cost a look at the clock. */
export default function setup(): Promise<void> {
  return buildWasm({ tests: true });
}
