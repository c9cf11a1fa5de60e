import { createTrainer, Model, type TrainerOptions } from "../api.js";
import { VERSION } from "../version.js";
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
  type WireModel,
} from "./protocol.js";
import { type Reading, unpackBytes, unpackRows } from "./rows.js";
import { TrainerHost } from "./trainer-host.js";

/** What a page is connected to: the worker itself, or a port. */
export type Port = Pick<MessagePort, "postMessage" | "addEventListener"> & Partial<Pick<MessagePort, "start">>;

/**
 * Answers the calls that come through a port.
 *
 * A call may take long, and others are answered meanwhile: those that stop it, above all.
 */
export function serve(port: Port): void {
  const host = new Host(port);
  port.addEventListener("message", (event) => void host.answer((event as MessageEvent<Call>).data));
  port.start?.();
}

type Target = { [method: string]: (...args: never[]) => unknown };

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
      const object = target === HOST ? this.#calls(id) : this.#targets.get(target);
      const call = (object as Target | undefined)?.[method];
      if (!call) throw new Error(`worker: no ${method} of object ${target}`);
      answer = { id, result: await call(...(args as never[])) };
    } catch (error) {
      answer = { id, error: encodeError(error) };
    }
    this.#port.postMessage(answer, "result" in answer ? buffersOf(answer.result) : []);
  }

  #tell(id: number, told: Told): void {
    this.#port.postMessage({ id, told } satisfies Answer);
  }

  #add(object: object, dispose: () => void): number {
    const target = this.#nextTarget++;
    const targets = this.#targets;
    this.#targets.set(target, {
      ...object,
      dispose() {
        targets.delete(target);
        dispose();
      },
    });
    return target;
  }

  /** The calls of the object that is there from the start, for a call of this number. */
  #calls(id: number): Implementation<HostCalls> {
    const onWarning = (warning: string) => this.#tell(id, { warning });
    const reading = (signal: AbortSignal): Reading => ({
      tell: (progress) => this.#tell(id, { reading: progress }),
      signal,
    });
    return {
      version: () => VERSION,
      createTrainer: (options) => this.#createTrainer(id, options, onWarning, reading),
      loadModel: async (bytes, options) =>
        this.#addModel(await Model.load(await unpackBytes(bytes), { ...options, onWarning })),
      readRows: (rows) => unpackRows(rows, reading(new AbortController().signal)),
      abort: (which) => this.#stops.get(which)?.abort(),
    };
  }
}
