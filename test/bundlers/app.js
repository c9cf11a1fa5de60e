import { createTrainer, Model, readLibfm } from "ifm-wasm";
import { LibfmParser } from "ifm-wasm/libfm";
import { calibration } from "ifm-wasm/metrics";

const ROWS = Array.from(
  { length: 40 },
  (_, i) => `${i % 3 === 0 ? 1 : -1} ${i % 5}:1 ${5 + (i % 7)}:0.5 ${12 + (i % 3)}:1\n`,
);

/**
 * What an application does: trains a few steps, saves, loads, predicts, measures. The same numbers must come out everywhere.
 *
 * @param predictor the class that loads and predicts, for one of another entry
 */
export async function run(options = {}, predictor = Model) {
  const file = new Blob(ROWS).stream().pipeThrough(new CompressionStream("gzip"));
  const train = await readLibfm(file);
  const how = { epochs: 3, batchSize: 8, seed: 1 };
  const trainer = await createTrainer({ model: { model: "ifm", factors: 8 }, train: how, data: { train }, ...options });
  const losses = [];
  for await (const event of trainer) if (event.event === "epoch") losses.push(event.loss);
  const model = await predictor.load(new Blob([trainer.model().toBytes()]), options);
  const parser = new LibfmParser();
  for (const row of ROWS) parser.push(new TextEncoder().encode(row));
  const { labels } = parser.end();
  const { ece } = calibration(model.predict(train, { link: "sigmoid" }), labels);
  return { losses, scores: Array.from(model.predict(train)), ece };
}

/** What `run` comes to, or why it does not; both can leave a page. */
export const outcome = (...options) =>
  run(...options).catch(({ name, code, message, hint }) => ({ error: { name, code, message, hint } }));
