import type { Worker } from "node:cluster";
import { IfmError } from "../../errors.js";
import type { MetricsSnapshot } from "../../serve/metrics.js";
import type { FromWorker, ReloadStatus, Task, Tasks, ToWorker } from "./messages.js";

/** What a process that does not end by itself gets beyond its grace. */
const KILL_MILLISECONDS = 2000;

interface Waiting {
  resolve(answer: Tasks[Task]["answers"]): void;
  reject(error: Error): void;
}

/** One process of a pool, seen from the first process. */
export class Member {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  readonly #hello: Promise<void>;
  #nextId = 0;
  #why: string | undefined;
  /** When it has ended: why. */
  readonly ended: Promise<string>;

  /** @param collect what all processes have counted */
  constructor(worker: Worker, collect: () => Promise<MetricsSnapshot>) {
    this.#worker = worker;
    let greeted: () => void;
    this.#hello = new Promise((resolve) => {
      greeted = resolve;
    });
    worker.on("message", (message: FromWorker) => {
      if (message.type === "hello") return greeted();
      if (message.type === "collect") {
        void collect().then((all) => this.#send({ task: "collected", id: message.id, all }));
        return;
      }
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.type === "done") waiting?.resolve(message.answer);
      else {
        const { code, message: text, hint } = message.failure;
        waiting?.reject(new IfmError(code, text, hint === undefined ? {} : { hint }));
      }
    });
    this.ended = new Promise((resolve) => {
      const end = (why: string) => {
        this.#why = why;
        for (const { reject } of this.#waiting.values()) reject(hasEnded(why));
        this.#waiting.clear();
        resolve(why);
      };
      worker.once("exit", (code, signal) => end(signal ?? `exit code ${code}`));
      // Node tells a process who listens on a port; where it has ended by then, that is an error here (EPIPE), too.
      worker.on("error", (error: Error) => {
        if (worker.process.pid === undefined) end(`it cannot be started (${error.message})`);
      });
    });
  }

  /**
   * Has the process do something.
   *
   * @throws IfmError what it says, or that it has ended
   */
  ask<T extends Task>(task: T, asks: Tasks[T]["asks"]): Promise<Tasks[T]["answers"]> {
    if (this.#why !== undefined) return Promise.reject(hasEnded(this.#why));
    const id = this.#nextId++;
    const answer = new Promise<Tasks[Task]["answers"]>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    void this.#hello.then(() => this.#send({ task, id, ...asks } as ToWorker));
    return answer;
  }

  tell(reload: ReloadStatus): void {
    this.#send({ task: "status", reload });
  }

  /** Lets it answer what it has been asked, then ends it. */
  async stop(graceMilliseconds: number): Promise<void> {
    const late = setTimeout(() => this.kill(), graceMilliseconds + KILL_MILLISECONDS);
    await this.ask("stop", { graceMilliseconds }).catch(() => undefined);
    if (this.#worker.isConnected()) this.#worker.disconnect();
    await this.ended;
    clearTimeout(late);
  }

  kill(): void {
    this.#worker.process.kill("SIGKILL");
  }

  #send(message: ToWorker): void {
    // That it has ended in the meantime is known by `ended`.
    if (this.#worker.isConnected()) this.#worker.send(message, () => undefined);
  }
}

function hasEnded(why: string): IfmError {
  return new IfmError("IFM_WASM", `a process that serves has ended: ${why}`);
}
