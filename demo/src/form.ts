import type { Dataset, Loss, ModelKind, OptimizerKind, WorkerTrainerOptions } from "ifm-wasm/worker";
import { hasTwoLabels } from "./data.js";
import { byId } from "./dom.js";

const HINTS: Record<ModelKind, string> = {
  fm: "Factorization machine: every pair of features counts, by the product of their embeddings. Rows of any length.",
  afm: "Attentional FM: an attention says which pairs matter in a row.",
  ifm: "Interaction-aware FM: the attention, and for each pair of fields which directions matter.",
  inn: "IFM whose weighted pairs go through a network.",
  deepifm: "IFM and a network of its own, side by side.",
};

const form = byId<HTMLFormElement>("setup");

/** Says what the chosen model is. */
export function startForm(): void {
  const update = () => {
    byId("model-hint").textContent = HINTS[kind()];
  };
  byId("models").addEventListener("change", update);
  update();
}

/** The loss that suits the labels. */
export function suggestLoss(data: Dataset): void {
  const select = form.elements.namedItem("loss") as HTMLSelectElement;
  const two = hasTwoLabels(data);
  select.value = two ? "logistic" : "squared";
  select.options[0]!.disabled = !two;
}

const text = (name: string) => String(new FormData(form).get(name));
const number = (name: string) => Number(text(name));
const kind = () => text("model") as ModelKind;

/** What the form says. */
export function optionsOfForm(): Pick<WorkerTrainerOptions, "model" | "train" | "threads"> {
  const threads = text("threads");
  return {
    model: {
      model: kind(),
      loss: text("loss") as Loss,
      factors: number("factors"),
      temperature: number("temperature"),
    },
    train: {
      optimizer: text("optimizer") as OptimizerKind,
      lr: number("lr"),
      epochs: number("epochs"),
      batchSize: number("batchSize"),
      keep: [1, number("keep")],
      l2: { embedding: number("l2") },
      earlyStop: number("earlyStop"),
      seed: number("seed"),
    },
    threads: threads === "auto" ? "auto" : Number(threads),
  };
}
