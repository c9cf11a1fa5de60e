import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

/** For each training of test/runtimes/fixture.mjs, hashes of what came out. */
export type Hashes = Record<string, { weights: string; predictions: string; losses: string }>;

/** What every runtime must come to; test/runtimes/node/node.test.ts says how it is made anew. */
export const RECORD = new URL("../../fixtures/runtime-hashes.json", import.meta.url);

export function readRecord(): Hashes {
  return JSON.parse(readFileSync(RECORD, "utf8"));
}

/** SHA-256 of all hashes, in the order of their names: drivers of browsers do not keep the order of keys. */
export function digestOf(hashes: Hashes): string {
  const lines = Object.entries(hashes).map(([name, { weights, predictions, losses }]) => {
    return `${name} ${weights} ${predictions} ${losses}\n`;
  });
  return createHash("sha256").update(lines.sort().join("")).digest("hex");
}
