import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { main } from "../../src/cli/main.js";
import { jsonLines, rowsText, temporaryFolder, testIo } from "./support.js";

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const CHECKPOINTS = at("checkpoints");
const SHAPE = ["--factors", "4", "--attention-factors", "3", "--field-factors", "3", "--batch-size", "50"];
const TRAIN = ["train", at("rows.libfm"), "--validation", at("more.libfm"), "--epochs", "4", ...SHAPE];
const WRITES = ["--checkpoint", CHECKPOINTS, "--checkpoint-every", "5"];
const RESUMES = ["--resume", CHECKPOINTS];

beforeAll(() => {
  writeFileSync(at("rows.libfm"), rowsText(300));
  writeFileSync(at("more.libfm"), rowsText(80));
  writeFileSync(at("other.libfm"), rowsText(301));
});
beforeEach(() => rmSync(CHECKPOINTS, { recursive: true, force: true }));
afterAll(folder.remove);

async function call(...args: string[]) {
  const io = { ...testIo(), sample: { train: at("rows.libfm"), validation: at("more.libfm") } };
  const code = await main(args, io);
  return { code, out: io.stdout(), err: io.stderr() };
}

/** Trains into a file of that name. */
const train = (output: string, ...args: string[]) => call(...TRAIN, ...args, "--output", at(output));
const bytesOf = (output: string) => readFileSync(at(output)).toString("hex");
const stored = () => readdirSync(CHECKPOINTS).sort();
const damage = (name: string) => {
  const bytes = readFileSync(join(CHECKPOINTS, name));
  bytes[bytes.length >> 1]! ^= 4;
  writeFileSync(join(CHECKPOINTS, name), bytes);
};
const timeless = (text: string) =>
  jsonLines(text)
    .filter(({ event }) => event !== "start")
    .map((event) => ({ ...event, seconds: 0, rowsPerSecond: 0, output: 0 }));

describe("train --checkpoint and --resume", () => {
  it("makes the same model and tells the same epochs; the last two checkpoints are kept", async () => {
    const plain = await train("plain", "--json");
    expect(await train("written", "--json", ...WRITES)).toMatchObject({ code: 0, err: "" });
    expect(stored()).toEqual([
      expect.stringMatching(/^checkpoint-000000000020-[0-9a-f]{8}\.ifmckpt$/),
      expect.stringMatching(/^checkpoint-000000000024-[0-9a-f]{8}\.ifmckpt$/),
    ]);
    rmSync(join(CHECKPOINTS, stored()[1]!));
    const { code, out, err } = await train("resumed", "--json", ...RESUMES, "--threads", "2");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const path = join(CHECKPOINTS, stored()[0]!);
    expect(jsonLines(out)[0]).toMatchObject({ resumed: { epochs: 3, row: 100, steps: 20 }, files: { resume: path } });
    expect(timeless(out)).toEqual(timeless(plain.out).slice(-2));
    expect([bytesOf("written"), bytesOf("resumed")]).toEqual([bytesOf("plain"), bytesOf("plain")]);
    // Nobody has asked for more of them.
    expect(stored()).toHaveLength(1);
  });

  it("says where it goes on to a person, and that a training had ended", async () => {
    await train("m", ...WRITES);
    const again = await train("m", ...RESUMES);
    expect(again).toMatchObject({ code: 0, out: `${at("m")}\n` });
    expect(again.err).toMatch(/^ {2}resumed +after 4 epochs, .*checkpoint-000000000024-/m);
    expect(again.err).toContain("this training had ended already; there is nothing left to train");
    expect(again.err).toMatch(/^best epoch: \d of 4, validation RMSE/m);
    const more = await train("more", ...RESUMES, "--epochs", "6");
    expect(more.err).toMatch(/^ +5 .*\n +6 /m);
    await train("six", "--epochs", "6");
    expect(bytesOf("more")).toBe(bytesOf("six"));
  });

  it("takes the checkpoint before a damaged one, and says so", async () => {
    await train("plain", ...WRITES);
    damage(stored()[1]!);
    const { code, err } = await train("resumed", "--quiet", ...RESUMES);
    expect(code).toBe(0);
    expect(err).toMatch(
      /^warning: .*checkpoint-000000000024-\w+\.ifmckpt: checkpoint: damaged: the checksum differs; the one before it is taken\n$/,
    );
    expect(bytesOf("resumed")).toBe(bytesOf("plain"));
  });

  it("refuses a folder in which none is whole", async () => {
    await train("m", ...WRITES);
    for (const name of stored()) damage(name);
    const { code, err } = await train("of none", ...RESUMES);
    expect(code).toBe(5);
    expect(err).toMatch(
      /^error: .*: no checkpoint is whole; of the newest: .*000024-\w+\.ifmckpt: checkpoint: damaged: /,
    );
    expect(existsSync(at("of none"))).toBe(false);
  });

  it.each([
    ["options", ["--lr", "0.1"], "checkpoint: of another training: lr was 0.05, is 0.1"],
    ["rows", ["--test", at("more.libfm")], "checkpoint: of other test rows: were none, are 80 rows"],
    ["fewer epochs", ["--epochs", "3"], "checkpoint: has done 4 epochs, epochs is 3"],
  ])("refuses other %s, with the difference", async (_name, args, message) => {
    await train("m", ...WRITES);
    const { code, err } = await train("other", ...RESUMES, ...args);
    expect(code).toBe(5);
    expect(err).toContain(message);
  });

  it("refuses other rows of the same file name", async () => {
    await train("m", ...WRITES);
    const { code, err } = await call("train", at("other.libfm"), ...TRAIN.slice(2), ...RESUMES, "--output", at("m"));
    expect(code).toBe(5);
    expect(err).toMatch(/checkpoint: of other training rows: were 300 rows, .*, are 301 rows, .*other\.libfm\)/);
  });

  it("has one command that begins and goes on", async () => {
    await train("plain");
    const first = await train("m", ...WRITES, ...RESUMES);
    expect(first).toMatchObject({ code: 0, err: expect.stringContaining("no checkpoint is there yet") });
    expect(bytesOf("m")).toBe(bytesOf("plain"));
    expect((await train("m", ...WRITES, ...RESUMES)).err).toContain("had ended already");
  });

  it("leaves what is not its own: other files, other trainings", async () => {
    mkdirSync(CHECKPOINTS);
    const others = ["notes.txt", "checkpoint-000000000007-00000000.ifmckpt", "checkpoint-1.ifmckpt"];
    for (const name of others) writeFileSync(join(CHECKPOINTS, name), "");
    await train("m", ...WRITES);
    await train("m", ...WRITES, "--seed", "3");
    expect(stored()).toEqual(expect.arrayContaining(others));
    expect(stored()).toHaveLength(others.length + 4);
    // The training that has written last is gone on with.
    expect((await train("m", ...RESUMES)).err).toMatch(/checkpoint: of another training: seed was 3, is 2019/);
    expect((await train("m", ...RESUMES, "--seed", "3")).code).toBe(0);
  });

  it.each([
    [
      "--checkpoint-every without --checkpoint",
      ["--checkpoint-every", "5"],
      "--checkpoint-every: expected --checkpoint DIR",
    ],
    ["no such folder", ["--resume", at("nowhere")], `${at("nowhere")}: no such folder`],
    ["an empty folder", ["--resume", folder.path], "there is no checkpoint in this folder"],
    ["a file", ["--checkpoint", at("rows.libfm")], "cannot be made a folder"],
    [
      "no cadence",
      ["--checkpoint", CHECKPOINTS, "--checkpoint-every", "often"],
      "--checkpoint-every: expected a time such as 30s",
    ],
    ["retries without retry", ["--divergence-retries", "2"], "--divergence-retries: expected --on-divergence retry"],
  ])("refuses %s", async (_name, args, message) => {
    const { code, err } = await train("m", ...args);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });

  it("trains the sample in two steps, of which the second is written down", async () => {
    const args = ["train", "--epochs", "3", ...SHAPE];
    await call(...args, "--output", at("plain"));
    await call(...args, ...WRITES, "--output", at("written"));
    rmSync(join(CHECKPOINTS, stored()[1]!));
    const { code, err } = await call(...args, ...RESUMES, "--output", at("resumed"));
    expect(code).toBe(0);
    expect(err).toMatch(/step 1 of 2: fm[\s\S]*step 2 of 2: ifm[\s\S]* {2}resumed +after 2 epochs and 150 rows/);
    expect([bytesOf("written"), bytesOf("resumed")]).toEqual([bytesOf("plain"), bytesOf("plain")]);
  });

  it("goes on from an initial model, the same one only", async () => {
    await train("fm", "--model", "fm");
    await train("fm2", "--model", "fm", "--seed", "4");
    await train("plain", "--init", at("fm"));
    await train("written", "--init", at("fm"), ...WRITES);
    rmSync(join(CHECKPOINTS, stored()[1]!));
    expect((await train("resumed", "--init", at("fm"), ...RESUMES)).code).toBe(0);
    expect(bytesOf("resumed")).toBe(bytesOf("plain"));
    for (const init of [[], ["--init", at("fm2")]]) {
      const { code, err } = await train("other", ...init, ...RESUMES);
      expect(code).toBe(5);
      expect(err).toContain("checkpoint: of other initial weights");
    }
  });

  it("writes one at an interrupt, and says how to go on", async () => {
    await train("plain", "--epochs", "200", "--early-stop", "0");
    const io = testIo();
    // Pressed when the first epoch is told.
    let pressed = false;
    io.err.stream.on("newListener", () => undefined);
    const { write } = io.err;
    io.err.write = function (text) {
      write.call(this, text);
      if (/^ +1 /.test(text) && !pressed) {
        pressed = true;
        io.interrupt();
      }
    };
    const args = [...TRAIN, "--epochs", "200", "--early-stop", "0", "--output", at("m"), "--checkpoint", CHECKPOINTS];
    expect(await main(args, io)).toBe(130);
    expect(io.stderr()).toContain(`to go on: the same command with --resume ${CHECKPOINTS}`);
    expect(stored()).toHaveLength(1);
    expect((await train("m", "--epochs", "200", "--early-stop", "0", ...RESUMES)).code).toBe(0);
    expect(bytesOf("m")).toBe(bytesOf("plain"));
  });
});

describe("train --on-divergence retry", () => {
  const WILD = ["--model", "fm", "--optimizer", "sgd", "--lr", "1", "--on-divergence", "retry"];

  it("tells each rollback as an event, and warns", async () => {
    const { code, out, err } = await train("m", "--json", ...WILD, "--divergence-retries", "20");
    expect(code).toBe(0);
    const rollbacks = jsonLines(out).filter(({ event }) => event === "rollback");
    expect(rollbacks.length).toBeGreaterThan(0);
    expect(rollbacks[0]).toMatchObject({ epoch: 1, to: 0, lr: 0.5, retry: 1, retries: 20 });
    expect(err.match(/^warning: .*rows\.libfm:\d+: training diverged: /gm)).toHaveLength(rollbacks.length);
    expect(err).toMatch(/; goes on from the start with lr 0\.5 \(retry 1 of 20\)$/m);
  });

  it("ends with exit code 4 when that was often enough", async () => {
    const { code, err } = await train("m", ...WILD, "--lr", "1e30", "--divergence-retries", "2");
    expect(code).toBe(4);
    expect(err.match(/^warning: /gm)).toHaveLength(2);
    expect(err).toMatch(/^error: .*training diverged: .*\(lr 2\.5e\+29\)/m);
  });

  it("goes on from a checkpoint of a training that has stopped", async () => {
    const stops = [...WILD.slice(0, 4), "--lr", "0.2"];
    const { code, err } = await train("m", ...stops, "--checkpoint", CHECKPOINTS, "--checkpoint-every", "3");
    expect(code, err).toBe(4);
    const retry = [...RESUMES, "--on-divergence", "retry", "--divergence-retries", "20"];
    const first = await train("first", ...stops, ...retry);
    expect(first.code, first.err).toBe(0);
    expect(first.err).toMatch(/; goes on from the checkpoint within epoch 1 with lr 0\.1 \(retry 1 of 20\)$/m);
    await train("second", ...stops, ...retry, "--threads", "2");
    expect(bytesOf("second")).toBe(bytesOf("first"));
  });

  it("is part of the plan", async () => {
    const plan = async (...args: string[]) => jsonLines((await train("m", "--plan", "--json", ...args)).out)[0]!;
    const [without, adam] = [await plan(), await plan("--on-divergence", "retry", "--optimizer", "adam")];
    const bytes = adam.bytes as Record<string, number>;
    expect((without.bytes as Record<string, number>).lastGood).toBe(0);
    expect(bytes.lastGood).toBe(3 * bytes.weights!);
    expect(bytes.linear! + bytes.data! + bytes.bestWeights! + bytes.lastGood!).toBe(bytes.total);
    expect(adam.checkpointBytes).toBe(7 * bytes.weights! + 4 * 300);
  });
});
