import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { type MetricsSnapshot, mergeMetrics } from "../../serve/metrics.js";
import { Member } from "./member.js";
import type { ReloadStatus, Served, WorkerConfig } from "./messages.js";

/** Milliseconds that a process may take to count. */
const COUNT_MILLISECONDS = 1000;
/** Milliseconds before a process that ended is replaced; doubled while that fails. */
const RESTART_MILLISECONDS = 250;
const MOST_RESTART_MILLISECONDS = 30_000;

/** The processes that serve a model. */
export class Pool {
  readonly #config: WorkerConfig;
  readonly #warn: (text: string) => void;
  /** Those that are ready. */
  readonly #members = new Set<Member>();
  #status: ReloadStatus | undefined;
  /** Processes that are to be started again. */
  readonly #replacements = new Set<ReturnType<typeof setTimeout>>();
  #stopping = false;

  /** @param warn told what does not stop the service */
  constructor(config: WorkerConfig, warn: (text: string) => void) {
    this.#config = config;
    this.#warn = warn;
    cluster.setupPrimary({ exec: fileURLToPath(new URL("./serve-worker.js", import.meta.url)), args: [] });
  }

  /**
   * Starts so many processes.
   *
   * @returns where they listen
   * @throws IfmError what the first one says that cannot start
   */
  async start(size: number): Promise<{ url: string; served: Served }> {
    try {
      const started = await Promise.all(Array.from({ length: size }, () => this.#fork()));
      return started[0]!;
    } catch (error) {
      this.#stopping = true;
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill("SIGKILL");
      throw error;
    }
  }

  async #fork(): Promise<{ url: string; served: Served }> {
    const member = new Member(cluster.fork(), () => this.#count());
    try {
      const started = await member.ask("start", { config: this.#config });
      if (this.#stopping) member.kill();
      this.#members.add(member);
      if (this.#status) member.tell(this.#status);
      void member.ended.then((why) => {
        this.#members.delete(member);
        if (this.#stopping) return;
        this.#warn(`a process has ended (${why}) and is replaced`);
        this.#replace(RESTART_MILLISECONDS);
      });
      return started;
    } catch (error) {
      member.kill();
      throw error;
    }
  }

  #replace(wait: number): void {
    const timer = setTimeout(() => {
      this.#replacements.delete(timer);
      this.#fork().catch((error: Error) => {
        if (this.#stopping) return;
        this.#warn(`a process cannot start: ${error.message}`);
        this.#replace(Math.min(2 * wait, MOST_RESTART_MILLISECONDS));
      });
    }, wait);
    this.#replacements.add(timer);
  }

  /**
   * Has the processes load the model file, one after the other, so that the others answer meanwhile. All keep their model
   * when the first one cannot load it.
   *
   * @returns the new model; undefined when the file has the same bytes as before
   * @throws IfmError why the file was not taken
   */
  async reload(): Promise<Served | undefined> {
    let found: Served | undefined;
    for (const member of [...this.#members]) {
      const { served, isNew } = await member.ask("reload", {});
      if (isNew) found = served;
    }
    return found;
  }

  /** Has `/v1/model` say how the last reload went. */
  tell(status: ReloadStatus): void {
    this.#status = status;
    for (const member of this.#members) member.tell(status);
  }

  /** What all processes have counted; without those that do not say in time. */
  async #count(): Promise<MetricsSnapshot> {
    const late = new Promise<undefined>((resolve) => {
      setTimeout(() => resolve(undefined), COUNT_MILLISECONDS).unref();
    });
    const counts = await Promise.all(
      [...this.#members].map((member) => Promise.race([member.ask("count", {}).catch(() => undefined), late])),
    );
    return mergeMetrics(counts.flatMap((count) => (count === undefined ? [] : [count.own])));
  }

  /** Lets the processes answer what they have been asked, then ends them. */
  async stop(graceMilliseconds: number): Promise<void> {
    this.#stopping = true;
    for (const timer of this.#replacements) clearTimeout(timer);
    await Promise.all([...this.#members].map((member) => member.stop(graceMilliseconds)));
  }
}
