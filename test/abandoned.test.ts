import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeAbandoned } from "../src/abandoned.js";
import { hostTag } from "../src/atomic-file.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ifm-abandoned-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const UUID = "01234567-89ab-cdef-0123-456789abcdef";
/** No process has it: beyond what Linux, macOS and Windows give. */
const NOBODY = 2 ** 30;

/** A temporary file of that age in seconds. */
function make(host: string, pid: number, age = 0): string {
  const name = `.ifm-wasm-${host}-${pid}-${UUID}.tmp`;
  writeFileSync(join(folder, name), "half");
  const then = Date.now() / 1000 - age;
  utimesSync(join(folder, name), then, then);
  return name;
}

test("what a process that is gone has left is removed; what one that is there writes stays", async () => {
  make(hostTag(), NOBODY);
  const parent = make(hostTag(), process.ppid);
  const own = make(hostTag(), process.pid);
  await removeAbandoned(folder);
  expect(readdirSync(folder).sort()).toEqual([parent, own].sort());
});

test("what an earlier process of the same number has left is removed", async () => {
  make(hostTag(), process.pid, 3600);
  await removeAbandoned(folder);
  expect(readdirSync(folder)).toEqual([]);
});

test("what another machine writes stays for a day", async () => {
  const young = make("elsewhere", NOBODY, 3600);
  make("elsewhere", NOBODY + 1, 25 * 3600);
  await removeAbandoned(folder);
  expect(readdirSync(folder)).toEqual([young]);
});

test("other files stay, and a folder that is not there is none", async () => {
  const names = ["model.tmp", ".ifm-wasm-1.tmp", `.ifm-wasm-${hostTag()}-${NOBODY}-${UUID}.tmp.bak`];
  for (const name of names) writeFileSync(join(folder, name), "");
  await removeAbandoned(folder);
  expect(readdirSync(folder).sort()).toEqual(names.sort());
  await removeAbandoned(join(folder, "nowhere"));
});
