import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { libfmText } from "../data.js";

/*
 * Programs that are used when they are found on PATH. libFM and xLearn have no way to be given weights, and step after
 * every row: of them only the time can be compared, not the scores. libFM writes down how long it learns; of xLearn, reading
 * the file is taken out by the difference of two runs, of 1 epoch and of more.
 */

/** Multiplications of what a program is asked for at once: most of a second, because it is started each time. */
const WORK = 1e7;

/** Whether a program can be started. */
function found(command, args = []) {
  const { error } = spawnSync(command, args, { stdio: "ignore", timeout: 60_000 });
  return error === undefined;
}

/** Seconds of a run of a program; throws when it fails, or does not make the file that it is started for. */
function run(command, args, cwd, makes) {
  const begin = performance.now();
  rmSync(join(cwd, makes), { force: true });
  // xLearn names its log after the user, and ends without one.
  const env = { USER: "bench", ...process.env };
  const { status, error, stderr } = spawnSync(command, args, { cwd, env, stdio: ["ignore", "ignore", "pipe"] });
  if (error || status !== 0) throw new Error(`${command}: ${error ?? stderr}`);
  if (!existsSync(join(cwd, makes))) throw new Error(`${command}: it made no ${makes}: does it know all of ${args}?`);
  return (performance.now() - begin) / 1000;
}

/** A folder with the rows as libFM text, and how many epochs of them are enough to time. */
function rowsFolder({ data, config }) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-bench-"));
  writeFileSync(join(folder, "rows.libfm"), libfmText(data));
  writeFileSync(join(folder, "one.libfm"), libfmText({ ...data, rows: 1 }));
  return {
    folder,
    epochs: Math.max(3, Math.ceil(WORK / (data.rows * config.K))),
    dispose: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** @param {import("./index.js").Task} task */
function libfm(task) {
  const { folder, epochs, dispose } = rowsFolder(task);
  const args = [
    ...["-task", "c", "-train", "rows.libfm", "-test", "one.libfm", "-method", "sgd", "-learn_rate", "0.01"],
    ...["-dim", `1,1,${task.config.K}`, "-iter", String(epochs), "-init_stdev", "0.01", "-verbosity", "0"],
    ...["-rlog", "log.tsv"],
  ];
  return {
    /** Seconds of one epoch: what it says of its own learning, without the evaluation of the rows that follows. */
    trainSeconds() {
      run("libFM", args, folder, "log.tsv");
      const [head, ...lines] = readFileSync(join(folder, "log.tsv"), "utf8").trim().split("\n");
      const column = head.split("\t").indexOf("time_learn");
      return lines.reduce((sum, line) => sum + Number(line.split("\t")[column]), 0) / lines.length;
    },
    dispose,
  };
}

/** @param {import("./index.js").Task} task */
function xlearn(task) {
  const { folder, epochs: more, dispose } = rowsFolder(task);
  const args = (epochs) => [
    ...["rows.libfm", "-s", "1", "-k", String(task.config.K), "-e", String(epochs), "-r", "0.01", "-p", "adagrad"],
    ...["-nthread", "1", "--dis-es", "--no-norm", "-m", "model.bin"],
  ];
  return {
    /** Seconds of one epoch. */
    trainSeconds() {
      const one = run("xlearn_train", args(1), folder, "model.bin");
      return Math.max(1e-9, (run("xlearn_train", args(1 + more), folder, "model.bin") - one) / more);
    },
    dispose,
  };
}

/**
 * glibc gives large blocks back to the system when they are freed. PyTorch's tensors of a batch are hundreds of megabytes:
 * without this it spends more time on page faults than on products.
 */
const KEEP_MEMORY = {
  MALLOC_MMAP_MAX_: "0",
  MALLOC_TRIM_THRESHOLD_: "17179869184",
  MALLOC_TOP_PAD_: "268435456",
};

/** @param {import("./index.js").Task} task */
async function pytorch(python, { config, weights, data, batchSize, lr }) {
  const folder = mkdtempSync(join(tmpdir(), "ifm-bench-"));
  const write = (name, array) => writeFileSync(join(folder, name), new Uint8Array(array.buffer));
  for (const [name, values] of Object.entries(weights())) write(`${name}.f32`, values.slice());
  write("ids.i32", Int32Array.from(data.features));
  write("labels.f32", data.labels.slice());
  const { rows, maxSlots: M } = data;
  writeFileSync(join(folder, "task.json"), JSON.stringify({ config, rows, M, batchSize, lr }));
  const script = fileURLToPath(new URL("pytorch.py", import.meta.url));
  const env = { ...process.env, ...KEEP_MEMORY };
  const child = spawn(python, [script, folder], { stdio: ["pipe", "pipe", "inherit"], env });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("PyTorch ended early");
    return JSON.parse(value);
  };
  await answer();
  const ask = (what) => {
    child.stdin.write(`${what}\n`);
    return answer();
  };
  return {
    async train() {
      return (await ask("train")).loss;
    },
    // By its own clock: the pipe between the processes is not PyTorch's.
    trainSeconds: async () => (await ask("train")).seconds,
    predictSeconds: async () => (await ask("predict")).seconds,
    async predict() {
      await ask("predict");
      return new Float32Array(new Uint8Array(readFileSync(join(folder, "scores.f32"))).buffer);
    },
    dispose() {
      child.stdin.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Which of them are there. */
export function nativePeers() {
  // A system's own Python may be the one that has it.
  const pythons = ["python3", "/usr/bin/python3"].map((python) => ({
    python,
    torch: spawnSync(python, ["-c", "import torch; print(torch.__version__)"], { encoding: "utf8" }),
  }));
  const { python, torch } = pythons.find(({ torch: { status } }) => status === 0) ?? pythons[0];
  const no = (name) => `${name}: not found on PATH: skipped`;
  return [
    found("libFM") ? { name: "libFM", models: ["fm"], make: libfm, perRow: true } : { missing: no("libFM") },
    found("xlearn_train")
      ? { name: "xLearn", models: ["fm"], make: xlearn, perRow: true }
      : { missing: no("xLearn (xlearn_train)") },
    torch.status === 0
      ? { name: "PyTorch", version: torch.stdout.trim(), models: ["fm", "ifm"], make: (task) => pytorch(python, task) }
      : { missing: "PyTorch: no python3 on PATH that imports torch: skipped" },
  ];
}
