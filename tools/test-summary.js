// Prints "N passed, N failed[, N skipped]" from a report of vitest's json reporter.
//
//   node tools/test-summary.js REPORT
//
// A file without a failed test that failed all the same (it could not be loaded, a hook threw) counts as one failure.
// Exit code 1 when anything failed, when no test ran, or when there is no report.

import { readFileSync } from "node:fs";

const counts = { passed: 0, failed: 0, skipped: 0 };
try {
  for (const { status, assertionResults } of JSON.parse(readFileSync(process.argv[2], "utf8")).testResults) {
    const failures = assertionResults.filter((test) => test.status === "failed").length;
    const passes = assertionResults.filter((test) => test.status === "passed").length;
    counts.passed += passes;
    counts.failed += status === "failed" ? Math.max(1, failures) : failures;
    counts.skipped += assertionResults.length - passes - failures;
  }
} catch (error) {
  console.error(`test-summary: no test report (${error.message})`);
  process.exitCode = 1;
}

const { passed, failed, skipped } = counts;
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
if (failed > 0 || passed === 0) process.exitCode = 1;
