import { equalFields, madeRows } from "./data.js";
import { describe, predictionSpeed, rowsFor, trainingSpeed } from "./models.js";
import { short } from "./time.js";

/*
 * Rows a second in training while one size grows and the others stay. Ten fields of 5,000 features together, batches of
 * 2,048 rows, unless the size in question is one of those.
 */

const FM = { title: "FM, K 64", model: "fm", K: 64 };
const IFM = { title: "IFM, A 8, K 64", model: "ifm", A: 8, K: 64 };

const IFM256 = { title: "IFM, A 8, K 256", model: "ifm", A: 8, K: 256 };

/** Each sweep: the points of its x axis, its lines, and what a point changes. */
export const SWEEPS = [
  {
    name: "fields",
    title: "Rows a second over the number of fields M",
    x: "fields M; pairs grow as M²",
    points: [3, 10, 20, 39],
    lines: [FM, IFM],
    at: (M) => ({ M }),
  },
  {
    name: "features",
    title: "Rows a second over the number of features n, all alike likely",
    x: "features n",
    points: [1e3, 1e4, 1e5, 1e6, 1e7],
    // The largest that fits the memory: 10⁷ records of 12 floats, their state, and a copy of the best weights.
    lines: [
      { title: "FM, K 8", model: "fm", K: 8 },
      { title: "IFM, A 8, K 8", model: "ifm", A: 8, K: 8 },
    ],
    at: (features) => ({ features, skew: 1 }),
  },
  {
    name: "factors",
    title: "Rows a second over the number of factors K",
    x: "factors K",
    points: [4, 8, 16, 32, 64, 128, 256],
    lines: [
      { ...FM, title: "FM" },
      { ...IFM, title: "IFM, A 8" },
    ],
    at: (K) => ({ K }),
  },
  {
    name: "attention",
    title: "Rows a second over the number of attention factors A",
    x: "attention factors A",
    points: [4, 8, 16, 32, 64],
    lines: [{ ...IFM, title: "IFM, K 64" }],
    at: (A) => ({ A }),
  },
  {
    name: "batch",
    title: "Rows a second over the batch size B",
    x: "rows of a batch B",
    points: [16, 64, 256, 1024, 4096, 16384],
    lines: [FM, IFM],
    at: (batchSize) => ({ batchSize }),
  },
];

const RANGE = { M: 10, features: 5000, batchSize: 2048, skew: 3 };

/**
 * @param {{ threads: readonly number[], seconds: number, quick?: boolean, log?: (line: string) => void }} settings
 *   threads: numbers of threads that there are; with one, there is no plot of them
 */
export async function benchScaling({ threads, seconds, quick = false, log = () => {} }) {
  const sweeps = [...SWEEPS];
  if (threads.length > 1) {
    sweeps.push({
      name: "threads",
      title: "Rows a second over the number of threads",
      x: "threads",
      points: threads,
      y: "rows/s",
      lines: [
        FM,
        IFM,
        IFM256,
        ...[FM, IFM, IFM256].map((line) => ({ ...line, title: `${line.title}, predict`, predict: true })),
      ],
      at: (count) => ({ threads: count }),
    });
  }
  const results = [];
  for (const { name, title, x, y = "rows/s in training", points, lines, at } of sweeps) {
    const ends = quick ? [points[0], points[2] ?? points[1]] : points;
    const series = [];
    for (const line of lines) {
      const measured = [];
      for (const point of ends) {
        const { M, features, batchSize, skew, threads: count, ...sizes } = { ...RANGE, ...at(point) };
        const model = { ...line, ...sizes };
        const fields = equalFields(M, features);
        // As many rows whatever the batch, so that an epoch is not shorter than what starts it.
        const counted = describe(model, { maxSlots: M }, 1024).shape;
        const rows = Math.max(rowsFor(counted, 1024, 2e9), 2 * batchSize);
        const data = madeRows(fields, rows, skew);
        const { options } = describe(model, data, batchSize);
        options.model.features = features;
        const settings = { seconds, threads: count ?? 1, least: 2 };
        const { rowsPerSecond, bytes } = await trainingSpeed(options, { ...settings, keep: line.predict });
        measured.push([point, line.predict ? await predictionSpeed(bytes, data, settings) : rowsPerSecond]);
      }
      series.push({ name: line.title, points: measured });
      log(`${name}: ${line.title}: ${measured.map(([point, rate]) => `${short(point)} ${short(rate)}`).join(", ")}`);
    }
    results.push({ name, title, x, y, series });
  }
  return results;
}
