import type { Dataset } from "../data/dataset.js";
import { groupRows, slotsOfFields } from "../data/groups.js";
import { IfmError } from "../errors.js";
import { type Calibration, calibration } from "../metrics/calibration.js";
import { type RankingMetrics, rankingMetrics } from "../metrics/ranking.js";
import { Model } from "../model/model.js";
import type { Metrics } from "../train/types.js";
import { outputColors } from "./colors.js";
import { computeOptions } from "./compute.js";
import { scoringData } from "./data.js";
import { EXIT } from "./exit.js";
import { refuseSecondStdin } from "./files.js";
import { columns, count, metric } from "./format.js";
import type { Io } from "./io.js";
import { jsonLine } from "./json.js";
import type { EvaluateValues } from "./options.js";
import { namingFlag } from "./overrides.js";

/** Columns of the picture of a bin, which stands for the probabilities from 0 to 1. */
const PICTURE_COLUMNS = 30;

/** All that is measured, as `--json` prints it. */
interface Evaluation extends Metrics {
  ece?: number;
  calibration?: Calibration;
  ranking?: { groupBy: number[] } & RankingMetrics;
}

/** `ifm-wasm evaluate MODEL FILE`. Returns the exit code. */
export async function evaluate(modelFile: string, file: string, options: EvaluateValues, io: Io): Promise<number> {
  refuseSecondStdin([modelFile, file]);
  if (options.topK !== undefined && options.groupBy === undefined) {
    throw new IfmError("IFM_USAGE", "--top-k: expected --group-by with it, which says what the top is of");
  }
  const model = await Model.load(modelFile, await computeOptions(options, file, io));
  try {
    if (options.calibration) needProbabilities(model, modelFile);
    const evaluation = measure(model, await scoringData(model, file, options, io), options);
    io.out.write(options.json ? jsonLine(evaluation) : describe(evaluation, outputColors(io).bold));
    return EXIT.done;
  } catch (error) {
    throw namingFlag(error);
  } finally {
    model.dispose();
  }
}

/** @throws IfmError `IFM_USAGE` when the scores of the model are no log odds. */
function needProbabilities({ config }: Model, file: string): void {
  if (config.loss === "logistic") return;
  throw new IfmError("IFM_USAGE", `--calibration: a model of ${config.loss} loss gives no probabilities`, {
    file,
    hint: "train with --loss logistic, or leave --calibration out",
  });
}

function measure(model: Model, data: Dataset, options: EvaluateValues): Evaluation {
  const { groupBy, topK, bins, samplePairs = 1 } = options;
  const { labelMin, labelMax } = model.record;
  const groups = groupBy && groupRows(data, slotsOfFields(groupBy, model.config.fieldOfSlot));
  const scores = new Float32Array(data.rows);
  const evaluation: Evaluation = model.evaluate(data, { samplePairs, scores });
  const isTwoValued = evaluation.logloss !== undefined;
  if (options.calibration || (isTwoValued && model.config.loss === "logistic")) {
    const probabilities = scores.map((score) => 1 / (1 + Math.exp(-score)));
    const found = calibration(probabilities, data.labels, { bins, labelMin, labelMax });
    evaluation.ece = found.ece;
    if (options.calibration) evaluation.calibration = found;
  }
  if (groupBy && groups) {
    const ranking = rankingMetrics(scores, data.labels, groups, { k: topK, labelMin, labelMax });
    evaluation.ranking = { groupBy, ...ranking };
  }
  return evaluation;
}

function describe({ rows, calibration, ranking, ...figures }: Evaluation, bold: (text: string) => string): string {
  const cells = Object.entries(figures).map(([name, figure]) => [name, metric(figure)]);
  const parts = [columns([["rows", count(rows)], ...cells], [1])];
  if (ranking) parts.push(section(bold(rankingTitle(ranking)), rankingTable(ranking)));
  if (calibration) parts.push(section(bold("Calibration"), calibrationTable(calibration)));
  return parts.map((lines) => lines.map((line) => `${line}\n`).join("")).join("\n");
}

function section(title: string, lines: string[]): string[] {
  return [title, ...lines.map((line) => `  ${line}`)];
}

function rankingTitle({ groupBy, groups }: { groupBy: number[]; groups: number }): string {
  return `Ranking in ${count(groups)} ${groups === 1 ? "group" : "groups"} by field ${groupBy.join(", ")}`;
}

/** Each metric with the number of groups that it is of. */
function rankingTable(ranking: RankingMetrics): string[] {
  const { k, groupsWithGain, groupsWithPositives, groupsWithBoth } = ranking;
  return columns(
    [
      ["", "mean", "groups"],
      [`ndcg@${k}`, metric(ranking.ndcg), count(groupsWithGain)],
      [`recall@${k}`, metric(ranking.recall), count(groupsWithPositives)],
      [`hit rate@${k}`, metric(ranking.hitRate), count(groupsWithPositives)],
      ["mrr", metric(ranking.mrr), count(groupsWithPositives)],
      ["gauc", metric(ranking.gauc), count(groupsWithBoth)],
    ],
    [1, 2],
  );
}

function calibrationTable({ ece, brier, bins }: Calibration): string[] {
  const table = [
    ["probability", "rows", "predicted", "observed", "█ observed, │ predicted"],
    ...bins.map(({ from, to, rows, predicted, observed }) => [
      `${from.toFixed(2)} – ${to.toFixed(2)}`,
      count(rows),
      metric(predicted),
      metric(observed),
      rows === 0 ? "" : picture(predicted, observed),
    ]),
  ];
  return [`ece ${metric(ece)}, brier ${metric(brier)}`, ...columns(table, [1, 2, 3])];
}

/** A bar as long as the observed share, with a line where the prediction is: `██████│██`. */
export function picture(predicted: number, observed: number): string {
  const bar = "█".repeat(Math.round(observed * PICTURE_COLUMNS)).padEnd(PICTURE_COLUMNS);
  const at = Math.min(PICTURE_COLUMNS - 1, Math.floor(predicted * PICTURE_COLUMNS));
  return `${bar.slice(0, at)}│${bar.slice(at + 1)}`;
}
