import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

// A two-hundredth of `npm run soak`, in a process of its own: collecting garbage here would count that of other tests.

it("nothing grows in thousands of steps, predictions, rankings, models and trainers", async () => {
  const soak = fileURLToPath(new URL("../../tools/soak.js", import.meta.url));
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [soak, "--share", "0.005"]);
  expect(stderr).not.toContain("GROWN");
  // Each run was done, and something was looked at.
  const rows = stdout.split("\n").filter((line) => / → /.test(line));
  expect(rows.length).toBe(10);
  for (const row of rows) expect(row).toMatch(/\| [1-9][\d,]* \|.*\| [1-9][\d.]* → [1-9][\d.]* \|/);
});
