import { IfmError } from "../errors.js";
import { VERSION } from "../version.js";
import { PageThreads } from "./page-threads.js";
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

/** Calls of an object in the worker, by name. */
type Methods<Calls> = { [Name in keyof Calls]: (...args: never[]) => unknown };

export interface CallOptions {
  /** What the worker shall have instead of a copy. */
  transfer?: Transferable[];
  /** Called with what the worker tells beside the answer, also later. */
  onTold?: (told: Told) => void;
  /** Called with the number of the call. */
  onSent?: (id: number) => void;
}

/** An object in the worker. The worker ends with the last that somebody holds. */
export class Remote<Calls extends Methods<Calls>> {
  readonly connection: Connection;
  readonly #target: number;
  readonly #name: string;
  #disposed = false;

  /** @param name what errors call it */
  constructor(connection: Connection, target: number, name: string) {
    this.connection = connection;
    this.#target = target;
    this.#name = name;
    connection.hold();
  }

  /**
   * Calls one of its methods.
   *
   * @throws what the method throws; IfmError IFM_USAGE when an argument cannot be sent, or after `dispose`
   */
  async call<Name extends keyof Calls & string>(
    method: Name,
    args: Parameters<Calls[Name]>,
    options: CallOptions = {},
  ): Promise<ReturnType<Calls[Name]>> {
    if (this.#disposed) throw new IfmError("IFM_USAGE", `${this.#name}: used after dispose()`);
    const result = await this.connection.call(this.#target, method, args, options);
    return result as ReturnType<Calls[Name]>;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    // Of a worker that has failed, or ends with this, there is no answer.
    this.connection.call(this.#target, "dispose", [], {}).catch(() => undefined);
    this.connection.release();
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** The objects of one worker, as seen from the page. */
export class Connection {
  /** Calls so far, of all connections: several may share a worker. */
  static #calls = 0;

  /** Threads of workers that are not ours: one for all connections. */
  static readonly #threadsOf = new WeakMap<object, PageThreads>();

  readonly #port: WorkerLike & Partial<MessagePort>;
  /** Ends the worker, if it is ours. */
  readonly #end: () => void;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Map<number, (told: Told) => void>();
  /** The object in the worker that is there from the start. */
  readonly host: Remote<HostCalls>;
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
    this.host = new Remote(this, HOST, "worker");
  }

  /**
   * Starts a worker, or takes the one that is given.
   *
   * @returns the connection, held once: `release` is due
   * @throws IfmError IFM_WASM when it does not start, or is of another version
   */
  static async open(worker: WorkerOptions["worker"]): Promise<Connection> {
    const connection = Connection.#connect(worker);
    try {
      const version = await connection.host.call("version", []);
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
    if (given !== undefined && !(given instanceof URL)) {
      if (!Connection.#threadsOf.has(given)) Connection.#threadsOf.set(given, new PageThreads(given));
      return new Connection(given, () => undefined);
    }
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
    const threads = new PageThreads(worker);
    return new Connection(worker, () => {
      threads.end();
      worker.terminate();
    });
  }

  /** Keeps the worker; `release` is due as often. */
  hold(): void {
    this.#held++;
  }

  release(): void {
    if (--this.#held > 0) return;
    this.#stop(new IfmError("IFM_USAGE", "worker: used after dispose()"));
  }

  /** Sends a call; `Remote` knows what it may be. */
  call(
    target: number,
    method: string,
    args: readonly unknown[],
    { transfer, onTold, onSent }: CallOptions,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#lost) throw this.#lost;
      const id = ++Connection.#calls;
      try {
        this.#port.postMessage({ id, target, method, args } satisfies Call, transfer ?? []);
      } catch (cause) {
        const { message } = cause as Error;
        throw new IfmError("IFM_USAGE", `${method}: an argument cannot be sent to a worker (${message})`, { cause });
      }
      this.#pending.set(id, { resolve, reject });
      if (onTold) this.#listeners.set(id, onTold);
      onSent?.(id);
    });
  }

  readonly #onMessage = ({ data }: MessageEvent<Answer | { thread: number }>): void => {
    if ("thread" in data) return;
    if ("told" in data) {
      this.#listeners.get(data.id)?.(data.told);
      return;
    }
    const pending = this.#pending.get(data.id);
    this.#pending.delete(data.id);
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
    for (const { reject } of this.#pending.values()) reject(why);
    this.#pending.clear();
    this.#listeners.clear();
    this.#end();
  }
}
