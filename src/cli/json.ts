import type { EpochEvent, Metrics, RollbackEvent, StartEvent } from "../train/types.js";
import { VERSION } from "../version.js";
import type { Io } from "./io.js";
import type { Comparison, Ready, RunEnd, RunFiles, TrainReport } from "./report.js";

/** One line of JSON; NaN and infinite numbers become null. */
export function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** Tells a training to programs: one JSON object a line on stdout. */
export class JsonReport implements TrainReport {
  readonly #io: Io;
  readonly #output: string;

  constructor(io: Io, output: string) {
    this.#io = io;
    this.#output = output;
  }

  /** Model and training configuration lie side by side: their keys do not clash. */
  start({ model, train, ...facts }: StartEvent, files: RunFiles, ready?: Ready): void {
    this.#write({
      event: "start",
      version: VERSION,
      ...model,
      ...train,
      threads: facts.threads,
      files: { ...files, output: this.#output },
      rows: facts.rows,
      parameters: facts.parameters,
      memoryBytes: facts.memoryBytes,
      unknownFeatures: facts.unknownFeatures,
      init: facts.init,
      resumed: facts.resumed,
      ...ready,
    });
  }

  baseline({ constant, fm }: Comparison): void {
    this.#write({ event: "baseline", constant: { validation: constant }, ...(fm && { fm: { validation: fm } }) });
  }

  progress(): void {}

  interrupted(): void {}

  epoch(event: EpochEvent): void {
    this.#write(event);
  }

  rollback(event: RollbackEvent): void {
    this.#write(event);
  }

  end(end: RunEnd): void {
    this.#write({
      event: "end",
      bestEpoch: end.best?.epoch ?? 0,
      output: end.output ?? null,
      pretrain: end.pretrain,
      reason: end.reason,
      epochs: end.epochs,
      seconds: end.seconds,
      ...metricsOf(end.best),
    });
  }

  #write(event: object): void {
    this.#io.out.write(jsonLine(event));
  }
}

/** The metrics of an epoch, under the names that they have in its event. */
function metricsOf(event: EpochEvent | undefined): { train?: Metrics; validation?: Metrics; test?: Metrics } {
  if (event === undefined) return {};
  const { train, validation, test } = event;
  return { train, ...(validation && { validation }), ...(test && { test }) };
}
