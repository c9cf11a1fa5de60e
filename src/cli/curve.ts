import asciichart from "asciichart";
import type { EpochEvent } from "../train/types.js";
import type { Colors } from "./colors.js";
import { metric } from "./format.js";

const MIN_EPOCHS = 3;
const HEIGHT = 8;
/** Columns that the axis takes. */
const AXIS = 10;
/** A wider curve of few epochs would look like more than it is. */
const MAX_COLUMNS = 60;

/**
 * The course of a metric over the epochs as lines of text: of the training rows and, if there are any, of the
 * validation rows. Empty with fewer than three epochs, or when there is nothing to draw.
 */
export function lossCurve(
  epochs: readonly EpochEvent[],
  key: "rmse" | "logloss" | "gauc",
  title: string,
  terminalColumns: number,
  colors: Colors,
): string {
  if (epochs.length < MIN_EPOCHS) return "";
  const train = { name: "training", paint: colors.cyan, points: epochs.map((e) => e.train[key]) };
  const validation = { name: "validation", paint: colors.green, points: epochs.map((e) => e.validation?.[key]) };
  const drawable = [train, validation].filter(({ points }) => points.every(isFiniteNumber));
  // Without colours two lines could not be told apart.
  const shown = colors.isColorSupported ? drawable : drawable.slice(-1);
  const values = shown.flatMap(({ points }) => points.filter(isFiniteNumber));
  if (values.length === 0 || Math.max(...values) === Math.min(...values)) return "";

  const width = Math.min(terminalColumns - AXIS - 2, MAX_COLUMNS);
  const chart = asciichart.plot(
    shown.map(({ points }) => stretch(points.filter(isFiniteNumber), width)),
    {
      height: HEIGHT,
      format: (value: number) => metric(value).padStart(AXIS - 2),
      ...(colors.isColorSupported ? { colors: [asciichart.cyan, asciichart.green].slice(-shown.length) } : {}),
    },
  );
  const names = shown.map(({ name, paint }) => paint(name)).join(", ");
  return `${title}, ${names}, epochs ${epochs[0].epoch} to ${epochs[epochs.length - 1].epoch}\n${chart.replace(/ +$/gm, "")}`;
}

function isFiniteNumber(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value);
}

/** The points, interpolated to the given number of columns. */
function stretch(points: readonly number[], width: number): number[] {
  return Array.from({ length: width }, (_, column) => {
    const at = (column / (width - 1)) * (points.length - 1);
    const left = Math.min(Math.floor(at), points.length - 2);
    return points[left] + (at - left) * (points[left + 1] - points[left]);
  });
}
