import picocolors from "picocolors";
import { describe, expect, it } from "vitest";
import { hasColors } from "../../src/cli/colors.js";
import { lossCurve } from "../../src/cli/curve.js";
import { EXIT, reportError } from "../../src/cli/exit.js";
import { JsonReport, jsonLine } from "../../src/cli/json.js";
import { EpochTable, HumanReport, startWarnings, unknownFeatures } from "../../src/cli/report.js";
import { defaultModel, defaultTrain, type Loss } from "../../src/config.js";
import { type ErrorCode, IfmError } from "../../src/errors.js";
import type { EpochEvent, StartEvent } from "../../src/train/types.js";
import { jsonLines, testIo } from "./support.js";

const plainColors = picocolors.createColors(false);
const colors = picocolors.createColors(true);

function startEvent(loss: Loss = "squared"): StartEvent {
  return {
    event: "start",
    model: { ...defaultModel("ifm"), features: 153, fields: 12, fieldOfSlot: [0, 1], loss },
    train: defaultTrain("ifm", loss),
    rows: { train: 28_561, validation: 4000, test: 100 },
    parameters: 3338,
    memoryBytes: 3_407_872,
    threads: 2,
    unknownFeatures: { train: 0, validation: 12, test: 0 },
    init: {
      model: "ifm",
      taken: ["bias"],
      left: [{ name: "factor", reason: "shape [6,8] there, [16,8] here" }],
      fresh: ["factor"],
    },
  };
}

function epoch(number: number, best = true): EpochEvent {
  const metrics = { rows: 10, rmse: 0.9 / number, mae: 0.5, logloss: 0.7 / number, auc: 0.5 + number / 100 };
  return {
    event: "epoch",
    epoch: number,
    loss: 12345.678 / number,
    train: metrics,
    validation: metrics,
    test: { ...metrics, auc: Number.NaN },
    rowsPerSecond: 1_504_595,
    seconds: 14.5,
    best,
  };
}

describe("the table of epochs", () => {
  it.each(["squared", "logistic"] as const)("fits 80 columns and its cells their columns (%s)", (loss) => {
    const table = new EpochTable(startEvent(loss), plainColors);
    const header = table.header();
    const row = table.row(epoch(20));
    expect(row.length).toBeLessThanOrEqual(80);
    expect(row.length).toBe(`${header} *`.length);
  });

  it("shows the metric of the loss, and marks what is best", () => {
    const table = new EpochTable(startEvent("squared"), plainColors);
    expect(table.header()).toMatch(/epoch +loss +train RMSE +validation +test +rows\/s +time/);
    expect(table.row(epoch(2))).toMatch(/2 +6172\.8 +0\.4500 +0\.4500 +0\.4500 1,504,595 +14\.5 s \*$/);
    expect(table.row(epoch(2, false))).not.toContain("*");
    expect(new EpochTable(startEvent("logistic"), plainColors).header()).toContain("AUC");
  });
});

describe("the loss curve", () => {
  const epochs = [1, 2, 3, 4].map((number) => epoch(number));

  it("is drawn from three epochs on", () => {
    expect(lossCurve(epochs.slice(0, 2), "rmse", "RMSE", 80, plainColors)).toBe("");
    const curve = lossCurve(epochs.slice(0, 3), "rmse", "RMSE", 80, plainColors);
    expect(curve).toContain("RMSE, validation, epochs 1 to 3");
    expect(curve).toContain("0.9000");
    expect(curve).toContain("0.3000");
  });

  it("shows training and validation only where colours tell them apart", () => {
    expect(lossCurve(epochs, "rmse", "RMSE", 80, plainColors)).not.toContain("\x1b");
    expect(lossCurve(epochs, "rmse", "RMSE", 80, colors)).toContain("\x1b[36mtraining\x1b[39m, \x1b[32mvalidation");
  });

  it("fits the terminal", () => {
    for (const width of [40, 60, 80, 100]) {
      for (const line of lossCurve(epochs, "rmse", "RMSE", width, plainColors).split("\n")) {
        expect(line.length).toBeLessThanOrEqual(width);
      }
    }
  });

  it("is left out when there is nothing to draw", () => {
    const flat = epochs.map((event) => ({ ...event, train: epochs[0].train, validation: epochs[0].train }));
    expect(lossCurve(flat, "rmse", "RMSE", 80, plainColors)).toBe("");
    const broken = epochs.map((event) => ({
      ...event,
      train: { ...event.train, rmse: Number.NaN },
      validation: { ...event.train, rmse: Number.NaN },
    }));
    expect(lossCurve(broken, "rmse", "RMSE", 80, plainColors)).toBe("");
  });
});

describe("a training for people", () => {
  it("is told on stderr without escape sequences when that is no terminal", () => {
    const io = testIo();
    const report = new HumanReport(io, "");
    report.start(startEvent(), { train: "rows.libfm", validation: "more.libfm", init: "fm.safetensors" });
    report.progress({ phase: "train", epoch: 1, epochs: 3, rows: 5, totalRows: 10, rowsPerSecond: 100 });
    for (const number of [1, 2, 3]) report.epoch(epoch(number));
    report.interrupted();
    report.baseline({ rows: 4000, constant: { rows: 4000, rmse: 0.9, mae: 0.5, auc: 0.5 }, fm: epoch(2).train });
    report.end({
      reason: "early-stop",
      epochs: 8,
      seconds: 63,
      best: epoch(3),
      output: "ifm.safetensors",
      bytes: 13_352,
    });
    const text = io.stderr();
    expect(io.stdout()).toBe("");
    expect(text).not.toContain("\x1b");
    expect(text).toContain("ifm, Interaction-aware FM");
    expect(text).toMatch(/training +28,561 rows, 153 features, 12 fields, rows\.libfm/);
    expect(text).toMatch(/seed +2019/);
    expect(text).toMatch(/start from +fm\.safetensors: bias/);
    expect(text).toContain("interrupted: saving the best epoch");
    expect(text).toContain("best epoch: 3 of 8, then no improvement, validation RMSE 0.3000, test RMSE 0.3000");
    expect(text).toContain("saved ifm.safetensors, 13.4 kB, after 1 min 03 s");
    expect(text).toMatch(/always the same guess +0\.9000 +0\.5000\n +fm +0\.4500 +0\.5200\n +ifm +0\.3000 +0\.5300/);
  });

  it("says so when nothing was saved", () => {
    const io = testIo();
    const report = new HumanReport(io, "");
    report.end({ reason: "aborted", epochs: 0, seconds: 1, best: undefined });
    expect(io.stderr()).toContain("no epoch was completed; nothing was saved");
  });

  it("warns of what was not taken and of what is unknown", () => {
    expect(startWarnings(startEvent(), { train: 100, validation: 4000, test: 5 })).toEqual([
      "--init: factor was not taken: shape [6,8] there, [16,8] here",
      "validation rows: 12 of 4,000 features (0.3 %) are unknown to the model and count as absent",
    ]);
    expect(unknownFeatures(0, 10)).toBe("");
  });
});

describe("a training for programs", () => {
  it("is one JSON object a line on stdout", () => {
    const io = testIo();
    const report = new JsonReport(io, "ifm.safetensors");
    const ready = { secondsToFirstBatch: 0.5, readSeconds: 0.25, fromCache: true };
    report.start(startEvent(), { train: "rows.libfm" }, ready);
    report.baseline({ rows: 10, constant: { rows: 10, rmse: 1, mae: 1 } });
    report.progress();
    report.epoch(epoch(1));
    report.end({ reason: "epochs", epochs: 1, seconds: 2, best: epoch(1), output: "ifm.safetensors", bytes: 1 });
    expect(io.stderr()).toBe("");
    const [start, baseline, first, end] = jsonLines(io.stdout());
    expect(start).toMatchObject({
      event: "start",
      model: "ifm",
      factors: 16,
      temperature: 10,
      optimizer: "adagrad",
      seed: 2019,
      batchSize: 1024,
      files: { train: "rows.libfm", output: "ifm.safetensors" },
      rows: { train: 28_561, validation: 4000, test: 100 },
      ...ready,
    });
    expect(baseline).toEqual({ event: "baseline", constant: { validation: { rows: 10, rmse: 1, mae: 1 } } });
    expect(first).toMatchObject({ event: "epoch", epoch: 1, rowsPerSecond: 1_504_595, train: { rmse: 0.9 } });
    expect(end).toMatchObject({
      event: "end",
      bestEpoch: 1,
      output: "ifm.safetensors",
      reason: "epochs",
      seconds: 2,
      validation: { rmse: 0.9 },
    });
  });

  it("has null where a number is not finite", () => {
    expect(jsonLine({ auc: Number.NaN, loss: Number.POSITIVE_INFINITY })).toBe('{"auc":null,"loss":null}\n');
  });

  it("has no output when nothing was saved", () => {
    const io = testIo();
    new JsonReport(io, "m").end({ reason: "diverged", epochs: 0, seconds: 0, best: undefined });
    expect(jsonLines(io.stdout())).toEqual([
      { event: "end", bestEpoch: 0, output: null, reason: "diverged", epochs: 0, seconds: 0 },
    ]);
  });
});

describe("colours", () => {
  it.each([
    [{}, false, false],
    [{}, true, true],
    [{ TERM: "dumb" }, true, false],
    [{ NO_COLOR: "1" }, true, false],
    [{ NO_COLOR: "" }, true, true],
    [{ FORCE_COLOR: "1" }, false, true],
    [{ FORCE_COLOR: "" }, false, true],
    [{ FORCE_COLOR: "0" }, true, false],
    [{ FORCE_COLOR: "1", NO_COLOR: "1" }, true, false],
  ])("%j, terminal %s: %s", (env, isTTY, expected) => {
    const { err } = testIo();
    Object.assign(err.stream, { isTTY });
    expect(hasColors(err, env)).toBe(expected);
  });
});

describe("errors", () => {
  it.each<[ErrorCode, number]>([
    ["IFM_USAGE", EXIT.usage],
    ["IFM_DATA", EXIT.data],
    ["IFM_DIVERGED", EXIT.diverged],
    ["IFM_MODEL", EXIT.model],
    ["IFM_MEMORY", EXIT.memory],
    ["IFM_ABORTED", EXIT.interrupted],
    ["IFM_WASM", EXIT.bug],
  ])("%s exits with %s and tells what to do", (code, exitCode) => {
    const io = testIo();
    const error = new IfmError(code, "expected a label", { file: "rows.libfm", line: 7, hint: "write a label" });
    expect(reportError(error, io)).toBe(exitCode);
    expect(io.stderr()).toBe("error: rows.libfm:7: expected a label\n  write a label\n");
  });

  it("of memory that V8 throws are recognised", () => {
    const io = testIo();
    expect(reportError(new RangeError("Array buffer allocation failed"), io)).toBe(EXIT.memory);
    expect(io.stderr()).toContain("not enough memory");
  });

  it("of the operating system show no stack, those that nobody expected do", () => {
    const io = testIo();
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { syscall: "write" });
    expect(reportError(full, io)).toBe(EXIT.bug);
    expect(io.stderr()).toBe("error: ENOSPC: no space left on device, write\n");
    expect(reportError(new TypeError("x is not a function"), io)).toBe(EXIT.bug);
    expect(io.stderr()).toContain("unexpected error: TypeError: x is not a function\n    at ");
  });
});
