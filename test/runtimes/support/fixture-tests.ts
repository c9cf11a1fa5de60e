import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, inject, it } from "vitest";
import { ROOT } from "./processes.js";
import { digestOf, type Hashes, readRecord } from "./record.js";

/** What a run of test/runtimes/fixture.mjs in some runtime gives. */
export interface Result {
  version: string;
  hashes: Hashes;
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

/** Keeps what tools/runtimes.js writes into docs/RUNTIMES.md. */
function keep(engine: string, threads: number, { version, hashes }: Result): void {
  const folder = join(ROOT, "build", "runtimes");
  const sha256 = digestOf(hashes);
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
      expect(result.hashes).toEqual(readRecord());
      keep(name, threads, result);
    });
  });
}
