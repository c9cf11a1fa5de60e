import "uplot/dist/uPlot.min.css";
import "./style.css";
import {
  createTrainer,
  IfmError,
  loadModel,
  type ProgressEvent,
  type ReadingProgress,
  type WorkerModel,
} from "ifm-wasm/worker";
import { Curves } from "./curves.js";
import { type Row, type Rows, readFiles, readSample } from "./data.js";
import { announce, byId, formatCompact, formatCount, formatPercent, formatSeconds, h, show } from "./dom.js";
import { fieldNorms } from "./fields.js";
import { optionsOfForm, startForm, suggestLoss } from "./form.js";
import { heatMap } from "./heatmap.js";
import { Ranking } from "./ranking.js";
import { onThemeChange, startTheme } from "./theme.js";
import { WhatIf } from "./what-if.js";
import { whyView } from "./why.js";

let rows: Rows | undefined;
let model: WorkerModel | undefined;
let stop: AbortController | undefined;
/** What is drawn with colours that the style sheet does not have: again when the theme changes. */
const draws: { why?: () => void; fields?: () => void } = {};

const curves = new Curves();
const whatIf = new WhatIf();
const ranking = new Ranking((row, number) => void explain(row, number));

function fail(where: string, error: unknown): void {
  const text = error instanceof IfmError ? [error.message, error.hint].filter(Boolean).join(" — ") : String(error);
  byId(where).textContent = text;
  show(byId(where), true);
  if (!(error instanceof IfmError)) throw error;
}

function clearErrors(): void {
  for (const element of document.querySelectorAll<HTMLElement>(".error")) show(element, false);
}

function enable(): void {
  const busy = stop !== undefined;
  byId<HTMLButtonElement>("train").disabled = busy || rows === undefined;
  byId<HTMLButtonElement>("stop").disabled = !busy;
  byId<HTMLButtonElement>("download").disabled = model === undefined;
}

function drawData({ name, train, validation }: Rows): void {
  byId("data-summary").textContent = name;
  const positive = train.labels.subarray(0, 100_000).reduce((sum, label) => sum + Number(label > 0), 0);
  const slots = train.minSlots === train.maxSlots ? `${train.maxSlots}` : `${train.minSlots} to ${train.maxSlots}`;
  const figures: [string, string][] = [
    ["rows", formatCount(train.rows)],
    ["held out", formatCount(validation?.rows ?? 0)],
    ["features", formatCount(train.featureCount)],
    ["slots a row", slots],
    ["label above 0", formatPercent(positive / Math.min(train.rows, 100_000))],
  ];
  byId("data-figures").replaceChildren(
    ...figures.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))),
  );
}

async function useRows(reading: Promise<Rows>): Promise<void> {
  clearErrors();
  try {
    rows = await reading;
    drawData(rows);
    suggestLoss(rows.train);
    announce(`${rows.name}: ${formatCount(rows.train.rows)} rows`);
    if (model) await score();
  } catch (error) {
    byId("data-summary").textContent = rows?.name ?? "";
    fail("data-error", error);
  } finally {
    enable();
  }
}

function drawTiles(tiles: [string, string][]): void {
  byId("tiles").replaceChildren(...tiles.map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

const idleTiles = () =>
  drawTiles([
    ["status", "ready"],
    ["epoch", "–"],
    ["rows/s", "–"],
    ["time left", "–"],
  ]);

async function train(): Promise<void> {
  if (!rows || stop) return;
  clearErrors();
  const { train, validation } = rows;
  const controller = new AbortController();
  stop = controller;
  enable();
  drawTiles([
    ["status", "getting ready"],
    ["epoch", "–"],
    ["rows/s", "–"],
    ["time left", "–"],
  ]);
  const bar = byId<HTMLProgressElement>("progress");
  const warnings: string[] = [];
  const began = performance.now();
  try {
    using trainer = await createTrainer({
      ...optionsOfForm(),
      data: { train, ...(validation ? { validation } : {}) },
      signal: controller.signal,
      onWarning: (text) => warnings.push(text),
    });
    const { epochs } = trainer.start.train;
    curves.clear();
    drawFacts(trainer.start.threads, warnings);
    let rate = 0;
    const drawProgress = ({ epoch, rows: done, totalRows }: Pick<ProgressEvent, "epoch" | "rows" | "totalRows">) => {
      const share = (epoch - 1 + done / totalRows) / epochs;
      const seconds = (performance.now() - began) / 1000;
      bar.value = share;
      drawTiles([
        ["status", "training"],
        ["epoch", `${epoch} of ${epochs}`],
        ["rows/s", rate > 0 ? formatCompact(rate) : "–"],
        ["time left", share > 0.02 ? `≤ ${formatSeconds((seconds * (1 - share)) / share)}` : "–"],
      ]);
    };
    for await (const event of trainer) {
      if (event.event === "progress") {
        if (event.rowsPerSecond > 0) rate = event.rowsPerSecond;
        drawProgress(event);
      } else if (event.event === "epoch") {
        rate = event.rowsPerSecond;
        curves.add(event);
        drawProgress({ epoch: event.epoch, rows: 1, totalRows: 1 });
      } else if (event.event === "end") {
        const reason = { epochs: "done", "early-stop": "stopped early", aborted: "stopped" }[event.reason];
        bar.value = 1;
        drawTiles([
          ["status", reason],
          ["best epoch", `${event.bestEpoch} of ${event.epochs}`],
          ["rows/s", rate > 0 ? formatCompact(rate) : "–"],
          ["training took", formatSeconds(event.seconds)],
        ]);
        announce(`Training ${reason} after ${event.epochs} epochs, best epoch ${event.bestEpoch}`);
      }
    }
    await useModel(await trainer.model());
  } catch (error) {
    idleTiles();
    if (!(error instanceof IfmError && error.code === "IFM_ABORTED")) fail("train-error", error);
  } finally {
    stop = undefined;
    enable();
  }
}

async function useModel(next: WorkerModel): Promise<void> {
  model?.dispose();
  model = next;
  const { config, tensors } = model;
  const parameters = tensors.reduce((sum, tensor) => sum + tensor.parameters, 0);
  const kind = { fm: "FM", afm: "AFM", ifm: "IFM", inn: "INN", deepifm: "DeepIFM" }[config.model];
  byId("file-summary").textContent = `${kind}, ${config.factors} factors, ${formatCount(parameters)} numbers.`;
  await drawFields(model);
  if (rows) await score();
  enable();
}

async function score(): Promise<void> {
  if (!rows || !model) return;
  const data = rows.validation ?? rows.train;
  try {
    const scores = await model.predict(data, { link: model.config.loss === "logistic" ? "sigmoid" : "identity" });
    ranking.show({ data, scores, config: model.config, names: rows.names }, true);
  } catch (error) {
    fail("file-error", error);
  }
}

async function explain(row: Row, number: number): Promise<void> {
  if (!model || !rows) return;
  const { config } = model;
  const { names } = rows;
  const data = rows.validation ?? rows.train;
  const explanation = await model.explain({ features: row.features, values: row.values });
  const draw = () => byId("why").replaceChildren(whyView(config, explanation, names, row));
  draws.why = draw;
  draw();
  byId("why-title").textContent = `Why row ${formatCount(number + 1)} has its score`;
  show(byId("why-card"), true);
  announce(`Row ${number + 1} is explained`);
  await whatIf.show(model, data, names, row);
}

/** The lengths of the fields' vectors, of models that have them. */
async function drawFields(model: WorkerModel): Promise<void> {
  const { config } = model;
  const has = config.model === "ifm" || config.model === "inn" || config.model === "deepifm";
  show(byId("fields-card"), has && config.fields <= 60);
  delete draws.fields;
  if (!has) return;
  const [interaction, factor] = [await model.tensor("interaction"), await model.tensor("factor")];
  const cells = fieldNorms(config, interaction, factor);
  const labels = Array.from({ length: config.fields }, (_, field) => rows?.names.field(field) ?? `field ${field}`);
  draws.fields = () => {
    const caption = "Length of the vector of each pair of fields";
    const format = (value: number) => value.toFixed(2);
    byId("fields").replaceChildren(heatMap({ caption, labels, cells, scale: "sequential", format }));
  };
  draws.fields();
}

function drawFacts(threads: number, warnings: string[]): void {
  const text = threads === 1 ? "1 thread" : `${threads} threads`;
  byId("facts").textContent = `${text} · WebAssembly SIMD · nothing leaves this page`;
  byId("facts").title = warnings.join("\n");
}

function startData(): void {
  const files = byId<HTMLInputElement>("files");
  const open = (list: FileList | undefined) => {
    const chosen = Array.from(list ?? []);
    if (chosen.length === 0) return;
    byId("data-summary").textContent = `Reading ${chosen.map(({ name }) => name).join(" and ")} …`;
    const onReading = ({ name, bytes, totalBytes }: ReadingProgress) => {
      const share = totalBytes === undefined ? "" : ` ${formatPercent(bytes / totalBytes)}`;
      byId("data-summary").textContent = `Reading ${name} …${share}`;
    };
    void useRows(readFiles(chosen, onReading));
  };
  files.addEventListener("change", () => {
    open(files.files ?? undefined);
    files.value = "";
  });
  byId("sample").addEventListener("click", () => void useRows(readSample()));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    byId("drop").classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) byId("drop").classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    open(event.dataTransfer?.files);
  });
}

function startModelFile(): void {
  byId("download").addEventListener("click", () => void model?.download().catch((error) => fail("file-error", error)));
  const input = byId<HTMLInputElement>("model-file");
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    clearErrors();
    try {
      await useModel(await loadModel(file));
      announce(`${file.name} is open`);
    } catch (error) {
      fail("file-error", error);
    }
  });
}

byId("setup").addEventListener("submit", (event) => {
  event.preventDefault();
  void train();
});
byId("stop").addEventListener("click", () => stop?.abort());
onThemeChange(() => {
  draws.why?.();
  draws.fields?.();
  ranking.redraw();
  whatIf.redraw();
});
startTheme();
startForm();
startData();
startModelFile();
idleTiles();
drawFacts(1, []);
void useRows(readSample());
