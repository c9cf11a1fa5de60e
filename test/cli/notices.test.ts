import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { inRepository } from "./support.js";

it("THIRD-PARTY-NOTICES.md has the licence of every bundled package", () => {
  const check = () => execFileSync(process.execPath, [inRepository("tools/third-party-notices.js"), "--check"]);
  expect(check).not.toThrow();
});
