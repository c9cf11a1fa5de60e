import { Model } from "../api.js";
import type { FitData } from "../train/types.js";
import { VERSION } from "../version.js";
import { checkpointOptions } from "./checkpoints.js";
import {
  type Answer,
  buffersOf,
  type Call,
  encodeError,
  HOST,
  type HostCalls,
  type Implementation,
  type ModelCalls,
  type Told,
  type TrainerCalls,
  type WireModel,
  type WireRows,
} from "./protocol.js";
import { type Reading, unpackBytes, unpackRows } from "./rows.js";
import { TrainerHost } from "./trainer-host.js";

/** What a page is connected to: the worker itself, or a port. */
export type Port = Pick<MessagePort, "postMessage" | "addEventListener"> & Partial<Pick<MessagePort, "start">>;

/**
 * Answers the calls that come through a port. A call may take long, and others are answered meanwhile: those that stop
 * it, above all.
 */
export function serve(port: Port): void {
  const host = new Host(port);
  port.addEventListener("message", (event) => {
    const { data } = event as MessageEvent<Call | object>;
    if ("method" in data) void host.answer(data);
  });
  port.start?.();
}

/** What nobody stops. */
const NEVER = new AbortController().signal;

type Target = Record<string, (...args: never[]) => unknown>;

class Host {
  readonly #port: Port;
  readonly #targets = new Map<number, Target>();
  #nextTarget = HOST + 1;
  /** Who can stop what a call has begun. */
  readonly #stops = new Map<number, AbortController>();

  constructor(port: Port) {
    this.#port = port;
  }

  async answer({ id, target, method, args }: Call): Promise<void> {
    let answer: Answer;
    try {
      const object = target === HOST ? this.#callsOf(id) : this.#targets.get(target);
      if (object === undefined || !Object.hasOwn(object, method)) throw new Error(`worker: no "${method}" here`);
      answer = { id, result: await (object as Target)[method]!(...(args as never[])) };
    } catch (error) {
      answer = { id, error: encodeError(error) };
    }
    this.#port.postMessage(answer, "result" in answer ? buffersOf(answer.result) : []);
  }

  /** The calls of the object that is there from the start; what they tell belongs to the call of this number. */
  #callsOf(id: number): Implementation<HostCalls> {
    const tell = (told: Told) => this.#port.postMessage({ id, told } satisfies Answer);
    const onWarning = (warning: string) => tell({ warning });
    const stop = new AbortController();
    const reading: Reading = { tell: (progress) => tell({ reading: progress }), signal: stop.signal };
    return {
      version: () => VERSION,

      createTrainer: async ({ data, init, checkpoint, resume, ...options }) => {
        this.#stops.set(id, stop);
        try {
          const checkpoints = await checkpointOptions(checkpoint, resume, onWarning);
          const sets: FitData = { train: await unpackRows(data.train, { ...reading, movable: true }) };
          if (data.validation) sets.validation = await unpackRows(data.validation, reading);
          if (data.test) sets.test = await unpackRows(data.test, reading);
          const initial = init && (await Model.load(await unpackBytes(init)));
          const whole = { ...options, ...checkpoints, data: sets, onWarning, ...(initial ? { init: initial } : {}) };
          const trainer = await TrainerHost.create(whole, stop);
          initial?.dispose();
          return { target: this.#addTrainer(trainer, id), start: trainer.start };
        } catch (error) {
          this.#stops.delete(id);
          throw error;
        }
      },

      loadModel: async (bytes, options) =>
        this.#addModel(await Model.load(await unpackBytes(bytes), { ...options, onWarning })),

      readRows: async (rows) => {
        this.#stops.set(id, stop);
        try {
          return await unpackRows(rows, reading);
        } finally {
          this.#stops.delete(id);
        }
      },

      abort: (which) => this.#stops.get(which)?.abort(),
    };
  }

  #addTrainer(trainer: TrainerHost, id: number): number {
    return this.#add<TrainerCalls>((target) => ({
      next: () => trainer.next(),
      leave: () => trainer.leave(),
      model: () => this.#addModel(trainer.model()),
      dispose: () => {
        this.#targets.delete(target);
        this.#stops.delete(id);
        trainer.dispose();
      },
    }));
  }

  #addModel(model: Model): WireModel {
    const rowsOf = (rows: WireRows) => unpackRows(rows, { tell: () => undefined, signal: NEVER });
    const target = this.#add<ModelCalls>((target) => ({
      predict: async (rows, options) => model.predict(await rowsOf(rows), options),
      evaluate: async (rows, options) => model.evaluate(await rowsOf(rows), options),
      rank: (context, candidates, options) => model.rank(context, candidates, options),
      explain: (row) => model.explain(row),
      unknownFeatures: async (rows) => model.unknownFeatures(await rowsOf(rows)),
      tensor: (name) => model.tensor(name),
      toBytes: () => model.toBytes(),
      save: (path) => model.save(path),
      dispose: () => {
        this.#targets.delete(target);
        model.dispose();
      },
    }));
    const { config, record, tensors } = model;
    return { target, config, record, tensors };
  }

  #add<Calls>(make: (target: number) => Implementation<Calls>): number {
    const target = this.#nextTarget++;
    this.#targets.set(target, make(target) as Target);
    return target;
  }
}
