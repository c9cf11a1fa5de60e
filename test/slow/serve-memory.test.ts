import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { buildCommand, inRepository } from "../cli/support.js";

describe("ifm-wasm serve", () => {
  // bench/serve/memory.js without arguments does the same with 100,000 requests.
  it("does not grow with the number of requests, whatever they are", async () => {
    buildCommand();
    const args = [inRepository("bench/serve/memory.js"), "--requests", "3000"];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 280_000 });
    expect(stdout.match(/requests +\d+ MB$/gm)).toHaveLength(10);
  });
});
