import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Checkpoint, createTrainer, type TrainerOptions } from "../src/api.js";
import { checkCheckpoint, opfsCheckpoints } from "../src/checkpoint.js";
import { readOpfsFile, removeOpfsEntry, writeOpfsFile } from "../src/opfs.js";
import { assertSameBits } from "./support/compare.js";
import { parse, plantedRows } from "./support/data.js";
import { type Kind, MemoryOpfs } from "./support/opfs.js";
import { errorOf } from "./support/train.js";

// On a file system in memory; in real browsers: test/runtimes/support/worker-tests.ts.

const KINDS: [string, Kind][] = [
  ["a worker", { move: true, sync: true }],
  ["a page", { move: true, sync: false }],
  ["a browser that renames nothing", { move: false, sync: true }],
];

let files: MemoryOpfs;
beforeEach(() => {
  files = new MemoryOpfs({ move: true, sync: true }).install();
});
afterEach(() => vi.unstubAllGlobals());

const text = (content: string) => new TextEncoder().encode(content);
const contents = () =>
  Object.fromEntries([...files.files()].map(([path, bytes]) => [path, Buffer.from(bytes).toString()]));

describe.each(KINDS)("files of %s", (_name, kind) => {
  beforeEach(() => {
    files = new MemoryOpfs(kind).install();
  });

  test("are written in parts, over others, and leave nothing else", async () => {
    await writeOpfsFile("models/a", [text("lon"), text("ger")]);
    await writeOpfsFile("models/a", [text("new")]);
    expect(contents()).toEqual({ "models/a": "new" });
    expect(await (await readOpfsFile("models/a")).text()).toBe("new");
  });

  test("stay what they were when the disk is full", async () => {
    await writeOpfsFile("a", [text("old")]);
    files.room = 4;
    await expect(writeOpfsFile("a", [text("new"), text("er")])).rejects.toThrow("QuotaExceededError");
    expect(contents()).toEqual({ a: "old" });
  });

  test("are whole whenever the tab is closed", async () => {
    await writeOpfsFile("a", [text("old")]);
    const { steps: before } = files;
    await writeOpfsFile("a", [text("new"), text("er")]);
    const steps = files.steps - before;
    expect(steps).toBeGreaterThan(4);
    const seen = new Set<string>();
    for (let at = 1; at <= steps; at++) {
      files = new MemoryOpfs(kind).install();
      files.put("a", text("old"));
      files.closesAt = at;
      await writeOpfsFile("a", [text("new"), text("er")]).catch(() => undefined);
      seen.add(contents().a!);
      expect(["old", "newer"]).toContain(contents().a);
      // What is left of it goes with a later one.
      files.reopen();
      await writeOpfsFile("b", [text("later")]);
      expect(Object.keys(contents()).toSorted()).toEqual(["a", "b"]);
    }
    expect(seen.has("old")).toBe(true);
  });
});

test("a write in another tab is left alone: one that is locked, one of just now", async () => {
  const temporary = "a.12345678-1234-1234-1234-123456789abc.tmp";
  files.put(temporary, text("half"), Date.now());
  await writeOpfsFile("b", [text("b")]);
  expect(contents()).toEqual({ [temporary]: "half", b: "b" });
  files.put(temporary, text("half"), Date.now() - 61_000);
  const root = await navigator.storage.getDirectory();
  const handle = (await root.getFileHandle(temporary)) as unknown as { createSyncAccessHandle(): Promise<object> };
  const access = (await handle.createSyncAccessHandle()) as { close(): void };
  await writeOpfsFile("b", [text("b")]);
  expect(contents()).toEqual({ [temporary]: "half", b: "b" });
  access.close();
  await writeOpfsFile("b", [text("b")]);
  expect(contents()).toEqual({ b: "b" });
});

test.each(["", "/a", "a/", "a//b", "../a", "a/./b"])("%j is no path", async (path) => {
  const error = await errorOf(writeOpfsFile(path, []));
  expect([error.code, error.message]).toEqual([
    "IFM_USAGE",
    `expected a path such as "models/ifm.safetensors", got "${path}"`,
  ]);
});

test("a browser without a file system says so", async () => {
  vi.stubGlobal("navigator", {});
  for (const refused of [
    writeOpfsFile("a", []),
    readOpfsFile("a"),
    removeOpfsEntry("a"),
    opfsCheckpoints("a").newest(),
  ]) {
    expect(await errorOf(refused)).toMatchObject({ code: "IFM_USAGE", file: "a" });
  }
});

test("a file is no folder of checkpoints", async () => {
  await writeOpfsFile("a", []);
  for (const path of ["a", "a/b"]) {
    const error = await errorOf(opfsCheckpoints(path).newest());
    expect([error.code, error.message]).toEqual(["IFM_USAGE", `${path}: is a file, expected a folder`]);
  }
});

test("files and folders are removed, and nothing where there is nothing", async () => {
  for (const path of ["models/a", "models/b/c", "models/d"]) await writeOpfsFile(path, [text(path)]);
  await removeOpfsEntry("models/a");
  await removeOpfsEntry("models/b");
  expect(Object.keys(contents())).toEqual(["models/d"]);
  for (const path of ["models/a", "none/a"]) await removeOpfsEntry(path);
  expect((await errorOf(readOpfsFile("models/a"))).code).toBe("IFM_MODEL");
});

const options: TrainerOptions = {
  model: { model: "fm", factors: 3 },
  train: { epochs: 3, batchSize: 20, earlyStop: 0 },
  data: { train: await parse(plantedRows(60, 1)) },
};

/** All checkpoints of a training, one a batch, and the model that it makes. */
async function whole(of: TrainerOptions = options) {
  const taken: Checkpoint[] = [];
  const write = (checkpoint: Checkpoint) => {
    const bytes = checkpoint.toBytes();
    const half = bytes.length >> 1;
    const parts = () => [bytes.subarray(0, half), bytes.subarray(half)].values() as ReturnType<Checkpoint["parts"]>;
    taken.push({ ...checkpoint, parts, toBytes: () => bytes });
  };
  const trainer = await createTrainer({ ...of, checkpoint: { every: { steps: 1 }, write } });
  for await (const _ of trainer);
  return { taken, model: trainer.model().toBytes() };
}
const { taken, model } = await whole();

describe("checkpoints", () => {
  test("are stored and found; the last two of each training are kept", async () => {
    const folder = opfsCheckpoints("state/of it");
    expect(await folder.newest()).toBeUndefined();
    for (const checkpoint of taken.slice(0, 5)) await folder.write(checkpoint);
    expect(files.files().size).toBe(2);
    const { taken: others } = await whole({ ...options, train: { ...options.train, seed: 7 } });
    for (const checkpoint of others.slice(0, 3)) await folder.write(checkpoint);
    expect(files.files().size).toBe(4);
    // Of the training that has written last.
    const found = await opfsCheckpoints("state/of it").newest();
    expect(found).toMatchObject({ place: { run: others[0]!.run, steps: 3 }, bytes: others[2]!.bytes });
    expect(found!.name).toMatch(/^state\/of it\/checkpoint-000000000003-\w{8}\.ifmckpt$/);
  });

  test("are what a training goes on from, bit for bit", async () => {
    const folder = opfsCheckpoints("state");
    const first = await createTrainer({
      ...options,
      checkpoint: { every: { steps: 2 }, write: (checkpoint) => folder.write(checkpoint) },
    });
    for await (const event of first) if (event.event === "epoch" && event.epoch === 2) break;
    const second = await createTrainer({ ...options, resume: await opfsCheckpoints("state").newest() });
    expect(second.start.resumed).toEqual({ epochs: 1, row: 20, steps: 4 });
    for await (const _ of second);
    assertSameBits("model", second.model().toBytes(), model);
  });

  test("that are damaged are told, passed over and, before something is written, removed", async () => {
    const folder = opfsCheckpoints("state");
    for (const checkpoint of taken.slice(0, 2)) await folder.write(checkpoint);
    const path = [...files.files().keys()].find((name) => name.includes("000002-"))!;
    files.put(path, taken[1]!.toBytes().subarray(0, 500));
    const warnings: string[] = [];
    const warn = (warning: string) => warnings.push(warning);
    expect((await folder.newest(warn))!.place.steps).toBe(1);
    expect(warnings).toEqual([
      expect.stringMatching(
        /^state\/.*000002-.*: checkpoint: .*it was not written to its end; the one before it is taken$/,
      ),
    ]);
    // Older by their names than what is damaged.
    files.put(path.replace("000002-", "000007-"), text("nothing"));
    await opfsCheckpoints("state").write(taken[0]!);
    expect([...files.files().keys()]).toEqual([path.replace("000002-", "000001-")]);
    files.put(path.replace("000002-", "000001-"), text("nothing"));
    const error = await errorOf(folder.newest());
    expect([error.code, error.message]).toEqual([
      "IFM_MODEL",
      expect.stringMatching(
        /^state: no checkpoint is whole; of the newest: state\/.*expected at least 48 bytes, found 7$/,
      ),
    ]);
  });

  test("that do not fit end no training: one warning, and those before stay", async () => {
    const folder = opfsCheckpoints("state");
    const warnings: string[] = [];
    files.room = 2.5 * taken[0]!.bytes;
    const trainer = await createTrainer({
      ...options,
      checkpoint: { every: { steps: 1 }, write: (checkpoint) => folder.write(checkpoint) },
      onWarning: (warning) => warnings.push(warning),
    });
    for await (const _ of trainer);
    expect(warnings).toEqual(["no checkpoint was written: QuotaExceededError; training goes on, and tries again"]);
    expect((await folder.newest())!.place.steps).toBe(2);
    expect(files.files().size).toBe(2);
    assertSameBits("model", trainer.model().toBytes(), model);
  });

  describe.each(KINDS)("in %s", (_name, kind) => {
    test("whenever the tab is closed, again and again, a good one is there, and training goes on from it", async () => {
      files = new MemoryOpfs(kind).install();
      const folder = opfsCheckpoints("state");
      await folder.write(taken[0]!);
      const { steps: before } = files;
      for (const checkpoint of taken.slice(1, 4)) await folder.write(checkpoint);
      const steps = files.steps - before;
      expect(steps).toBeGreaterThan(15);
      const found = new Set<number>();
      for (let at = 1; at <= steps; at++) {
        files = new MemoryOpfs(kind).install();
        await opfsCheckpoints("state").write(taken[0]!);
        let stored = 1;
        // Each goes on from what is there, comes as far or a step less, and writes at other places than the one before.
        for (let time = 0; time < 4; time++) {
          const begin = (await opfsCheckpoints("state").newest())!;
          // What is told to be stored is there.
          expect(begin.place.steps).toBeGreaterThanOrEqual(stored);
          assertSameBits("checkpoint", await bytesOf(begin), taken[begin.place.steps - 1]!.toBytes());
          found.add(begin.place.steps);
          const writes = opfsCheckpoints("state");
          files.closesAt = files.steps + at - time;
          try {
            for (let next = begin.place.steps + 1 + ((time + at) % 2); next <= taken.length; next += 2) {
              await writes.write(taken[next - 1]!);
              stored = next;
            }
          } catch (error) {
            expect((error as Error).message).toBe("the tab is closed");
          }
          files.reopen();
        }
        const last = (await opfsCheckpoints("state").newest())!;
        expect(last.place.steps).toBeGreaterThanOrEqual(stored);
        // Two, and what was on its way when it was closed.
        expect(files.files().size).toBeLessThanOrEqual(4);
      }
      expect(found.size).toBeGreaterThan(3);
      for (const steps of found) {
        const trainer = await createTrainer({ ...options, resume: taken[steps - 1]!.toBytes() });
        for await (const _ of trainer);
        assertSameBits("model", trainer.model().toBytes(), model);
      }
    });
  });

  async function bytesOf(file: { bytes: number; read(at: number, target: Uint8Array): void | Promise<void> }) {
    await checkCheckpoint(file);
    const bytes = new Uint8Array(file.bytes);
    await file.read(0, bytes);
    return bytes;
  }
});
