import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Model } from "../../src/api.js";
import { checkCheckpoint } from "../../src/checkpoint.js";
import { buildCommand, type Ended, inRepository, jsonLines, rowsText, temporaryFolder } from "../cli/support.js";
import { Random } from "../support/random.js";

/*
 * Real processes that are killed at random moments, also within a write, whose disk fails or is full, or that are told to
 * end. Whatever happens: every checkpoint there is is whole, so is the model file, and who goes on makes the same bytes.
 *
 *   KILLS=500 npx vitest run --project slow test/slow/kill     as many kills; without it, as many as 20 seconds have
 */
const KILLS = Number(process.env.KILLS ?? 0);
const SECONDS = 20;

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const CHECKPOINTS = at("checkpoints");
const OUTPUT = at("model.safetensors");

const TRAIN = ["train", "rows.libfm", "--validation", "more.libfm", "--optimizer", "adam", "--keep", "0.9,0.8"];
const ARGS = [...TRAIN, "--epochs", "5", "--batch-size", "100", "--early-stop", "0", "--json", "--threads", "1"];
const CHECKPOINTED = [...ARGS, "--output", OUTPUT, "--checkpoint", CHECKPOINTS, "--checkpoint-every", "7"];

/** What a training that nobody disturbs makes. */
let expected: Buffer;

beforeAll(async () => {
  buildCommand();
  writeFileSync(at("rows.libfm"), rowsText(3000, 6, 30));
  writeFileSync(at("more.libfm"), rowsText(300, 6, 30));
  const { code } = await start([...ARGS, "--output", at("expected.safetensors")]).ended;
  expect(code).toBe(0);
  expected = readFileSync(at("expected.safetensors"));
});
afterAll(folder.remove);

/** Starts the command with a file system that has faults. */
function start(args: readonly string[], faults: Record<string, string> = {}) {
  const module = pathToFileURL(inRepository("test/support/faults.mjs")).href;
  const child = spawn(process.execPath, ["--import", module, inRepository("bin/ifm-wasm.js"), ...args], {
    cwd: folder.path,
    env: { PATH: process.env.PATH ?? "", ...faults },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout!.on("data", (data) => {
    stdout += data;
  });
  child.stderr!.on("data", (data) => {
    stderr += data;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended, steps: child.stdio[3] as Readable };
}

const temporaries = (path: string) =>
  existsSync(path) ? readdirSync(path).filter((name) => name.endsWith(".tmp")) : [];
const checkpoints = () => readdirSync(CHECKPOINTS).filter((name) => name.endsWith(".ifmckpt"));

function begin(): void {
  for (const path of [CHECKPOINTS, OUTPUT]) rmSync(path, { recursive: true, force: true });
}

/** Everything there is is whole. Returns how many checkpoints there are. */
async function expectWhole(): Promise<number> {
  const names = existsSync(CHECKPOINTS) ? checkpoints() : [];
  // Two, and a third between its rename and the removal of the oldest.
  expect(names.length).toBeLessThanOrEqual(3);
  for (const name of names) await checkCheckpoint(readFileSync(join(CHECKPOINTS, name)));
  if (existsSync(OUTPUT)) (await Model.load(OUTPUT)).dispose();
  return names.length;
}

describe("kill -9", () => {
  it("at any moment: what is there is whole, and the training that goes on ends with the same bytes", async () => {
    const random = new Random(Date.now() % 2 ** 31);
    const until = Date.now() + 1000 * SECONDS;
    const seen = { kills: 0, inWrites: 0, resumed: 0, finished: 0, leftBehind: 0 };
    begin();
    while (KILLS > 0 ? seen.kills < KILLS : Date.now() < until) {
      const args = [...CHECKPOINTED, "--resume", CHECKPOINTS];
      const { child, ended, steps } = start(args, { FAULTS_SLOW: "3", FAULTS_PIPE: "3" });
      let timer: NodeJS.Timeout | undefined;
      let inWrite = false;
      if (random.int(2) === 0) {
        timer = setTimeout(() => child.kill("SIGKILL"), random.int(1500));
      } else {
        // After so many steps of writes, each of which is a moment within one.
        let left = 1 + random.int(25);
        steps.on("data", (data: Buffer) => {
          left -= data.toString().split("\n").length - 1;
          if (left <= 0) inWrite = child.kill("SIGKILL") || inWrite;
        });
      }
      steps.resume();
      const { code, signal, stdout, stderr } = await ended;
      clearTimeout(timer);
      if (jsonLines(stdout.slice(0, stdout.lastIndexOf("\n") + 1))[0]?.resumed) seen.resumed++;
      // At most what this one has left: those before it were removed.
      expect(temporaries(CHECKPOINTS).length + temporaries(folder.path).length).toBeLessThanOrEqual(1);
      seen.leftBehind += temporaries(CHECKPOINTS).length + temporaries(folder.path).length;
      await expectWhole();
      if (signal === "SIGKILL") {
        seen.kills++;
        if (inWrite) seen.inWrites++;
        continue;
      }
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
      expect(temporaries(CHECKPOINTS).concat(temporaries(folder.path))).toEqual([]);
      seen.finished++;
      begin();
    }
    const { code } = await start([...CHECKPOINTED, "--resume", CHECKPOINTS]).ended;
    expect(code).toBe(0);
    expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
    console.log(`kill -9: ${JSON.stringify(seen)}`);
    for (const [what, count] of Object.entries(seen)) if (what !== "finished") expect(count, what).toBeGreaterThan(0);
  }, 3_600_000);

  it("of two that write to one folder: each is whole, both end", async () => {
    begin();
    const [first, second] = [start(CHECKPOINTED, { FAULTS_SLOW: "5" }), start(CHECKPOINTED, { FAULTS_SLOW: "2" })];
    const [a, b] = await Promise.all([first.ended, second.ended]);
    expect([a.code, b.code, a.stderr, b.stderr]).toEqual([0, 0, "", ""]);
    expect(await expectWhole()).toBe(2);
    expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
  });
});

describe("a disk that fails", () => {
  it.each([
    ["ENOSPC", "write", "the disk is full"],
    ["EDQUOT", "write", "the disk quota is used up"],
    ["EIO", "write", "the disk reports an error"],
    ["EIO", "sync", "the disk reports an error"],
    ["EIO", "rename", "the disk reports an error"],
  ])("%s at %s: training goes on with one warning, and the checkpoints before stay", async (code, step, says) => {
    begin();
    const faults = { FAULTS_CODE: code, FAULTS_STEP: step, FAULTS_FROM: "4", FAULTS_TO: "7" };
    const { code: exit, stdout, stderr } = await start(CHECKPOINTED, faults).ended;
    expect(exit).toBe(0);
    expect(stderr).toMatch(
      new RegExp(`^warning: no checkpoint was written: .*${says}.*; training goes on, and tries again\n$`),
    );
    expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "end", reason: "epochs" });
    expect(await expectWhole()).toBe(2);
    expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
    expect(temporaries(CHECKPOINTS)).toEqual([]);
  });

  it("from some moment on for ever: the last checkpoint is whole, and is gone on from elsewhere", async () => {
    begin();
    const failed = await start(CHECKPOINTED, { FAULTS_CODE: "EIO", FAULTS_FROM: "5" }).ended;
    // The model cannot be written either.
    expect(failed.code).toBe(2);
    expect(failed.stderr).toContain("model.safetensors: cannot be written: the disk reports an error");
    expect(existsSync(OUTPUT)).toBe(false);
    expect(await expectWhole()).toBe(2);
    const { code } = await start([...ARGS, "--output", OUTPUT, "--resume", CHECKPOINTS]).ended;
    expect(code).toBe(0);
    expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
  });

  it("a real one that has room for one checkpoint and a half", async (context) => {
    begin();
    await start(CHECKPOINTED).ended;
    // In the middle of an epoch it is largest, by the scores of the epoch so far.
    const bytes = Math.max(...checkpoints().map((name) => statSync(join(CHECKPOINTS, name)).size));
    begin();
    mkdirSync(CHECKPOINTS);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${Math.ceil(1.5 * bytes)}`, "tmpfs", CHECKPOINTS], {
        stdio: "pipe",
      });
    } catch (error) {
      context.skip(`no file system can be mounted here: ${(error as Error).message}`);
    }
    try {
      const { code, stderr } = await start([...CHECKPOINTED]).ended;
      expect(code).toBe(0);
      expect(stderr).toMatch(/^warning: no checkpoint was written: .*the disk is full/);
      expect(stderr.match(/warning/g)).toHaveLength(1);
      expect(await expectWhole()).toBeGreaterThan(0);
      expect(temporaries(CHECKPOINTS)).toEqual([]);
      expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
      rmSync(OUTPUT);
      const resumed = await start([...ARGS, "--output", OUTPUT, "--resume", CHECKPOINTS]).ended;
      expect(resumed.code).toBe(0);
      expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
    } finally {
      execFileSync("umount", [CHECKPOINTS]);
    }
  });
});

describe("SIGINT and SIGTERM", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s: a checkpoint is written, exit code 130; who goes on makes the same bytes",
    async (signal) => {
      begin();
      const args = [...ARGS, "--output", OUTPUT, "--checkpoint", CHECKPOINTS, "--checkpoint-every", "1h"];
      const slow = [...args.filter((arg) => arg !== "--json"), "--json"];
      const { child, ended } = start(slow);
      child.stdout!.once("data", () => child.kill(signal));
      const { code, stdout } = await ended;
      // It may have ended before: then there is nothing to see.
      if (code === 130) {
        expect(jsonLines(stdout).at(-1)).toMatchObject({ event: "end", reason: "aborted" });
        expect(checkpoints()).toHaveLength(1);
      }
      expect(code).toBe(130);
      const resumed = await start([...args, "--resume", CHECKPOINTS]).ended;
      expect(resumed.code).toBe(0);
      expect(Buffer.compare(readFileSync(OUTPUT), expected)).toBe(0);
    },
  );

  it("the second Ctrl-C ends at once, within the write of the checkpoint", async () => {
    begin();
    const { child, ended, steps } = start(CHECKPOINTED, { FAULTS_SLOW: "5000", FAULTS_PIPE: "3" });
    let interrupts = 0;
    steps.on("data", (data: Buffer) => {
      if (!data.toString().includes("write") || interrupts++ > 0) return;
      // The first is answered after the write; what comes within half a second of it counts as the same one.
      child.kill("SIGINT");
      setTimeout(() => child.kill("SIGINT"), 1000);
    });
    const started = Date.now();
    const { code } = await ended;
    expect({ code, interrupts: Math.min(interrupts, 1) }).toEqual({ code: 130, interrupts: 1 });
    // Its parts alone would take longer.
    expect(Date.now() - started).toBeLessThan(60_000);
    expect(await expectWhole()).toBe(0);
    expect(temporaries(CHECKPOINTS)).toHaveLength(1);
  });
});
