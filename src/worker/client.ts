import type { Dataset } from "../data/dataset.js";
import { IfmError } from "../errors.js";
import type { ComputeOptions } from "../wasm/load.js";
import { Connection, Remote, type WorkerOptions } from "./connection.js";
import { WorkerModel } from "./model.js";
import { type ByteSource, Packing, type RowSource } from "./packing.js";
import type { PlainOptions, ReadingProgress, Told, WireCompute, WireTrainer } from "./protocol.js";
import { WorkerTrainer } from "./trainer.js";

interface Compute extends Pick<ComputeOptions, "fast" | "wasm" | "onWarning">, WorkerOptions {
  /** Threads that compute; they change no bit. By default as many as the page may have. */
  threads?: ComputeOptions["threads"];
}

interface Reading {
  /** Told how far rows have been read, about ten times a second. */
  onReading?: (progress: ReadingProgress) => void;
}

/** Options of a trainer in a worker. */
export interface WorkerTrainerOptions extends PlainOptions, Compute, Reading {
  /** Files, or arrays. */
  data: { train: RowSource; validation?: RowSource; test?: RowSource };
  /** Initial weights, as a model file: every tensor that fits by name and shape. */
  init?: ByteSource;
  /** Whether the arrays of `data` are given away, which takes no time, or copied (default). */
  transfer?: boolean;
  /** Ends the training at the next batch; while rows are still read, `createTrainer` throws IFM_ABORTED. */
  signal?: AbortSignal;
}

/** Options of a model in a worker. */
export interface WorkerModelOptions extends Compute {}

/** How rows are read in a worker. */
export interface ReadRowsOptions extends Reading, WorkerOptions, Pick<WorkerTrainerOptions, "signal"> {}

/**
 * Makes ready to train in a web worker; the page goes on. Options, events and bits are those of `createTrainer` of
 * `ifm-wasm`; calls return promises.
 *
 * ```ts
 * using trainer = await createTrainer({ model: { model: "ifm" }, data: { train: file } });
 * for await (const event of trainer) if (event.event === "epoch") console.log(event.epoch, event.loss);
 * using model = await trainer.model();
 * await model.download();
 * ```
 *
 * @throws IfmError IFM_USAGE, IFM_DATA, IFM_MEMORY, IFM_ABORTED; IFM_MODEL when a checkpoint is damaged, or of another
 *         training; IFM_WASM when the worker does not start
 */
export async function createTrainer({
  data,
  init,
  transfer = false,
  signal,
  onWarning,
  onReading,
  worker,
  wasm,
  threads = "auto",
  ...options
}: WorkerTrainerOptions): Promise<WorkerTrainer> {
  return connected(worker, new Packing(transfer), async (connection, packing) => {
    const wire: WireTrainer = { ...options, threads, data: { train: await packing.rows(data.train, "train") } };
    if (data.validation) wire.data.validation = await packing.rows(data.validation, "validation");
    if (data.test) wire.data.test = await packing.rows(data.test, "test");
    if (init) wire.init = await packing.bytes(init);
    if (wasm) wire.wasm = await packing.kernels(wasm);
    const stopping = new Stopping(connection, signal);
    try {
      const { target, start } = await connection.host.call("createTrainer", [wire], {
        transfer: packing.transfer,
        onTold: tellTo({ onWarning, onReading }),
        onSent: (id) => stopping.stops(id),
      });
      return new WorkerTrainer(new Remote(connection, target, "trainer"), start, () => stopping.forget());
    } catch (error) {
      stopping.forget();
      throw error;
    }
  });
}

/**
 * Loads a model file into a web worker, for inputs so long that the page would stop while they are scored.
 *
 * @throws IfmError IFM_MODEL when it cannot be read, is damaged or is not a model of this package; IFM_WASM when the
 * worker does not start
 */
export async function loadModel(
  source: ByteSource,
  { onWarning, worker, wasm, threads = "auto", ...options }: WorkerModelOptions = {},
): Promise<WorkerModel> {
  return connected(worker, new Packing(), async (connection, packing) => {
    const bytes = await packing.bytes(source);
    const wire: WireCompute = { ...options, threads, ...(wasm ? { wasm: await packing.kernels(wasm) } : {}) };
    const { transfer } = packing;
    const model = await connection.host.call("loadModel", [bytes, wire], { transfer, onTold: tellTo({ onWarning }) });
    return new WorkerModel(connection, model);
  });
}

/**
 * Reads a libFM file, plain or gzipped, in a web worker; the page gets the rows.
 *
 * @throws IfmError IFM_DATA with file and line of what cannot be read; IFM_MEMORY, IFM_ABORTED
 */
export async function readRows(
  source: ByteSource,
  { onReading, signal, worker }: ReadRowsOptions = {},
): Promise<Dataset> {
  return connected(worker, new Packing(), async (connection, packing) => {
    const rows = await packing.rows(source, "data");
    const stopping = new Stopping(connection, signal);
    try {
      return await connection.host.call("readRows", [rows], {
        transfer: packing.transfer,
        onTold: tellTo({ onReading }),
        onSent: (id) => stopping.stops(id),
      });
    } finally {
      stopping.forget();
    }
  });
}

interface Listeners {
  onWarning?: Compute["onWarning"] | undefined;
  onReading?: Reading["onReading"] | undefined;
}

/** Uses a worker, which ends afterwards unless somebody holds an object in it. */
async function connected<T>(
  worker: WorkerOptions["worker"],
  packing: Packing,
  use: (connection: Connection, packing: Packing) => Promise<T>,
): Promise<T> {
  const connection = await Connection.open(worker);
  try {
    return await use(connection, packing);
  } catch (error) {
    packing.stop();
    throw error;
  } finally {
    connection.release();
  }
}

/** Lets a signal stop what a call has begun. */
class Stopping {
  readonly #signal: AbortSignal | undefined;
  readonly #connection: Connection;
  #stop = (): void => undefined;

  /** @throws IfmError IFM_ABORTED */
  constructor(connection: Connection, signal: AbortSignal | undefined) {
    if (signal?.aborted) throw new IfmError("IFM_ABORTED", "stopped before it began");
    this.#connection = connection;
    this.#signal = signal;
  }

  stops(id: number): void {
    // A worker that is gone has stopped.
    this.#stop = () => void this.#connection.host.call("abort", [id]).catch(() => undefined);
    this.#signal?.addEventListener("abort", this.#stop);
  }

  forget(): void {
    this.#signal?.removeEventListener("abort", this.#stop);
  }
}

function tellTo({ onWarning, onReading }: Listeners): (told: Told) => void {
  return (told) => {
    if ("warning" in told) onWarning?.(told.warning);
    else onReading?.(told.reading);
  };
}
