/*
 * Makes the file system of a child process slow, or failing: node --import test/support/faults.mjs. Nothing of this is in the
 * package.
 *
 *   FAULTS_SLOW=20          milliseconds before and after each step of a write
 *   FAULTS_PIPE=3           file descriptor that is told of each step
 *   FAULTS_CODE=ENOSPC      what fails with which code: writes that have a temporary file, but for the first of them …
 *   FAULTS_FROM=2 FAULTS_TO=4   … from the second to the fourth
 *   FAULTS_STEP=write       the step that fails: write, sync or rename
 */
import { writeSync } from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const { FAULTS_SLOW, FAULTS_PIPE, FAULTS_CODE, FAULTS_STEP = "write" } = process.env;
const [from, to] = [process.env.FAULTS_FROM ?? "1", process.env.FAULTS_TO ?? "1e9"].map(Number);

/** Files that were begun. */
let files = 0;

async function step(name) {
  if (FAULTS_PIPE) writeSync(Number(FAULTS_PIPE), `${name}\n`);
  if (FAULTS_SLOW) await sleep(Number(FAULTS_SLOW));
  if (FAULTS_CODE && name === FAULTS_STEP && files >= from && files <= to) {
    throw Object.assign(new Error(`${FAULTS_CODE}: injected`), { code: FAULTS_CODE, syscall: name });
  }
}

const probe = await fs.open(process.execPath, "r");
const handles = Object.getPrototypeOf(probe);
await probe.close();

const { writeFile, sync } = handles;
handles.writeFile = async function (data) {
  files++;
  const parts = typeof data === "string" || ArrayBuffer.isView(data) ? [Buffer.from(data)] : data;
  for (const part of parts) {
    // In two halves, so that there is a middle.
    const middle = part.length >> 1;
    await writeFile.call(this, part.subarray(0, middle));
    await step("write");
    await writeFile.call(this, part.subarray(middle));
  }
};
handles.sync = async function () {
  await step("sync");
  await sync.call(this);
};

const { rename, rm } = fs;
fs.rename = async (...args) => {
  await step("rename");
  await rename(...args);
  await step("renamed");
};
fs.rm = async (...args) => {
  await step("rm");
  await rm(...args);
};
syncBuiltinESMExports();
