import { createHash } from "node:crypto";
import { basename } from "node:path";
import { readModelFile } from "#runtime";
import { IfmError } from "../../errors.js";
import { Model } from "../../model/model.js";
import { createHandler } from "../../serve/handler.js";
import { limitsOf } from "../../serve/limits.js";
import { gauge, type MetricsSnapshot } from "../../serve/metrics.js";
import { HttpServer } from "./http.js";
import { RequestLog } from "./log.js";
import type { Failure, FromWorker, ReloadStatus, Served, Task, Tasks, ToWorker, WorkerConfig } from "./messages.js";

/*
 * One process that serves: the program of `dist/serve-worker.js`, started by pool.ts. What it is to do, and when to end,
 * comes as messages.
 */

/** Milliseconds that the others may take to say what they have counted. */
const COLLECT_MILLISECONDS = 2000;

class Worker {
  readonly #config: WorkerConfig;
  readonly #log: RequestLog;
  readonly #server: HttpServer;
  readonly #handler: ReturnType<typeof createHandler>;
  /** Set once the first model is loaded, before anybody can ask. */
  #model!: Model;
  #served!: Served;
  #reload: ReloadStatus | undefined;
  readonly #asked = new Map<number, (all: MetricsSnapshot) => void>();

  constructor(config: WorkerConfig) {
    const { limits, tokens, cors, maxConnections } = config;
    const onError = (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      process.stderr.write(`unexpected error: ${text}\n`);
    };
    this.#config = config;
    this.#log = new RequestLog(config.log, (text) => process.stderr.write(text));
    this.#handler = createHandler(() => this.#model, {
      limits,
      ...(tokens.length > 0 && { token: tokens }),
      cors,
      about: () => ({
        file: { name: basename(config.modelFile), ...this.#served, reload: this.#reload },
      }),
      collect: (own) => this.#collect(own),
      onError,
    });
    this.#server = new HttpServer(this.#handler, {
      timeoutMilliseconds: limitsOf(limits).timeoutMilliseconds,
      maxConnections,
      onExchange: (exchange) => this.#log.add(exchange),
      onError,
    });
  }

  /** Loads the model and listens. */
  async start(): Promise<Tasks["start"]["answers"]> {
    await this.#load();
    const { host, port } = this.#config;
    const url = await this.#server.listen(host, port);
    return { served: this.#served, url };
  }

  /** Exchanges the model for the file's, if that is another one. */
  async #load(): Promise<boolean> {
    const { modelFile } = this.#config;
    const bytes = await readModelFile(modelFile);
    const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
    if (digest === this.#served?.digest) return false;
    let model: Model;
    try {
      model = await Model.load(bytes);
    } catch (error) {
      if (!(error instanceof IfmError)) throw error;
      const { code, message, hint } = error;
      throw new IfmError(code, message, { file: modelFile, ...(hint !== undefined && { hint }), cause: error });
    }
    const old: Model | undefined = this.#model;
    this.#model = model;
    this.#served = { digest, loadedAt: new Date().toISOString() };
    // No request is being computed: that takes no turns of the event loop.
    old?.dispose();
    return true;
  }

  async reload(): Promise<Tasks["reload"]["answers"]> {
    const isNew = await this.#load();
    return { served: this.#served, isNew };
  }

  setStatus(reload: ReloadStatus): void {
    this.#reload = reload;
  }

  count(): Tasks["count"]["answers"] {
    return { own: this.#counted(this.#handler.metrics()) };
  }

  collected(id: number, all: MetricsSnapshot): void {
    this.#asked.get(id)?.(all);
  }

  async stop(graceMilliseconds: number): Promise<void> {
    await this.#server.close(graceMilliseconds);
    this.#log.flush();
  }

  /** What this process adds to what its handler counts. */
  #counted(own: MetricsSnapshot): MetricsSnapshot {
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    return {
      ...own,
      ifm_cpu_seconds_total: {
        type: "counter",
        help: "Seconds that these processes computed.",
        series: { "": (user + system) / 1e6 },
      },
      ifm_workers: gauge("Processes that serve.", 1),
      ifm_resident_memory_bytes: gauge("Memory of these processes.", rss),
      ifm_heap_used_bytes: gauge("JavaScript's part of it that is in use.", heapUsed),
    };
  }

  /** What all processes have counted; what this one has, when the others do not say in time. */
  async #collect(own: MetricsSnapshot): Promise<MetricsSnapshot> {
    const id = nextId++;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const all = new Promise<MetricsSnapshot>((resolve) => this.#asked.set(id, resolve));
    const late = new Promise<MetricsSnapshot>((resolve) => {
      timer = setTimeout(() => resolve(this.#counted(own)), COLLECT_MILLISECONDS);
    });
    send({ type: "collect", id });
    const found = await Promise.race([all, late]);
    clearTimeout(timer);
    this.#asked.delete(id);
    return found;
  }
}

let nextId = 0;

function send(message: FromWorker): void {
  process.send?.(message);
}

function failureOf(error: unknown): Failure {
  if (error instanceof IfmError) {
    const { code, message, hint } = error;
    return { code, message, ...(hint !== undefined && { hint }) };
  }
  return { code: "IFM_WASM", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

// Ctrl-C reaches all processes of a terminal; the first process says what is to be done.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

let worker: Worker;

async function perform(message: ToWorker): Promise<Tasks[Task]["answers"]> {
  switch (message.task) {
    case "start":
      worker = new Worker(message.config);
      return worker.start();
    case "reload":
      return worker.reload();
    case "count":
      return worker.count();
    case "stop":
      await worker.stop(message.graceMilliseconds);
      return {};
    case "status":
      worker.setStatus(message.reload);
      return {};
    case "collected":
      worker.collected(message.id, message.all);
      return {};
  }
}

process.on("message", (message: ToWorker) => {
  const id = "id" in message && message.task !== "collected" ? message.id : undefined;
  perform(message).then(
    (answer) => {
      if (id !== undefined) send({ type: "done", id, answer });
    },
    (error: unknown) => {
      if (id !== undefined) send({ type: "failed", id, failure: failureOf(error) });
    },
  );
});
send({ type: "hello" });
