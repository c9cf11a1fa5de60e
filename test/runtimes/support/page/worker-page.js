import { createTrainer as createPlainTrainer, readLibfm } from "../../../../dist/browser.js";
import { checkCheckpoint, opfsCheckpoints } from "../../../../dist/checkpoint.js";
import { createTrainer, loadModel, readOpfsFile, readRows, removeOpfsEntry } from "../../../../dist/worker.js";

// What test/runtimes/support/worker-tests.ts calls in a page.

const FIELDS = 6;
const PER_FIELD = 50;

/** Rows in typed arrays; a linear congruential generator decides. */
function makeRows(rows) {
  let state = 7;
  const next = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % below;
  };
  return {
    name: "made here",
    rows,
    labels: Float32Array.from({ length: rows }, () => (next(2) === 0 ? -1 : 1)),
    rowPtr: Uint32Array.from({ length: rows + 1 }, (_, r) => FIELDS * r),
    features: Uint32Array.from({ length: rows * FIELDS }, (_, i) => (i % FIELDS) * PER_FIELD + next(PER_FIELD)),
    values: null,
    featureCount: FIELDS * PER_FIELD,
    minSlots: FIELDS,
    maxSlots: FIELDS,
    labelMin: -1,
    labelMax: 1,
  };
}

async function sha256(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Trains on a libFM text, and says what came of it. */
async function train(text, shape, threads) {
  const warnings = [];
  using trainer = await createTrainer({
    ...shape,
    threads,
    data: { train: new File([text], "rows.libfm") },
    onWarning: (warning) => warnings.push(warning),
  });
  const events = [];
  for await (const { event } of trainer) events.push(event);
  using model = await trainer.model();
  return { threads: trainer.start.threads, warnings, events, model: await sha256(await model.toBytes()) };
}

/** Saves a model twice under the same name, and reads what is there then. */
async function saveAndRead(text, shape) {
  using trainer = await createTrainer({ ...shape, threads: 1, data: { train: new Blob([text]) } });
  using untrained = await trainer.model();
  await untrained.save("models/ifm.safetensors");
  for await (const _ of trainer);
  using model = await trainer.model();
  await model.save("models/ifm.safetensors");
  const names = await namesIn(await folderOf("models"));
  const rows = await readRows(new Blob([text]));
  using again = await loadModel(await readOpfsFile("models/ifm.safetensors"), { threads: 1 });
  const [first, second] = [await model.predict(rows), await again.predict(rows)];
  return { names, same: first.length === rows.rows && first.every((score, r) => score === second[r]) };
}

/** Trains on many rows and stops; how long the page stood still at most meanwhile, in milliseconds. */
async function trainLong(rows, milliseconds, transfer) {
  const data = makeRows(rows);
  await new Promise((resolve) => setTimeout(resolve, 100));
  performance.mark("begins");
  let stoodStill = 0;
  let last = performance.now();
  const clock = setInterval(() => {
    const now = performance.now();
    stoodStill = Math.max(stoodStill, now - last);
    last = now;
  }, 1);
  const stop = new AbortController();
  using trainer = await createTrainer({
    model: { model: "fm" },
    train: { epochs: 1_000_000, earlyStop: 0 },
    data: { train: data },
    transfer,
    signal: stop.signal,
  });
  setTimeout(() => stop.abort(), milliseconds);
  let progress = 0;
  let end;
  for await (const event of trainer) {
    if (event.event === "progress") progress++;
    if (event.event === "end") end = event;
  }
  using model = await trainer.model();
  const bytes = await model.toBytes();
  clearInterval(clock);
  performance.mark("ends");
  return { reason: end.reason, progress, bytes: bytes.length, stoodStill, given: data.features.length === 0 };
}

/** What a worker that is not there ends with. */
async function failToStart() {
  try {
    await readRows(new Blob(["1 0:1\n"]), { worker: new URL("/dist/no-such-file.js", location.href) });
    return "started";
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
}

/** Names of the files in a folder. */
async function namesIn(folder) {
  const names = [];
  for await (const name of folder.keys()) names.push(name);
  return names;
}

const folderOf = async (name) => (await navigator.storage.getDirectory()).getDirectoryHandle(name);

/** Waits until a file of a folder is being written, or nobody wants to know any more. */
async function write(name, isOver) {
  const folder = await folderOf(name);
  const before = await namesIn(folder);
  const isNew = (each) => each.endsWith(".tmp") && !before.includes(each);
  while (!isOver() && !(await namesIn(folder)).some(isNew));
}

/**
 * Trains from the last checkpoint of a folder on, or from the start, in a worker that is killed when it has trained for so
 * many milliseconds, or within the next write after them; a checkpoint after each batch.
 */
async function goOn(text, shape, name, milliseconds, inWrite) {
  const worker = new Worker(new URL("/dist/worker-host.js", location.href), { type: "module" });
  const warnings = [];
  let resumed;
  let model;
  let kill;
  const killed = new Promise((resolve) => {
    kill = resolve;
  });
  const work = async () => {
    using trainer = await createTrainer({
      ...shape,
      threads: 1,
      worker,
      data: { train: new Blob([text]) },
      checkpoint: { name, every: { steps: 1 } },
      resume: name,
      onWarning: (warning) => warnings.push(warning),
    });
    ({ resumed } = trainer.start);
    if (milliseconds !== undefined) {
      setTimeout(() => (inWrite ? write(name, () => model !== undefined).then(kill) : kill()), milliseconds);
    }
    for await (const _ of trainer);
    using best = await trainer.model();
    model = await sha256(await best.toBytes());
  };
  await Promise.race([work(), killed]);
  worker.terminate();
  return { resumed: resumed?.steps, warnings, model };
}

/** Names of the files of a folder, and which of the checkpoints among them are not whole. */
async function lookInto(name) {
  const folder = await folderOf(name);
  const names = await namesIn(folder);
  const damaged = [];
  for (const each of names.filter((each) => each.endsWith(".ifmckpt"))) {
    const bytes = await (await (await folder.getFileHandle(each)).getFile()).arrayBuffer();
    await checkCheckpoint(new Uint8Array(bytes)).catch(({ message }) => damaged.push(`${each}: ${message}`));
  }
  return { names, damaged };
}

/** Trains in the page itself, is left, goes on from the last checkpoint, and tidies up. */
async function goOnInPage(text, shape, name) {
  const options = { ...shape, data: { train: await readLibfm(text) } };
  const folder = opfsCheckpoints(name);
  const checkpoint = { every: { steps: 7 }, write: (taken) => folder.write(taken) };
  using first = await createPlainTrainer({ ...options, checkpoint });
  for await (const event of first) if (event.event === "epoch" && event.epoch === 2) break;
  using second = await createPlainTrainer({ ...options, checkpoint, resume: await opfsCheckpoints(name).newest() });
  for await (const _ of second);
  const { names } = await lookInto(name);
  await removeOpfsEntry(name);
  const model = await sha256(second.model().toBytes());
  return { resumed: second.start.resumed.steps, names, model, left: await opfsCheckpoints(name).newest() };
}

window.ifm = { train, saveAndRead, goOn, lookInto, goOnInPage, removeOpfsEntry, trainLong, failToStart };
