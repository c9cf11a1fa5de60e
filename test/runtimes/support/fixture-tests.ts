import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { ROOT } from "./processes.js";

/** What a run of test/runtimes/fixture.mjs in some runtime gives. */
export interface Result {
  version: string;
  /** For each training, of what came out. */
  hashes: Record<string, { weights: string; predictions: string; losses: string }>;
}

export interface Engine {
  /** As in docs/RUNTIMES.md. */
  name: string;
  /** Whether all is there that it needs. */
  installed: boolean;
  /** Why it computes with one thread only, if so. */
  oneThread?: string;
  /** Runs the fixture in it. */
  run(threads: number): Promise<Result>;
}

/** What every runtime must come to; test/runtimes/node/node.test.ts says how it is made anew. */
export const RECORD = new URL("../../fixtures/runtime-hashes.json", import.meta.url);

/** Keeps what tools/runtimes.js writes into docs/RUNTIMES.md. */
function keep(engine: string, threads: number, { version, hashes }: Result): void {
  const folder = join(ROOT, "build", "runtimes");
  const sha256 = createHash("sha256").update(JSON.stringify(hashes)).digest("hex");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${engine}, ${threads}.json`), JSON.stringify({ engine, version, threads, sha256 }));
}

/** The tests that every runtime must pass. */
export function testFixture({ name, installed, oneThread, run }: Engine): void {
  const missing = installed ? undefined : [`${name} is not installed`, ...inject("notInstalled")].join("; ");
  if (missing !== undefined) console.error(`\nSKIPPED: ${missing}\n`);

  describe(name, () => {
    it.for([
      { threads: 1, reason: missing },
      { threads: 2, reason: missing ?? oneThread },
    ])("comes to the bits of the record with threads: $threads", async ({ threads, reason }, context) => {
      context.skip(reason !== undefined, reason);
      const result = await run(threads);
      expect(result.hashes).toEqual(JSON.parse(readFileSync(RECORD, "utf8")));
      keep(name, threads, result);
    });
  });
}
