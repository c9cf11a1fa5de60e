import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { ROOT } from "./processes.js";

/** What test/runtimes/fixture.mjs returns: for each run the hashes of what came out. */
export type Hashes = Record<string, { weights: string; predictions: string; losses: string }>;

export interface Engine {
  /** As in docs/RUNTIMES.md. */
  name: string;
  /** Whether its program is there. */
  installed: boolean;
  version(): Promise<string>;
  /** Runs the fixture in it. */
  run(threads: number): Promise<Hashes>;
  /** Why it computes with one thread only, if so. */
  oneThread?: string;
}

/** What every runtime must come to; test/runtimes/node/node.test.ts says how it is made anew. */
export const RECORD = new URL("../../fixtures/runtime-hashes.json", import.meta.url);

/** Keeps what tools/runtimes.js writes into docs/RUNTIMES.md. */
function keep(engine: string, version: string, threads: number, hashes: Hashes): void {
  const folder = join(ROOT, "build", "runtimes");
  const sha256 = createHash("sha256").update(JSON.stringify(hashes)).digest("hex");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${engine}, ${threads}.json`), JSON.stringify({ engine, version, threads, sha256 }));
}

/** The tests that every runtime must pass. */
export function testFixture({ name, installed, version, run, oneThread }: Engine): void {
  const missing = installed ? undefined : [`${name} is not installed`, ...inject("notInstalled")].join("; ");
  if (missing !== undefined) console.error(`\nSKIPPED: ${missing}\n`);

  describe(name, () => {
    it.for([
      { threads: 1, reason: missing },
      { threads: 2, reason: missing ?? oneThread },
    ])("comes to the bits of the record with threads: $threads", async ({ threads, reason }, context) => {
      context.skip(reason !== undefined, reason);
      const found = await run(threads);
      expect(found).toEqual(JSON.parse(readFileSync(RECORD, "utf8")));
      keep(name, await version(), threads, found);
    });
  });
}
