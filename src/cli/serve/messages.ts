import type { ErrorCode } from "../../errors.js";
import type { Limits } from "../../serve/limits.js";
import type { MetricsSnapshot } from "../../serve/metrics.js";

/** How requests are logged: a line of text, a line of JSON, or not at all. */
export type LogFormat = "line" | "json" | "none";

/** What a worker is to do. */
export interface WorkerConfig {
  modelFile: string;
  host: string;
  port: number;
  limits: Partial<Limits>;
  tokens: readonly string[];
  cors: readonly string[];
  maxConnections: number;
  log: LogFormat;
}

/** An expected error, as it goes from process to process. */
export interface Failure {
  code: ErrorCode;
  message: string;
  hint?: string;
}

/** The model that is served. */
export interface Served {
  /** `sha256:…` of the file. */
  digest: string;
  loadedAt: string;
}

/** How the last exchange of the model went; part of `/v1/model`. */
export interface ReloadStatus {
  status: "ok" | "failed";
  at: string;
  /** Why it failed. */
  message?: string;
}

/** What a worker is asked, each with what it answers. */
export interface Tasks {
  /** Load the model and listen. */
  start: { asks: { config: WorkerConfig }; answers: { served: Served; url: string } };
  /** Load the file again, if it is another one. */
  reload: { asks: object; answers: { served: Served; isNew: boolean } };
  /** Say what you have counted. */
  count: { asks: object; answers: { own: MetricsSnapshot } };
  /** Answer what has been asked, then end. */
  stop: { asks: { graceMilliseconds: number }; answers: object };
}

export type Task = keyof Tasks;

export type ToWorker =
  | { [T in Task]: { task: T; id: number } & Tasks[T]["asks"] }[Task]
  | { task: "status"; reload: ReloadStatus }
  /** What all have counted, for the worker that asked. */
  | { task: "collected"; id: number; all: MetricsSnapshot };

export type FromWorker =
  /** It listens to messages; what is sent before is lost while its modules load. */
  | { type: "hello" }
  | { type: "done"; id: number; answer: Tasks[Task]["answers"] }
  | { type: "failed"; id: number; failure: Failure }
  /** Ask all workers what they have counted, and say so with `collected`. */
  | { type: "collect"; id: number };
