import { IfmError } from "../errors.js";
import { VERSION } from "../version.js";
import { type Answer, type Call, decodeError, HOST, type HostCalls, type Told } from "./protocol.js";

/** What is on the other side: a worker or, where somebody has made the connection, a port to one. */
export type WorkerLike = Pick<Worker, "postMessage" | "addEventListener" | "removeEventListener">;

/** Where the work is done. */
export interface WorkerOptions {
  /**
   * A worker, or a port to one, that runs `ifm-wasm/worker-host`, or the URL of that file: for whoever does not want what
   * the package starts by itself. A worker that is given is not ended.
   */
  worker?: Worker | MessagePort | URL;
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** The objects of one worker, as seen from the page. */
export class Connection {
  readonly #port: WorkerLike & Partial<MessagePort>;
  /** Ends the worker, if it is ours. */
  readonly #end: () => void;
  readonly #calls = new Map<number, Pending>();
  readonly #listeners = new Map<number, (told: Told) => void>();
  #nextId = 1;
  /** Objects that somebody holds; without any, the worker ends. */
  #held = 0;
  /** Why there are no more answers. */
  #lost: Error | undefined;

  private constructor(port: WorkerLike, end: () => void) {
    this.#port = port;
    this.#end = end;
    port.addEventListener("message", this.#onMessage);
    port.addEventListener("error", this.#onError);
    port.addEventListener("messageerror", this.#onError);
    this.#port.start?.();
  }

  /**
   * Starts a worker, or takes the one that is given.
   *
   * @throws IfmError IFM_WASM when it does not start, or is of another version
   */
  static async open({ worker }: WorkerOptions): Promise<Connection> {
    const connection = Connection.#connect(worker);
    connection.hold();
    try {
      const version = await connection.call<HostCalls, "version">(HOST, "version", []);
      if (version === VERSION) return connection;
      throw new IfmError("IFM_WASM", `worker: expected version ${VERSION} of ifm-wasm, found ${version}`, {
        hint: "the worker's file and the page's code must come from the same version",
      });
    } catch (error) {
      connection.release();
      throw error;
    }
  }

  static #connect(given: WorkerOptions["worker"]): Connection {
    if (given !== undefined && !(given instanceof URL)) return new Connection(given, () => undefined);
    if (typeof Worker === "undefined") {
      throw new IfmError("IFM_USAGE", "worker: this runtime has no web workers", {
        hint: 'createTrainer of "ifm-wasm" trains where it is called',
      });
    }
    // Bundlers know this form, and make a file of the worker.
    const worker =
      given === undefined
        ? new Worker(new URL("./worker-host.js", import.meta.url), { type: "module" })
        : new Worker(given, { type: "module" });
    return new Connection(worker, () => worker.terminate());
  }

  /** Keeps the worker; `release` is due as often. */
  hold(): void {
    this.#held++;
  }

  release(): void {
    if (--this.#held > 0) return;
    this.#stop(new IfmError("IFM_USAGE", "worker: used after dispose()"));
  }

  /**
   * Calls a method of an object in the worker.
   *
   * @param transfer what the worker shall have instead of a copy
   * @param onTold   called with what the worker tells beside the answer
   * @param onSent   called with the number of the call
   * @throws what the method throws; IfmError IFM_USAGE when an argument cannot be sent
   */
  call<Calls, Name extends keyof Calls & string>(
    target: number,
    method: Name,
    args: Calls[Name] extends (...args: infer Args) => unknown ? Args : never,
    {
      transfer = [],
      onTold,
      onSent,
    }: { transfer?: Transferable[]; onTold?: (told: Told) => void; onSent?: (id: number) => void } = {},
  ): Promise<Calls[Name] extends (...args: never) => infer Result ? Result : never> {
    return new Promise((resolve, reject) => {
      if (this.#lost) throw this.#lost;
      const id = this.#nextId++;
      try {
        this.#port.postMessage({ id, target, method, args } satisfies Call, transfer);
      } catch (cause) {
        const { message } = cause as Error;
        throw new IfmError("IFM_USAGE", `${method}: an argument cannot be sent to a worker (${message})`, { cause });
      }
      this.#calls.set(id, { resolve: resolve as Pending["resolve"], reject });
      if (onTold) this.#listeners.set(id, onTold);
      onSent?.(id);
    });
  }

  readonly #onMessage = ({ data }: MessageEvent<Answer>): void => {
    if ("told" in data) {
      this.#listeners.get(data.id)?.(data.told);
      return;
    }
    const pending = this.#calls.get(data.id);
    this.#calls.delete(data.id);
    if ("error" in data) pending?.reject(decodeError(data.error));
    else pending?.resolve(data.result);
  };

  readonly #onError = (event: Event): void => {
    const detail = "message" in event && event.message ? ` (${event.message})` : "";
    this.#stop(
      new IfmError("IFM_WASM", `worker: it could not be started, or has failed${detail}`, {
        hint: "dist/worker-host.js must be there as a file; the option worker says where, see docs/API.md",
      }),
    );
  };

  #stop(why: Error): void {
    if (this.#lost) return;
    this.#lost = why;
    this.#port.removeEventListener("message", this.#onMessage as EventListener);
    this.#port.removeEventListener("error", this.#onError);
    this.#port.removeEventListener("messageerror", this.#onError);
    for (const { reject } of this.#calls.values()) reject(why);
    this.#calls.clear();
    this.#listeners.clear();
    this.#end();
  }
}
