import { tmpdir } from "node:os";
import { join } from "node:path";
import { packageFolder } from "../install.js";

export const binary = join(packageFolder("deno"), "deno");

/** Its cache is not the user's, and it asks nobody for anything. */
export const env = { DENO_DIR: join(tmpdir(), "ifm-wasm-deno"), DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" };
