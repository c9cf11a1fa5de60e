import { expect } from "vitest";
import {
  createTrainer,
  type EndEvent,
  type EpochEvent,
  IfmError,
  Model,
  type RollbackEvent,
  type StartEvent,
  type TrainerOptions,
} from "../../src/api.js";
import { validateModelConfig } from "../../src/config.js";
import { encodeModel } from "../../src/model/format.js";
import { layoutOf } from "../../src/model/layout.js";
import type { RefModel } from "../reference/index.js";
import { fingerprint } from "./host.js";

/** Everything that a run said, and its model. */
export interface Run {
  start: StartEvent;
  epochs: EpochEvent[];
  rollbacks: RollbackEvent[];
  end: EndEvent;
  model: Model;
}

/** Trains to the end. */
export async function train(options: TrainerOptions): Promise<Run> {
  using trainer = await createTrainer(options);
  const epochs: EpochEvent[] = [];
  const rollbacks: RollbackEvent[] = [];
  let start: StartEvent | undefined;
  let end: EndEvent | undefined;
  for await (const event of trainer) {
    if (event.event === "start") start = event;
    else if (event.event === "epoch") epochs.push(event);
    else if (event.event === "rollback") rollbacks.push(event);
    else end = event;
  }
  return { start: start!, epochs, rollbacks, end: end!, model: trainer.model() };
}

/** All weights, by tensor. */
export function weights(model: Model): Record<string, Float32Array> {
  return Object.fromEntries(model.tensors.map(({ name }) => [name, model.tensor(name)]));
}

/** SHA-256 of all weights. */
export function digest(model: Model): string {
  return fingerprint(Object.values(weights(model)).map(({ buffer }) => new Uint8Array(buffer)));
}

/** A model of the twins as one of the program. */
export function toModel({ config, tensors }: RefModel): Promise<Model> {
  const whole = validateModelConfig({ ...config, ...("batch_norm.gamma" in tensors && { batchNorm: true }) });
  const list = layoutOf(whole).tensors.map(({ name, shape }) => {
    return { name, shape, data: Float32Array.from(tensors[name]!.data) };
  });
  return Model.load(encodeModel(whole, {}, list));
}

/** The IfmError that a promise ends with. */
export async function errorOf(promise: Promise<unknown>): Promise<IfmError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(IfmError);
  return error as IfmError;
}
